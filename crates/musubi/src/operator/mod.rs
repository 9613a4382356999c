//! What a company's operators do from the command line, against a running company server.
//!
//! Nothing is decided here: files are checked before they are sent, answers are shown. Only the company server is called, also
//! for followers, reviews, approvals and distributions; it passes those on. Surprising: every failure, the server's or our own, is one
//! [`Error`], so that all of them are shown as field, problem and remedy.

mod accounts;
mod approvals;
mod audit_lines;
mod by_hand;
mod consents;
mod customers;
mod distribution_file;
mod distributions;
mod followers;
pub(crate) mod listing;
mod lists;
mod operators;
mod reviews;
mod rights;
mod session;
mod sessions;
#[cfg(test)]
mod tests;
mod trials;
pub(crate) mod words;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use musubi_domain::{Error, ErrorKind, sign_in::Token};
use musubi_runtime::{
    config::Endpoint,
    grpc::{
        client::{ClientOptions, PeerChannel, connect, connect_with_token},
        status::from_status,
    },
    tls::{Identity, TlsConfig},
};
use tonic::Status;
use zeroize::Zeroizing;

pub use self::{
    accounts::Accounts, approvals::Approvals, audit_lines::AuditLines, customers::Customers,
    distributions::Distributions, followers::Followers, lists::Lists, operators::Operators, reviews::Reviews,
    session::Session,
};

/// How long an upload may take.
const UPLOAD_DEADLINE: Duration = Duration::from_secs(3600);
/// How long any other call may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Which company server, and as whom.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// The company server.
    #[arg(long, global = true, value_name = "https://HOST:PORT", env = "MUSUBI_SERVER")]
    server: Option<Endpoint>,
    /// The operator's certificate, PEM. Its key stands beside it, with `.key` for `.pem`, unless --key names it.
    #[arg(long, global = true, value_name = "FILE.pem", env = "MUSUBI_CERTIFICATE")]
    certificate: Option<PathBuf>,
    /// The file with a session's token or a machine's key, instead of a certificate; `musubi session begin` writes one.
    #[arg(long, global = true, value_name = "FILE", env = "MUSUBI_TOKEN")]
    token: Option<PathBuf>,
    /// The key of the certificate.
    #[arg(long, global = true, value_name = "FILE.key", env = "MUSUBI_KEY")]
    key: Option<PathBuf>,
    /// Certificates of the authorities that the server's may come from; without it authority.pem beside the certificate, or
    /// beside the token.
    #[arg(long, global = true, value_name = "FILE.pem", env = "MUSUBI_AUTHORITIES")]
    authorities: Option<PathBuf>,
}

impl Connection {
    fn server(&self) -> Result<&Endpoint, Error> {
        self.server.as_ref().ok_or_else(|| {
            let remedy = "add --server https://HOST:PORT, or set MUSUBI_SERVER";
            Error::invalid("--server", "no company server is named", remedy)
        })
    }

    /// Where a session's token is, or comes to be.
    fn token_file(&self) -> Result<&Path, Error> {
        self.token.as_deref().ok_or_else(|| {
            let remedy = "add --token FILE, or set MUSUBI_TOKEN";
            Error::invalid("--token", "no file for the session's token is named", remedy)
        })
    }

    /// Who calls without a certificate.
    fn read_token(&self) -> Result<Token, Error> {
        let Some(file) = &self.token else {
            let remedy = "add --token FILE of `musubi session begin`, or --certificate FILE.pem; or set MUSUBI_TOKEN or MUSUBI_CERTIFICATE";
            return Err(Error::invalid("--token", "nothing says who you are", remedy));
        };
        let text = fs::read_to_string(file).map(Zeroizing::new).map_err(|error| {
            let remedy = "sign in with `musubi session begin NAME`, or name another file";
            Error { remedy: remedy.to_owned(), ..unreadable("--token", &error) }
        })?;
        text.trim().parse().map_err(|error: Error| error.at("--token"))
    }

    /// As nobody yet.
    fn stranger(&self) -> Result<PeerChannel, Error> {
        self.by_token(None)
    }

    fn by_token(&self, token: Option<&Token>) -> Result<PeerChannel, Error> {
        let beside = self.token.as_ref().map(|token| token.with_file_name("authority.pem"));
        let authorities = self.authorities.clone().or(beside).ok_or_else(|| {
            let remedy = "add --authorities FILE.pem, or set MUSUBI_AUTHORITIES";
            Error::invalid("--authorities", "nothing says which server to believe", remedy)
        })?;
        connect_with_token(&authorities, token, self.server()?, ClientOptions { deadline: DEADLINE })
            .map_err(|error| if error.field == "endpoint" { error.at("--server") } else { error })
    }

    fn channel(&self) -> Result<PeerChannel, Error> {
        let server = self.server()?;
        let Some(certificate) = &self.certificate else {
            return self.by_token(Some(&self.read_token()?));
        };
        let files = TlsConfig {
            certificate: certificate.clone(),
            key: self.key.clone().unwrap_or_else(|| certificate.with_extension("key")),
            authorities: self
                .authorities
                .clone()
                .unwrap_or_else(|| certificate.with_file_name("authority.pem")),
            revoked: None,
            name: vec![],
        };
        let identity = Identity::load(&files).map_err(|error| {
            let argument = error.field.replace("tls.", "--");
            error.at(argument)
        })?;
        connect(&identity, server, None, ClientOptions { deadline: DEADLINE })
            .map_err(|error| error.at("--server"))
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
        ErrorKind::PermissionDenied => {
            let remedy =
                "ask an administrator for a role that may; `musubi session show` says which you have";
            Error { remedy: remedy.to_owned(), ..error }
        }
        ErrorKind::Unavailable if error.problem.starts_with("the peer does not answer") => {
            let remedy = "start the company server, or name another with --server; then repeat it".to_owned();
            Error { remedy, ..error }
        }
        ErrorKind::Unavailable
        | ErrorKind::Unauthenticated
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
