//! `musubi accounts`: the company's official accounts, as the information-management server is configured.

use std::io::Write;

use clap::{Args, Subcommand};
use musubi_domain::Error;
use musubi_proto::information::v1::{
    ListAccountsRequest, OfficialAccount, account_service_client::AccountServiceClient,
};
use musubi_runtime::grpc::MAX_MESSAGE_BYTES;

use super::{
    Connection, Ending,
    listing::{Format, Listing},
    refused, unwritten,
    words::thousands,
};

/// `musubi accounts`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  musubi accounts list
  musubi accounts messages tf-bank        what its dialogue says, message by message

MUSUBI_SERVER names the company server, MUSUBI_CERTIFICATE or MUSUBI_TOKEN says who you are.")]
pub struct Accounts {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the accounts and what they are configured to do.
    List {
        /// How to write them.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show what an account says in its dialogue.
    Messages {
        /// The account.
        official_account: String,
        /// How to write it.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

impl Accounts {
    /// Does it, and writes the answer.
    pub(crate) async fn run(self, out: &mut dyn Write) -> Result<Ending, Error> {
        let mut client = AccountServiceClient::new(self.connection.channel()?)
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let answer = client.list_accounts(ListAccountsRequest {}).await.map_err(refused)?.into_inner();
        match self.command {
            Command::List { format } => {
                list(&answer.official_accounts, format, out)?;
                if format == Format::Table {
                    let above = thousands(answer.second_person_above);
                    writeln!(
                        out,
                        "a distribution to more than {above} followers is started by a second person"
                    )
                    .map_err(unwritten)?;
                }
            }
            Command::Messages { official_account, format } => {
                let account =
                    answer.official_accounts.into_iter().find(|it| it.official_account == official_account);
                let account = account.ok_or_else(|| {
                    let remedy = "`musubi accounts list` shows which there are";
                    Error::invalid("official_account", "there is no such account of the company", remedy)
                })?;
                messages(account, format, out)?;
            }
        }
        Ok(Ending::Done)
    }
}

fn list(accounts: &[OfficialAccount], format: Format, out: &mut dyn Write) -> Result<(), Error> {
    let mut listing = Listing::new(&[
        "official_account",
        "name",
        "carriers",
        "tries",
        "reminders",
        "remind_after",
        "ask_again_after",
        "tie_days",
        "second_person_reviews",
    ]);
    for account in accounts.iter().cloned() {
        let settings = account.settings.unwrap_or_default();
        listing.add([
            account.official_account,
            account.display_name,
            account.carriers.join(" "),
            settings.tries.to_string(),
            settings.reminders.to_string(),
            span(settings.remind_after_seconds),
            span(settings.ask_again_after_seconds),
            settings.tie_days.to_string(),
            settings.review_second_person.to_string(),
        ]);
    }
    listing.write(format, out)
}

/// So many seconds, in the largest unit that leaves nothing over.
fn span(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let unit = units.into_iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{seconds}s"), |(unit, letter)| format!("{}{letter}", seconds / unit))
}

fn messages(account: OfficialAccount, format: Format, out: &mut dyn Write) -> Result<(), Error> {
    let mut listing = Listing::new(&["message", "text", "buttons"]);
    for message in account.messages {
        let content = message.content.unwrap_or_default();
        let buttons: Vec<_> = content.suggestions.into_iter().map(|button| button.text).collect();
        listing.add([message.purpose, content.text, buttons.join(" / ")]);
    }
    listing.write(format, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_said_in_its_largest_whole_unit() {
        let spans = [(0, "0s"), (59, "59s"), (60, "1m"), (86_400, "1d"), (90_000, "25h"), (5_400, "90m")];
        spans.iter().for_each(|(seconds, text)| assert_eq!(span(*seconds), *text));
    }
}
