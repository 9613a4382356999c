//! `musubi audit list`: lines of the audit, as an auditor reads them from a running company server.

use std::io::Write;

use clap::{Args, ValueEnum};
use musubi_domain::Error;
use musubi_proto::{
    company::v1::{self as company, audit_service_client::AuditServiceClient},
    information::v1::{
        self as information, audit_service_client::AuditServiceClient as InformationAuditClient,
    },
};
use musubi_runtime::grpc::MAX_MESSAGE_BYTES;

use super::{
    Connection, Ending,
    listing::{Format, Listing},
    refused, unwritten,
    words::show_time,
};

/// Whose lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Whose {
    /// The information-management server's, about this company and its followers.
    #[default]
    Information,
    /// The company server's own: looks at the customer master, sign-ins, whom its door refused.
    Company,
}

/// Lines from the newest back, from a running company server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  musubi audit list --official-account tf-bank          what happened to the account's followers
  musubi audit list                                     what was done with distributions, approvals, copies
  musubi audit list --node company --action signed_in

MUSUBI_SERVER names the company server, MUSUBI_CERTIFICATE or MUSUBI_TOKEN says who you are: an auditor or an administrator.")]
pub struct AuditLines {
    #[command(flatten)]
    connection: Connection,
    /// Whose audit it is.
    #[arg(long, value_enum, default_value_t)]
    node: Whose,
    /// Lines about followers of this account; without it those of no account.
    #[arg(long, value_name = "ACCOUNT", default_value = "", hide_default_value = true)]
    official_account: String,
    /// Only lines of this action.
    #[arg(long, value_name = "WORD", default_value = "", hide_default_value = true)]
    action: String,
    /// Only lines whose detail has this.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    text: String,
    /// How many, 1 to 1,000.
    #[arg(long, default_value_t = 100)]
    limit: u32,
    /// Only lines before the one with this id.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    before: String,
    /// How to write them.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl AuditLines {
    /// Asks for them, and writes them.
    pub(crate) async fn run(self, out: &mut dyn Write) -> Result<Ending, Error> {
        let channel = self.connection.channel()?;
        let Self { official_account, action, text, limit: page_size, before: page_token, format, .. } = self;
        let mut listing = Listing::new(&["line", "time", "follower", "action", "detail"]);
        let next = match self.node {
            Whose::Information => {
                let mut client =
                    InformationAuditClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
                let request = information::ListInformationAuditLinesRequest {
                    official_account,
                    action,
                    text,
                    page_size,
                    page_token,
                };
                let page = client.list_information_audit_lines(request).await.map_err(refused)?.into_inner();
                for it in page.lines {
                    let time = show_time(it.write_time.as_ref());
                    listing.add([it.audit_id.to_string(), time, it.follower_id, it.action, it.detail]);
                }
                page.next_page_token
            }
            Whose::Company if official_account.is_empty() => {
                let mut client =
                    AuditServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
                let request = company::ListAuditLinesRequest { action, text, page_size, page_token };
                let page = client.list_audit_lines(request).await.map_err(refused)?.into_inner();
                for it in page.lines {
                    let time = show_time(it.write_time.as_ref());
                    listing.add([it.audit_id.to_string(), time, String::new(), it.action, it.detail]);
                }
                page.next_page_token
            }
            Whose::Company => {
                let problem = "the company server's own lines are of no account";
                return Err(Error::invalid("--official-account", problem, "leave it out, or --node company"));
            }
        };
        listing.write(format, out)?;
        if format == Format::Table && !next.is_empty() {
            writeln!(out, "older ones: --before {next}").map_err(unwritten)?;
        }
        Ok(Ending::Done)
    }
}
