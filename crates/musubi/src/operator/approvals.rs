//! `musubi approvals`: what one person has asked for and another has to approve.
//!
//! Here is also what a command says that was answered with "it waits" ([`waits`]). Surprising: there is no command that asks. Asking is the command that one
//! wanted to run anyway.

use std::io::Write;

use clap::{Args, Subcommand};
use musubi_domain::{Error, approval::ApprovalState as State};
use musubi_proto::information::v1::{
    Approval, ApprovalAct, ApprovalState, GetApprovalRequest, GrantApprovalRequest, ListApprovalsRequest,
    RejectApprovalRequest, approval_service_client::ApprovalServiceClient,
};
use musubi_runtime::grpc::{MAX_MESSAGE_BYTES, client::PeerChannel};

use super::{
    Connection, Ending,
    listing::{Format, Listing},
    refused, unwritten,
    words::{approval_state_word, parse_approval_state, show_time, thousands},
};

/// Approvals of a page.
const PAGE: u32 = 1000;
/// Those of which something may still come.
const OPEN: [ApprovalState; 2] = [ApprovalState::Waiting, ApprovalState::Approved];

/// `musubi approvals`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  musubi approvals list                        what waits for a second person, the oldest first
  musubi approvals list --state done --format csv
  musubi approvals show apv_0190…              what an approval would do, and whom it is about
  musubi approvals approve apv_0190…           erases, or releases the list; an export is given to who asked for it, when they ask again
  musubi approvals reject apv_0190…            nothing happens; whoever asked takes it back so

Three things need a second person, unless the information-management server's configuration says otherwise (second_person):
  musubi followers export, musubi followers erase, musubi lists release
Nobody approves what they asked for themselves. A distribution to many followers (second_person_above) stands in no list of these: it is submitted,
and started by somebody who has not prepared it (musubi distributions list --state submitted).

