//! What a company's operators do from the command line, against a running company server.
//!
//! Nothing is decided here: files are checked before they are sent, answers are shown. Only the company server is called, also
//! for followers, reviews, approvals and distributions; it passes those on. Surprising: every failure, the server's or our own, is one
//! [`Error`], so that all of them are shown as field, problem and remedy.

mod approvals;
mod customers;
mod distribution_file;
mod distributions;
mod followers;
pub(crate) mod listing;
mod lists;
mod reviews;
mod rights;
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
    config::Endpoint,
    grpc::{
        client::{ClientOptions, PeerChannel, connect},
        status::from_status,
    },
    tls::{Identity, TlsConfig},
};
use tonic::Status;

pub use self::{
    approvals::Approvals, customers::Customers, distributions::Distributions, followers::Followers,
    lists::Lists, reviews::Reviews,
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
    /// The key of the certificate.
    #[arg(long, global = true, value_name = "FILE.key", env = "MUSUBI_KEY")]
    key: Option<PathBuf>,
    /// Certificates of the authorities that the server's may come from; without it authority.pem beside the certificate.
    #[arg(long, global = true, value_name = "FILE.pem", env = "MUSUBI_AUTHORITIES")]
    authorities: Option<PathBuf>,
}

impl Connection {
    fn channel(&self) -> Result<PeerChannel, Error> {
        let server = self.server.as_ref().ok_or_else(|| {
            let remedy = "add --server https://HOST:PORT, or set MUSUBI_SERVER";
            Error::invalid("--server", "no company server is named", remedy)
        })?;
        let certificate = self.certificate.as_ref().ok_or_else(|| {
            let remedy =
                "add --certificate FILE.pem, or set MUSUBI_CERTIFICATE; `musubi certs issue` makes one";
            Error::invalid("--certificate", "nothing says who you are", remedy)
        })?;
        let files = TlsConfig {
            certificate: certificate.clone(),
            key: self.key.clone().unwrap_or_else(|| certificate.with_extension("key")),
            authorities: self
                .authorities
                .clone()
                .unwrap_or_else(|| certificate.with_file_name("authority.pem")),
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
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => {
            Error { remedy: "give the certificate of an operator of this company server".to_owned(), ..error }
                .at("--certificate")
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
