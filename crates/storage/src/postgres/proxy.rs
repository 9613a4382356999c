//! Between a store and its server: a proxy that understands just enough of PostgreSQL's protocol to lose the answer to a commit,
//! or the commit itself, and to overhear what the server says beside its answers.
//!
//! Both sides are read message by message: a byte that says what it is, then its length. Surprising: the first message of a
//! client has no such byte.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{self, AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
};

use super::PostgresOptions;

/// What gets lost, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lose {
    /// The connection, and the commit that was to go over it.
    Commit,
    /// The connection, once the commit has been answered, and the answer.
    Answer,
    /// The same, and then the server for good.
    Server,
    /// The connection, once a statement was carried out that is a transaction of its own, and the answer.
    Statement,
}

#[derive(Default)]
struct State {
    lose: Option<Lose>,
    is_away: bool,
    notices: Vec<String>,
}

/// A proxy in front of a server. It ends when it is dropped.
pub(crate) struct Proxy {
    state: Arc<Mutex<State>>,
    _serving: JoinSet<()>,
}

impl Proxy {
    /// In front of the server that these options name; gives the options that name the proxy.
    pub(crate) async fn before(options: &PostgresOptions) -> (Self, PostgresOptions) {
        let (before_host, rest) = options.url.split_once('@').unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state: Arc<Mutex<State>> = Arc::default();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, host.to_owned(), Arc::clone(&state)));
        let (database, _) = path.split_once('?').unwrap_or((path, ""));
        let url = format!("{before_host}@127.0.0.1:{port}/{database}?sslmode=disable");
        (Self { state, _serving: serving }, PostgresOptions { url, ..options.clone() })
    }

    /// Loses this when it comes next.
    pub(crate) fn lose(&self, what: Lose) {
        self.state.lock().unwrap().lose = Some(what);
    }

    /// Whether what was to be lost is lost.
    pub(crate) fn has_lost(&self) -> bool {
        self.state.lock().unwrap().lose.is_none()
    }

    /// What the server has said beside its answers since this was asked last.
    pub(crate) fn notices(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().notices)
    }
}

async fn serve(listener: TcpListener, server: String, state: Arc<Mutex<State>>) {
    let mut sessions = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        if !state.lock().unwrap().is_away {
            let server = TcpStream::connect(&server).await.unwrap();
            sessions.spawn(session(client, server, Arc::clone(&state)));
        }
    }
}

/// Both connections end with it.
async fn session(client: TcpStream, server: TcpStream, state: Arc<Mutex<State>>) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let losing = Arc::new(Mutex::new(None));
    let _ended = tokio::select! {
        ended = up(from_client, to_server, &state, &losing) => ended,
        ended = down(from_server, to_client, &state, &losing) => ended,
    };
}

/// A message with its head.
async fn message(from: &mut OwnedReadHalf, head: usize) -> io::Result<Vec<u8>> {
    let mut message = vec![0; head];
    from.read_exact(&mut message).await?;
    let length = u32::from_be_bytes(message[head - 4..].try_into().unwrap());
    message.resize(head - 4 + usize::try_from(length).unwrap(), 0);
    from.read_exact(&mut message[head..]).await?;
    Ok(message)
}

async fn up(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: &Mutex<State>,
    losing: &Mutex<Option<Lose>>,
) -> io::Result<()> {
    to.write_all(&message(&mut from, 4).await?).await?;
    loop {
        let message = message(&mut from, 5).await?;
        let is_commit = message.starts_with(b"Q") && message[5..].starts_with(b"COMMIT");
        let is_execute = message.starts_with(b"E");
        let now = |lose: &mut Lose| if *lose == Lose::Statement { is_execute } else { is_commit };
        if let Some(lose) = state.lock().unwrap().lose.take_if(now) {
            if lose == Lose::Commit {
                return Ok(());
            }
            *losing.lock().unwrap() = Some(lose);
        }
        to.write_all(&message).await?;
    }
}

async fn down(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: &Mutex<State>,
    losing: &Mutex<Option<Lose>>,
) -> io::Result<()> {
    loop {
        let message = message(&mut from, 5).await?;
        if message[0] == b'N' {
            // Fields: a byte that says which, its text, and a zero; the text for people is M.
            let fields = message[5..].split(|byte| *byte == 0);
            let text = fields.filter_map(|field| field.strip_prefix(b"M")).next().unwrap_or_default();
            state.lock().unwrap().notices.push(String::from_utf8(text.to_vec()).unwrap());
        }
        let losing = *losing.lock().unwrap();
        if let Some(lose) = losing {
            if message[0] == b'Z' {
                state.lock().unwrap().is_away = lose == Lose::Server;
                return Ok(());
            }
        } else {
            to.write_all(&message).await?;
        }
    }
}
