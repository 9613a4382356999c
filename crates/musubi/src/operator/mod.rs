//! What a company's operators do from the command line, against a running company server.
//!
//! Nothing is decided here: files are checked before they are sent, answers are shown. Only the company server is called, also
//! for followers, reviews and distributions; it passes those on. Surprising: every failure, the server's or our own, is one
//! [`Error`], so that all of them are shown as field, problem and remedy.

mod customers;
mod distribution_file;
mod distributions;
mod followers;
pub(crate) mod listing;
mod reviews;
#[cfg(test)]
mod tests;
pub(crate) mod words;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use musubi_domain::{Error, ErrorKind};
use musubi_runtime::{
    config::{Endpoint, Secret},
    grpc::{
        client::{AuthorizedChannel, ClientOptions, connect},
        status::from_status,
    },
};
use tonic::Status;

pub use self::{customers::Customers, distributions::Distributions, followers::Followers, reviews::Reviews};

/// How long an upload may take.
const UPLOAD_DEADLINE: Duration = Duration::from_secs(3600);
/// How long any other call may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Which company server, and as whom.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// The company server.
    #[arg(long, global = true, value_name = "http://HOST:PORT", env = "MUSUBI_SERVER")]
    server: Option<Endpoint>,
    /// A file with the operator's token. Without it MUSUBI_TOKEN is the token.
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[arg(long, global = true, hide = true, env = "MUSUBI_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Connection {
    fn channel(&self) -> Result<AuthorizedChannel, Error> {
        let server = self.server.as_ref().ok_or_else(|| {
            Error::invalid(
                "--server",
                "no company server is named",
                "add --server http://HOST:PORT, or set MUSUBI_SERVER",
            )
        })?;
        let token = match (&self.token_file, &self.token) {
            (Some(path), _) => std::fs::read_to_string(path).map_err(|error| {
                let problem = format!("{} can not be read: {}", path.display(), error.kind());
                Error::invalid("--token-file", problem, "name a file that can")
            })?,
            (None, Some(token)) => token.clone(),
            (None, None) => {
                let remedy = "add --token-file FILE, or set MUSUBI_TOKEN";
                return Err(Error::invalid("--token-file", "no token is given", remedy));
            }
        };
        connect(server, &Secret::new(token.trim_end()), ClientOptions { deadline: DEADLINE })
            .map_err(|error| error.at("--token-file"))
    }
}

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// What was asked for is done.
    Done,
    /// It was not, and the command has said why.
    Refused,
}

/// Runs a command, and says what went wrong. The exit code is 0, 1 when what was asked for was not done, 2 when the fault is in
/// the command line and nothing was begun.
pub(crate) async fn run(command: impl AsyncFnOnce(&mut dyn Write) -> Result<Ending, Error>) -> ExitCode {
    match command(&mut io::stdout().lock()).await {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Refused) => ExitCode::FAILURE,
        Err(error) => {
            let _unwritten = io::stderr().write_all(described(&error).as_bytes());
            let argument = error.field.starts_with("--") || error.field == "FILE";
            ExitCode::from(if argument { 2 } else { 1 })
        }
    }
}

/// An error as operators read it: what it is about, what is wrong, what to do.
fn described(error: &Error) -> String {
    let mut text = String::new();
    for (name, value) in [("field", &error.field), ("problem", &error.problem), ("remedy", &error.remedy)] {
        if !value.is_empty() {
            text.push_str(&format!("{name:<8} {value}\n"));
        }
    }
    text
}

/// What the server refused, with a remedy for who typed the command.
#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn refused(status: Status) -> Error {
    let error = from_status(&status);
    match error.kind {
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => {
            Error { remedy: "give an operator's token of this company server".to_owned(), ..error }
                .at("--token-file")
        }
        ErrorKind::Unavailable if error.problem.starts_with("the peer does not answer") => {
            let remedy = "start the company server, or name another with --server; then repeat it".to_owned();
            Error { remedy, ..error }
        }
        ErrorKind::Unavailable
        | ErrorKind::InvalidArgument
        | ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::FailedPrecondition
        | ErrorKind::ResourceExhausted
        | ErrorKind::Internal => error,
    }
}

/// Standard output is closed or full.
#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
pub(crate) fn unwritten(error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the output can not be written: {}", error.kind()), "")
}

/// A file that the operator named can't be read.
pub(crate) fn unreadable(argument: &str, error: &io::Error) -> Error {
    Error::invalid(argument, format!("it can not be read: {}", error.kind()), "name a file that can")
}

/// A bar on standard error, when that is a terminal.
pub(crate) fn progress(total: u64, template: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style)
}
