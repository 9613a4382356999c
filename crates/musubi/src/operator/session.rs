//! `musubi session`: invitations are taken, people sign in and out.
//!
//! Passwords, codes and tokens are never arguments, which everybody on the machine can read: they are typed unseen, or read from
//! standard input, a line each. Surprising: the session's token goes into the file that `--token` names, and every other command
//! finds it there.

use std::{
    fs::{self, OpenOptions},
    io::{self, IsTerminal as _, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use clap::{Args, Subcommand};
use musubi_domain::{Error, ErrorKind};
use musubi_proto::company::v1::{
    AcceptInvitationRequest, SessionWay, SignInRequest, SignOutRequest, WhoAmIRequest,
    sign_in_service_client::SignInServiceClient,
};
use musubi_runtime::grpc::status::from_status;
use qrcode::{QrCode, render::unicode::Dense1x2};
use zeroize::Zeroizing;

use super::{
    Connection, Ending, refused,
    sessions::{List, Others},
    unreadable, unwritten,
    words::{role_words, show_time},
};

/// `musubi session`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  musubi session accept                   take an invitation: it asks for that and for a password, and shows the authenticator's secret
  musubi session begin sato               it asks for the password and the authenticator's code
  musubi session show                     who you are here, and what you may do
  musubi session list                     where you are signed in
  musubi session end                      sign out here
  musubi session end --others             and everywhere else; --session ses_… ends one
  musubi session end --of sato            all of sato's, for administrators

What is asked for is typed unseen, or read from standard input, a line each.

MUSUBI_SERVER names the company server, MUSUBI_TOKEN the file for the session's token, MUSUBI_AUTHORITIES the authorities of the
server's certificate (authority.pem beside the token, if it isn't set).")]
pub struct Session {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take the name that an administrator invited you by.
    Accept,
    /// Sign in.
    Begin {
        /// Your name.
        name: String,
    },
    /// Show who calls, and what they may do.
    Show,
    /// List your sessions, or everybody's.
    List(List),
    /// Sign out, or end other sessions.
    End(Others),
}

impl Session {
    /// Does it, and writes the answer.
    pub(crate) async fn run(self, out: &mut dyn Write) -> Result<Ending, Error> {
        match self.command {
            Command::Accept => accept(&self.connection, out).await?,
            Command::Begin { name } => begin(&self.connection, name, out).await?,
            Command::Show => show(&self.connection, out).await?,
            Command::List(list) => list.run(self.connection.channel()?, out).await?,
            Command::End(others) if others.is_own() => end(&self.connection, out).await?,
            Command::End(others) => others.end(self.connection.channel()?, out).await?,
        }
        Ok(Ending::Done)
    }
}

/// Asks on the terminal, without showing what is typed; else reads a line.
fn ask(what: &str) -> Result<Zeroizing<String>, Error> {
    let mut line = Zeroizing::new(String::new());
    if io::stdin().is_terminal() {
        let typed = rpassword::prompt_password(format!("{what}: "));
        *line = typed.map_err(|error| unreadable("standard input", &error))?;
    } else {
        io::stdin().read_line(&mut line).map_err(|error| unreadable("standard input", &error))?;
    }
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

async fn accept(connection: &Connection, out: &mut dyn Write) -> Result<(), Error> {
    let mut client = SignInServiceClient::new(connection.stranger()?);
    let invitation = ask("invitation")?;
    let password = ask("a new password, 12 characters at least")?;
    if io::stdin().is_terminal() && ask("the same again")? != password {
        return Err(Error::invalid("password", "the two are not the same", "begin again"));
    }
    let request =
        AcceptInvitationRequest { invitation: invitation.to_string(), password: password.to_string() };
    let taken = client.accept_invitation(request).await.map_err(|status| from_status(&status))?.into_inner();
    if io::stdout().is_terminal()
        && let Ok(code) = QrCode::new(taken.authenticator_uri.as_bytes())
    {
        // Terminals are dark more often than not, and readers want a light frame.
        let (dark, light) = (Dense1x2::Light, Dense1x2::Dark);
        let picture = code.render::<Dense1x2>().dark_color(dark).light_color(light).build();
        writeln!(out, "{picture}").map_err(unwritten)?;
    }
    writeln!(
        out,
        "{}\nYou are {}. Give this to your authenticator app now, it is not shown again; then: musubi session begin {}",
        taken.authenticator_uri, taken.name, taken.name
    )
    .map_err(unwritten)
}

async fn begin(connection: &Connection, name: String, out: &mut dyn Write) -> Result<(), Error> {
    let file = connection.token_file()?;
    let mut client = SignInServiceClient::new(connection.stranger()?);
    let (password, code) = (ask("password")?, ask("code")?);
    let request = SignInRequest {
        name: name.clone(),
        password: password.to_string(),
        code: code.to_string(),
        way: SessionWay::CommandLine.into(),
    };
    let session = client.sign_in(request).await.map_err(|status| from_status(&status))?.into_inner();
    write_secret(file, &session.token, "--token")?;
    let until = show_time(session.end_time.as_ref());
    writeln!(out, "signed in as {name} ({}) until {until}", role_words(&session.roles)).map_err(unwritten)
}

async fn show(connection: &Connection, out: &mut dyn Write) -> Result<(), Error> {
    let mut client = SignInServiceClient::new(connection.channel()?);
    let who = client.who_am_i(WhoAmIRequest {}).await.map_err(refused)?.into_inner();
    let kind = if who.is_machine { "machine " } else { "" };
    writeln!(out, "{kind}{} ({})", who.name, role_words(&who.roles)).map_err(unwritten)
}

async fn end(connection: &Connection, out: &mut dyn Write) -> Result<(), Error> {
    let file = connection.token_file()?;
    let mut client = SignInServiceClient::new(connection.channel()?);
    match client.sign_out(SignOutRequest {}).await.map_err(refused) {
        Ok(_) => {}
        // It has ended by itself.
        Err(error) if error.kind == ErrorKind::Unauthenticated => {}
        Err(error) => return Err(error),
    }
    fs::remove_file(file).map_err(|error| unreadable("--token", &error))?;
    writeln!(out, "signed out").map_err(unwritten)
}

/// Writes a secret into a file that only its owner reads: beside it first, so that nobody reads half of it.
pub(super) fn write_secret(file: &Path, secret: &str, argument: &str) -> Result<(), Error> {
    let beside = file.with_extension("new");
    let _old = fs::remove_file(&beside);
    let made = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&beside);
    let written = made
        .and_then(|mut made| made.write_all(format!("{secret}\n").as_bytes()))
        .and_then(|()| fs::rename(&beside, file));
    written.map_err(|error| {
        let problem = format!("it can not be written: {}", error.kind());
        Error::invalid(argument, problem, "name a file that can")
    })
}
