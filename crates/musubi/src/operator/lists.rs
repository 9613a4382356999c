//! `musubi lists`: subscriber lists as they stand, and the release of one that is quarantined.

use std::io::Write;

use clap::{Args, Subcommand};
use musubi_domain::Error;
use musubi_proto::information::v1::{
    Acquisition, GetFunnelRequest, ReleaseListRequest, follower_service_client::FollowerServiceClient,
};
use musubi_runtime::grpc::MAX_MESSAGE_BYTES;

use super::{
    Connection, Ending, approvals,
    listing::{Format, Listing},
    refused, unwritten,
    words::{show_time, thousands},
};

/// `musubi lists`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  musubi lists show                                       every list, and which are quarantined with how many missing
  musubi lists release --official-account tf-bank --carrier kumo

A list that loses too many followers at once is quarantined: it stays as it was, and nothing individual goes to those who are missing, until
a later list says the same, or people release it. Released, the carrier's list is fetched again at once; it becomes the list if no more
followers are missing than were shown, and those who are missing then have left.

MUSUBI_SERVER names the company server, MUSUBI_CERTIFICATE or MUSUBI_TOKEN says who you are.")]
pub struct Lists {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show every list: whether it is quarantined, since when, and how many followers are missing.
    Show {
        /// Only this account's.
        #[arg(long, value_name = "ACCOUNT", default_value = "", hide_default_value = true)]
        official_account: String,
        /// How to write them.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Have a quarantined list believed. Needs a second person, unless the configuration says otherwise.
    Release {
        /// Whose list.
        #[arg(long, value_name = "ACCOUNT")]
        official_account: String,
        /// At which carrier.
        #[arg(long)]
        carrier: String,
    },
}

impl Lists {
    /// Does it, and writes the answer.
    pub(crate) async fn run(self, out: &mut dyn Write) -> Result<Ending, Error> {
        let mut client = FollowerServiceClient::new(self.connection.channel()?)
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        match self.command {
            Command::Show { official_account, format } => {
                let request = GetFunnelRequest { official_account };
                let answer = client.get_funnel(request).await.map_err(refused)?.into_inner();
                show(&answer.acquisitions, format, out)?;
                Ok(Ending::Done)
            }
            Command::Release { official_account, carrier } => {
                let request = ReleaseListRequest { official_account, carrier, operator: String::new() };
                let answer = client.release_list(request).await.map_err(refused)?.into_inner();
                let then = "the list is fetched at once then, and believed if it lacks no more";
                if let Some(approval) = answer.approval {
                    return approvals::waits(&approval, then, out);
                }
                let said = match answer.quarantine {
                    Some(_) => "released: the list is fetched at once, and believed if it lacks no more",
                    None => "the list is not quarantined, and left as it is",
                };
                writeln!(out, "{said}; musubi lists show tells").map_err(unwritten)?;
                Ok(Ending::Done)
            }
        }
    }
}

fn show(lists: &[Acquisition], format: Format, out: &mut dyn Write) -> Result<(), Error> {
    let mut listing = Listing::new(&[
        "official_account",
        "carrier",
        "state",
        "followers",
        "missing",
        "quarantined_since",
        "last_promoted",
    ]);
    let mut quarantined = 0;
    for list in lists {
        let (state, counts) = match &list.quarantine {
            None => ("present", [String::new(), String::new(), String::new()]),
            Some(quarantine) => {
                quarantined += 1;
                let since = show_time(quarantine.begin_time.as_ref());
                let state = if quarantine.released { "released" } else { "quarantined" };
                (state, [quarantine.followers.to_string(), quarantine.missing.to_string(), since])
            }
        };
        let [followers, missing, since] = counts;
        let last = show_time(list.promote_time.as_ref());
        let (account, carrier) = (list.official_account.clone(), list.carrier.clone());
        listing.add([account, carrier, state.to_owned(), followers, missing, since, last]);
    }
    listing.write(format, out)?;
    if format != Format::Table {
        return Ok(());
    }
    let hint = if quarantined > 0 { "; musubi lists release has one believed" } else { "" };
    writeln!(out, "{} lists, {} quarantined{hint}", thousands(lists.len() as u64), thousands(quarantined))
        .map_err(unwritten)
}

#[cfg(test)]
mod tests {
    use musubi_proto::information::v1::Quarantine;

    use super::*;

    #[test]
    fn a_quarantined_list_is_shown_with_what_is_missing() {
        let list = |quarantine| Acquisition {
            official_account: "bank".to_owned(),
            carrier: "kumo".to_owned(),
            quarantine,
            ..Acquisition::default()
        };
        let quarantine = Quarantine { followers: 5_000, missing: 1_200, ..Quarantine::default() };
        let mut out = Vec::new();
        show(&[list(Some(quarantine)), list(None)], Format::Table, &mut out).unwrap();
        let said = String::from_utf8(out).unwrap();
        for part in ["quarantined", "5000", "1200", "present", "2 lists, 1 quarantined; musubi lists release"]
        {
            assert!(said.contains(part), "no {part} in {said}");
        }
    }
}
