//! `musubi operators`: who may call the company server.
//!
//! Surprising: what is made here is shown once. An invitation goes to standard output, a machine's key into a file.

use std::{io::Write, path::PathBuf};

use clap::{Args, Subcommand};
use musubi_domain::{Error, caller::Role};
use musubi_proto::{
    company::v1::{
        CreateMachineRequest, InviteOperatorRequest, ListOperatorsRequest, Operator, RemoveOperatorRequest,
        UnlockOperatorRequest, operator::Way, operator_service_client::OperatorServiceClient,
    },
    convert::people::wire_roles,
};

use super::{
    Connection, Ending,
    listing::{Format, Listing},
    refused,
    session::write_secret,
    unwritten,
    words::{role_words, show_time, thousands},
};

/// `musubi operators`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  musubi operators invite sato --role editor --role viewer   the invitation is for sato alone: musubi session accept takes it
  musubi operators invite sato --role editor                 the same again: password, codes and sessions of before are gone
  musubi operators invite mori --role viewer --openid mori@bank.example   she signs in at the company's provider of OpenID Connect
  musubi operators create-machine nightly-import --role administrator --days 90 --to nightly.key
  musubi operators list
  musubi operators unlock sato                               after too many wrong tries
  musubi operators remove nightly-import

Roles:
  viewer         sees counts and states of distributions
  editor         prepares distributions, previews them, stops them; sees followers and customers
  approver       decides reviews, starts and stops distributions; sees what that needs; never a machine
  auditor        sees everything, and changes nothing
  administrator  keeps the customer master and the operators; erases, searches and exports people; stops distributions

MUSUBI_SERVER names the company server, MUSUBI_CERTIFICATE or MUSUBI_TOKEN says who you are.")]
pub struct Operators {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List people and machines.
    List {
        /// How to write them.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Invite a person, or the same person anew.
    Invite {
        /// 1 to 63 of a-z, 0-9 and hyphen; records show it.
        name: String,
        /// What they may do; may be given again.
        #[arg(long, required = true)]
        role: Vec<Role>,
        /// What the company's provider of OpenID Connect calls them, as sato@bank.example: they sign in there, without a password.
        #[arg(long, value_name = "WHO", default_value = "", hide_default_value = true)]
        openid: String,
    },
    /// Make a machine with a key of its own.
    CreateMachine {
        /// 1 to 63 of a-z, 0-9 and hyphen; records show it.
        name: String,
        /// What it may do, all but approver; may be given again.
        #[arg(long, required = true)]
        role: Vec<Role>,
        /// For how many days the key is good, 1 to 366.
        #[arg(long, default_value_t = 90)]
        days: u32,
        /// The file for the key; commands take it by --token.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Forget a person's wrong tries.
    Unlock {
        /// Whose.
        name: String,
    },
    /// Remove a person or a machine; sessions and keys end at once.
    Remove {
        /// Whom.
        name: String,
    },
}

impl Operators {
    /// Does it, and writes the answer.
    pub(crate) async fn run(self, out: &mut dyn Write) -> Result<Ending, Error> {
        let mut client = OperatorServiceClient::new(self.connection.channel()?);
        match self.command {
            Command::List { format } => {
                let found =
                    client.list_operators(ListOperatorsRequest {}).await.map_err(refused)?.into_inner();
                list(found.operators, format, out)?;
            }
            Command::Invite { name, role, openid } => {
                let request = InviteOperatorRequest { name: name.clone(), roles: wire_roles(&role), openid };
                let invited = client.invite_operator(request).await.map_err(refused)?.into_inner();
                let until = show_time(invited.end_time.as_ref());
                match invited.invitation.as_str() {
                    "" => writeln!(out, "{name} has until {until} to sign in at the company's provider first"),
                    invitation => writeln!(
                        out,
                        "{invitation}\nFor {name} alone, until {until}; it is not shown again. They take it with: musubi session accept",
                    ),
                }
                .map_err(unwritten)?;
            }
            Command::CreateMachine { name, role, days, to } => {
                // Found out before there is a key that nobody has.
                write_secret(&to, "", "--to")?;
                let request = CreateMachineRequest { name: name.clone(), roles: wire_roles(&role), days };
                let made = client.create_machine(request).await.map_err(refused)?.into_inner();
                write_secret(&to, &made.key, "--to")?;
                let until = show_time(made.end_time.as_ref());
                writeln!(out, "{} holds the key of {name} until {until}", to.display()).map_err(unwritten)?;
            }
            Command::Unlock { name } => {
                client
                    .unlock_operator(UnlockOperatorRequest { name: name.clone() })
                    .await
                    .map_err(refused)?;
                writeln!(out, "{name} may try again").map_err(unwritten)?;
            }
            Command::Remove { name } => {
                client
                    .remove_operator(RemoveOperatorRequest { name: name.clone() })
                    .await
                    .map_err(refused)?;
                writeln!(out, "{name} is removed").map_err(unwritten)?;
            }
        }
        Ok(Ending::Done)
    }
}

const COLUMNS: &[&str] = &["name", "by", "roles", "state", "last_seen", "wrong_tries"];

fn list(operators: Vec<Operator>, format: Format, out: &mut dyn Write) -> Result<(), Error> {
    let mut listing = Listing::new(COLUMNS);
    let count = operators.len() as u64;
    for operator in operators {
        let by = operator.way().as_str_name().trim_start_matches("WAY_").to_ascii_lowercase();
        let row = [
            by,
            role_words(&operator.roles),
            state(&operator),
            show_time(operator.sign_in_time.as_ref()),
            operator.failures.to_string(),
        ];
        let [by, roles, state, last_seen, wrong_tries] = row;
        listing.add([operator.name, by, roles, state, last_seen, wrong_tries]);
    }
    listing.write(format, out)?;
    if format == Format::Table {
        writeln!(out, "{} operators", thousands(count)).map_err(unwritten)?;
    }
    Ok(())
}

fn state(operator: &Operator) -> String {
    let end = show_time(operator.end_time.as_ref());
    if operator.is_locked {
        return "locked".to_owned();
    }
    if operator.wait_end_time.is_some() {
        return format!("waits until {}", show_time(operator.wait_end_time.as_ref()));
    }
    match operator.way() {
        Way::Password | Way::Openid if !end.is_empty() => format!("invited until {end}"),
        Way::Key => format!("until {end}"),
        Way::Password | Way::Openid | Way::Certificate | Way::Unspecified => String::new(),
    }
}