MUSUBI_SERVER names the company server, MUSUBI_CERTIFICATE or MUSUBI_TOKEN says who you are.")]
pub struct Approvals {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what was asked for, the oldest first; without --state what is open.
    List {
        /// Only those that stand there: waiting, approved, done, rejected, expired.
        #[arg(long, value_parser = parse_approval_state)]
        state: Option<State>,
        /// How to write them.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show one: who asked for what, and the followers whom it is about.
    Show {
        /// Which.
        approval_id: String,
    },
    /// Want it, too. It is done in the same moment; an export may then be fetched by who asked for it.
    Approve {
        /// Which.
        approval_id: String,
    },
    /// Not want it, or take back what you have asked for.
    Reject {
        /// Which.
        approval_id: String,
    },
}

type Client = ApprovalServiceClient<PeerChannel>;

impl Approvals {
    /// Does it, and writes the answer.
    pub(crate) async fn run(self, out: &mut dyn Write) -> Result<Ending, Error> {
        let mut client = Client::new(self.connection.channel()?).max_decoding_message_size(MAX_MESSAGE_BYTES);
        match self.command {
            Command::List { state, format } => {
                let states = state.map_or(OPEN.to_vec(), |state| vec![state.into()]);
                list(client, &states, format, out).await?;
            }
            Command::Show { approval_id } => {
                let answer = client.get_approval(GetApprovalRequest { approval_id }).await;
                show(&answer.map_err(refused)?.into_inner().approval.unwrap_or_default(), out)?;
            }
            Command::Approve { approval_id } => {
                let request = GrantApprovalRequest { approval_id, operator: String::new() };
                let answer = client.grant_approval(request).await.map_err(refused)?.into_inner();
                approved(&answer.approval.unwrap_or_default(), out)?;
            }
            Command::Reject { approval_id } => {
                let request = RejectApprovalRequest { approval_id, operator: String::new() };
                let answer = client.reject_approval(request).await.map_err(refused)?.into_inner();
                let approval = answer.approval.unwrap_or_default();
                writeln!(out, "rejected: nothing comes of it ({})", what(&approval)).map_err(unwritten)?;
            }
        }
        Ok(Ending::Done)
    }
}

/// Says that something waits for a second person, and what comes after that. What was asked for is not done.
pub(super) fn waits(approval: &Approval, then: &str, out: &mut dyn Write) -> Result<Ending, Error> {
    let Approval { approval_id: id, asked_by, .. } = approval;
    let until = show_time(approval.expire_time.as_ref());
    writeln!(out, "waits for a second person until {until}: {id} ({})", what(approval))
        .and_then(|()| {
            let who = format!("an approver or administrator other than {asked_by}");
            writeln!(out, "next: {who} runs musubi approvals approve {id}; {then}")
        })
        .map_err(unwritten)?;
    Ok(Ending::Refused)
}

/// What it is about, in a few words.
fn what(approval: &Approval) -> String {
    let people = thousands(approval.people);
    let account = &approval.official_account;
    match approval.act() {
        ApprovalAct::Unspecified => "unknown to this version".to_owned(),
        ApprovalAct::Export => format!("export 1 follower of {account}"),
        ApprovalAct::Erase if account.is_empty() => format!("erase {people} followers"),
        ApprovalAct::Erase => format!("erase {people} followers of {account}"),
        ApprovalAct::Release => {
            let followers = thousands(approval.followers);
            format!(
                "release {account} at {}: {people} of {followers} followers are missing",
                approval.carrier
            )
        }
    }
}

fn approved(approval: &Approval, out: &mut dyn Write) -> Result<(), Error> {
    let becomes = match approval.act() {
        ApprovalAct::Unspecified => "it is done".to_owned(),
        ApprovalAct::Export => {
            let asked_by = &approval.asked_by;
            let until = show_time(approval.expire_time.as_ref());
            format!("{asked_by} may fetch it, once, by the same command again, until {until}")
        }
        ApprovalAct::Erase => {
            "everything about them is erased within a minute; musubi followers prove-erased shows it"
                .to_owned()
        }
        ApprovalAct::Release => {
            "the list is fetched at once, and believed if it lacks no more; musubi lists show tells"
                .to_owned()
        }
    };
    writeln!(out, "approved: {becomes} ({})", what(approval)).map_err(unwritten)
}

const COLUMNS: &[&str] =
    &["approval_id", "what", "state", "asked_by", "decided_by", "ask_time", "state_time", "expire_time"];

fn row(approval: &Approval) -> [String; 8] {
    let [asked, stands, expires] = [&approval.ask_time, &approval.state_time, &approval.expire_time]
        .map(|time| show_time(time.as_ref()));
    [
        approval.approval_id.clone(),
        what(approval),
        approval_state_word(approval.state()),
        approval.asked_by.clone(),
        approval.decided_by.clone(),
        asked,
        stands,
        expires,
    ]
}

async fn list(
    mut client: Client,
    states: &[ApprovalState],
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut listing = Listing::new(COLUMNS);
    let mut count = 0;
    for state in states {
        let mut page_token = String::new();
        loop {
            let request = ListApprovalsRequest { state: (*state).into(), page_size: PAGE, page_token };
            let page = client.list_approvals(request).await.map_err(refused)?.into_inner();
            count += page.approvals.len() as u64;
            page.approvals.iter().for_each(|approval| listing.add(row(approval)));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
    }
    if format != Format::Table {
        return listing.write(format, out);
    }
    listing.only(&["approval_id", "what", "state", "asked_by", "expire_time"]).write(format, out)?;
    let hint = if count > 0 { "; musubi approvals show ID tells more" } else { "" };
    writeln!(out, "{} approvals{hint}", thousands(count)).map_err(unwritten)
}

fn show(approval: &Approval, out: &mut dyn Write) -> Result<(), Error> {
    let mut listing = Listing::new(&["approval", ""]);
    for (name, value) in COLUMNS.iter().zip(row(approval)).filter(|(_, value)| !value.is_empty()) {
        listing.add([(*name).to_owned(), value]);
    }
    listing.write(Format::Table, out)?;
    let told = approval.follower_ids.len();
    for follower in &approval.follower_ids {
        writeln!(out, "{follower}").map_err(unwritten)?;
    }
    let rest = approval.people.saturating_sub(told as u64);
    if told > 0 && rest > 0 {
        writeln!(out, "and {} more", thousands(rest)).map_err(unwritten)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approval(act: ApprovalAct) -> Approval {
        Approval {
            approval_id: "apv_1".to_owned(),
            act: act.into(),
            official_account: "bank".to_owned(),
            carrier: "kumo".to_owned(),
            people: 1_200,
            followers: 5_000,
            asked_by: "sato".to_owned(),
            state: ApprovalState::Waiting.into(),
            ..Approval::default()
        }
    }

    #[test]
    fn what_waits_is_said_with_what_to_do_next() {
        for (act, words) in [
            (ApprovalAct::Export, "export 1 follower of bank"),
            (ApprovalAct::Erase, "erase 1,200 followers of bank"),
            (ApprovalAct::Release, "release bank at kumo: 1,200 of 5,000 followers are missing"),
        ] {
            let mut out = Vec::new();
            assert_eq!(waits(&approval(act), "then it is done", &mut out), Ok(Ending::Refused));
            let said = String::from_utf8(out).unwrap();
            for part in [words, "other than sato runs musubi approvals approve apv_1; then it is done"] {
                assert!(said.contains(part), "no {part} in {said}");
            }
            let mut out = Vec::new();
            approved(&approval(act), &mut out).unwrap();
            assert!(String::from_utf8(out).unwrap().contains(words));
        }
    }

    #[test]
    fn one_is_shown_with_those_it_is_about() {
        let follower_ids = vec!["flw_1".to_owned(), "flw_2".to_owned()];
        let mut out = Vec::new();
        show(&Approval { follower_ids, ..approval(ApprovalAct::Erase) }, &mut out).unwrap();
        let said = String::from_utf8(out).unwrap();
        assert!(said.contains("flw_2\nand 1,198 more") && said.contains("waiting"), "{said}");
        assert!(!said.contains("decided_by"), "{said}");
    }
}
