//! As much of HTTP/1.1 as two programs need that are known here: the sender of messages, which asks again and again on one
//! connection, and the receiver of reports.
//!
//! Nothing of a body is looked at but its length, and what is refused is told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::listener::Listener;
use super::tally::Tally;

/// No head of ours has a longer line, and none so many.
const LONGEST_LINE: u64 = 8 * 1024;
const MOST_LINES: usize = 64;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A connection on which one request follows another.
pub(super) struct Caller {
    stream: BufReader<TcpStream>,
}

impl Caller {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When nobody listens there.
    pub(super) fn connect(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Asks for this, and waits for the answer.
    ///
    /// # Errors
    ///
    /// When it is not a good one; the text has its first line.
    pub(super) fn get(&mut self, target: &str) -> anyhow::Result<()> {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (first, length) = head(&mut self.stream)?.context("it hung up")?;
        let mut body = Vec::new();
        self.stream.by_ref().take(length).read_to_end(&mut body)?;
        anyhow::ensure!(body.len() as u64 == length, "it hung up");
        let good = first.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
        anyhow::ensure!(good, "{first}: {}", String::from_utf8_lossy(&body).trim());
        Ok(())
    }
}

/// The first line of a request or an answer, and how many bytes follow its head; none when nothing comes any more.
fn head(stream: &mut impl std::io::BufRead) -> anyhow::Result<Option<(String, u64)>> {
    let (mut first, mut length) = (None, 0);
    for _ in 0..MOST_LINES {
        let mut line = String::new();
        let count = stream.by_ref().take(LONGEST_LINE).read_line(&mut line)?;
        if count == 0 && first.is_none() {
            return Ok(None);
        }
        anyhow::ensure!(
            line.ends_with('\n'),
            "a head is cut short, or has a line of more than {LONGEST_LINE} bytes"
        );
        let line = line.trim_end();
        match (&first, line.split_once(':')) {
            (None, _) => first = Some(line.to_owned()),
            (Some(_), Some((name, value))) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().context("a content-length is no number")?;
            }
            (Some(_), Some(_)) => {}
            (Some(_), None) => {
                anyhow::ensure!(line.is_empty(), "a line of a head is none: {line}");
                return Ok(first.map(|first| (first, length)));
            }
        }
    }
    anyhow::bail!("a head has more than {MOST_LINES} lines")
}

/// Takes reports, each by the number that stands in its path.
pub(super) struct Reports {
    told: Arc<Tally>,
    listener: Listener,
}

impl Reports {
    /// Opens a port for the reports of messages 0 to `size`.
    ///
    /// # Errors
    ///
    /// When none can be had.
    pub(super) fn open(size: u64) -> anyhow::Result<Self> {
        let told = Arc::new(Tally::new(size));
        let shared = Arc::clone(&told);
        Ok(Self { told, listener: Listener::open(move |stream| take(stream, &shared))? })
    }

    /// What is called to report on a message.
    pub(super) fn url(&self, number: u64) -> String {
        format!("http://{}/{number}", self.listener.address())
    }

    /// The messages that were reported.
    pub(super) fn told(&self) -> &Tally {
        &self.told
    }

    /// An error when something went wrong.
    pub(super) fn works(&self) -> anyhow::Result<()> {
        self.listener.works().context("the receiver of reports")
    }
}

fn take(mut stream: &TcpStream, told: &Tally) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut requests = BufReader::new(stream);
    while let Some((request, length)) = head(&mut requests)? {
        std::io::copy(&mut requests.by_ref().take(length), &mut std::io::sink())?;
        told.mark(reported(&request)?)?;
        stream.write_all(TAKEN)?;
    }
    Ok(())
}

/// Of `GET /12 HTTP/1.1`.
fn reported(request: &str) -> anyhow::Result<u64> {
    let path = request.split(' ').nth(1).and_then(|target| target.strip_prefix('/'));
    let number = path.and_then(|path| path.parse().ok());
    number.with_context(|| format!("a report of no message: {request}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head_of(text: &str) -> anyhow::Result<Option<(String, u64)>> {
        head(&mut text.as_bytes())
    }

    #[test]
    fn head_ends_with_an_empty_line_and_says_how_much_follows() {
        let answer = "HTTP/1.1 202 OK\r\nServer: Kannel/1.4.5\r\ncontent-length: 24\r\n\r\n0: Accepted";
        assert_eq!(head_of(answer).unwrap(), Some(("HTTP/1.1 202 OK".to_owned(), 24)));
        assert_eq!(head_of("GET /1 HTTP/1.1\r\n\r\n").unwrap(), Some(("GET /1 HTTP/1.1".to_owned(), 0)));
        assert_eq!(head_of("").unwrap(), None);
        for wrong in
            ["GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nno field\r\n\r\n", "A\r\nContent-Length: x\r\n\r\n"]
        {
            assert!(head_of(wrong).is_err(), "{wrong}");
        }
        assert!(head_of(&"a: b\r\n".repeat(MOST_LINES + 1)).is_err());
    }

    #[test]
    fn reports_are_counted_on_one_connection_and_strange_ones_told() {
        let reports = Reports::open(3).unwrap();
        assert!(reports.url(2).ends_with("/2"));
        let mut caller = Caller::connect(reports.listener.address()).unwrap();
        for number in [2, 0, 2] {
            caller.get(&format!("/{number}")).unwrap();
        }
        assert_eq!(reports.told().count(), 2);
        reports.works().unwrap();
        assert!(caller.get("/3").is_err());
        assert!(reports.works().unwrap_err().to_string().contains("receiver of reports"));
    }

    #[test]
    fn refusal_is_told_with_what_it_says() {
        let busy = |mut stream: &TcpStream| -> anyhow::Result<()> {
            stream.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nlater")?;
            Ok(())
        };
        let listener = Listener::open(busy).unwrap();
        let mut caller = Caller::connect(listener.address()).unwrap();
        assert_eq!(caller.get("/").unwrap_err().to_string(), "HTTP/1.1 503 Busy: later");
    }
}
