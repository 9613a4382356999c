//! `musubi followers`: who follows, how far each came, and what each has a right to.

use std::{io::Write, path::PathBuf};

use clap::{Args, Subcommand};
use musubi_domain::{Error, outcome::FollowerOutcome};
use musubi_proto::information::v1::{
    self as wire, Follower, Funnel, GetFunnelRequest, GetFunnelResponse, ListDaysRequest, ListDaysResponse,
    ListFollowersRequest, follower_service_client::FollowerServiceClient,
};
use musubi_runtime::grpc::{MAX_MESSAGE_BYTES, client::PeerChannel};

use super::{
    Connection, Ending, by_hand, consents,
    listing::{Format, Listing},
    refused,
    rights::{self, People},
    unwritten,
    words::{outcome_word, parse_outcome, show_time, thousands},
};

/// Followers of a page.
const PAGE: u32 = 1000;
/// The width of a full bar.
const BAR: u64 = 30;

/// `musubi followers`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  musubi followers funnel
  musubi followers list --official-account tf-bank --outcome review
  musubi followers list --official-account tf-bank --format csv
  musubi followers show --official-account tf-bank --customer B000001
  musubi followers import consents.csv --official-account tf-bank --carrier hoshi --dry-run
  musubi followers erase --official-account tf-bank < numbers.txt
  musubi followers unlock --official-account tf-bank < numbers.txt
  musubi followers untie --official-account tf-bank --customer B000001
  musubi followers suspend --official-account tf-bank --customer B000001
  musubi followers days --days 7
  musubi followers prove-erased --official-account tf-bank < numbers.txt
  musubi followers export --official-account tf-bank --customer B000001 > person.json

MUSUBI_SERVER names the company server, MUSUBI_CERTIFICATE or MUSUBI_TOKEN says who you are.")]
pub struct Followers {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show how many followers reached each stage.
    Funnel {
        /// Only this account's.
        #[arg(long, value_name = "ACCOUNT", default_value = "", hide_default_value = true)]
        official_account: String,
    },
    /// List followers. Phone numbers are shown whole.
    List {
        /// Whose.
        #[arg(long, value_name = "ACCOUNT")]
        official_account: String,
        /// Only those who stand there: confirmed, review, rejected, declined, …
        #[arg(long, value_parser = parse_outcome)]
        outcome: Option<FollowerOutcome>,
        /// How to write them.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Bring in people who agreed elsewhere to hear from an account: at a carrier that keeps no list of who follows, as RCS Business
    /// Messaging. Any bad row: nobody comes in, and the exit code is 1.
    Import {
        /// The file, CSV with the columns phone_number (E.164), source (where the person agreed, and to what) and consent_time.
        file: PathBuf,
        /// For whom.
        #[arg(long, value_name = "ACCOUNT")]
        official_account: String,
        /// Over which carrier.
        #[arg(long)]
        carrier: String,
        /// Only check the file.
        #[arg(long)]
        dry_run: bool,
    },
    /// Have people erased: everything that is held about them, within a minute. Needs a second person, unless the configuration says otherwise.
    Erase {
        /// Whose followers; without it those of every account of the company.
        #[arg(long, value_name = "ACCOUNT", default_value = "", hide_default_value = true)]
        official_account: String,
        #[command(flatten)]
        people: People,
    },
    /// Forget people's wrong guesses of account numbers, and have those asked anew who are locked.
    Unlock {
        /// Whose followers.
        #[arg(long, value_name = "ACCOUNT")]
        official_account: String,
        #[command(flatten)]
        people: People,
    },
    /// End people's ties to customers: nothing individual goes to them any more, and they are asked again when somebody who declined would be.
    Untie {
        /// Whose followers.
        #[arg(long, value_name = "ACCOUNT")]
        official_account: String,
        #[command(flatten)]
        people: People,
    },
    /// Hold back what is individual for people, whatever becomes of their ties, until they are released.
    Suspend {
        /// Whose followers.
        #[arg(long, value_name = "ACCOUNT")]
        official_account: String,
        #[command(flatten)]
        people: People,
    },
    /// Let what is individual go again to people who were suspended.
    Release {
        /// Whose followers.
        #[arg(long, value_name = "ACCOUNT")]
        official_account: String,
        #[command(flatten)]
        people: People,
    },
    /// List what happened day by day: who came, how far they got, who was confirmed by what, who left.
    Days {
        /// Only this account's.
        #[arg(long, value_name = "ACCOUNT", default_value = "", hide_default_value = true)]
        official_account: String,
        /// How many days, today the last: 1 to 400.
        #[arg(long, value_name = "DAYS", default_value_t = 30)]
        days: u32,
        /// How to write them.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Search every table for people. Waits for an erasure that was asked for; the exit code is 0 only if nothing is held.
    ProveErased {
        /// Whose followers.
        #[arg(long, value_name = "ACCOUNT")]
        official_account: String,
        #[command(flatten)]
        people: People,
    },
    /// Show one follower, as JSON: where they stand, tie, consents, messages, reviews. It is recorded that you looked.
    Show {
        /// Whose follower.
        #[arg(long, value_name = "ACCOUNT")]
        official_account: String,
        #[command(flatten)]
        people: People,
        /// Show the phone number, too; that is recorded apart.
        #[arg(long)]
        reveal: bool,
    },
    /// Write everything that is held about one person, as JSON. Needs a second person, unless the configuration says otherwise: then this says
    /// what waits, and the same command again writes it, once, when it is approved.
    Export {
        /// Whose follower.
        #[arg(long, value_name = "ACCOUNT")]
        official_account: String,
        #[command(flatten)]
        people: People,
    },
}

impl Followers {
    /// Does it, and writes the answer.
    pub(crate) async fn run(self, out: &mut dyn Write) -> Result<Ending, Error> {
        let mut client = FollowerServiceClient::new(self.connection.channel()?)
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        match self.command {
            Command::Funnel { official_account } => {
                let request = GetFunnelRequest { official_account };
                funnel(&client.get_funnel(request).await.map_err(refused)?.into_inner(), out)?;
            }
            Command::List { official_account, outcome, format } => {
                list(client, official_account, outcome, format, out).await?;
            }
            Command::Import { file, official_account, carrier, dry_run } => {
                return consents::import(client, official_account, carrier, &file, dry_run, out).await;
            }
            Command::Show { official_account, people, reveal } => {
                return rights::show(client, official_account, people, reveal, out).await;
            }
            Command::Erase { official_account, people } => {
                return rights::erase(client, official_account, people, out).await;
            }
            Command::Unlock { official_account, people } => {
                return rights::unlock(client, official_account, people, out).await;
            }
            Command::Untie { official_account, people } => {
                return by_hand::untie(client, official_account, people, out).await;
            }
            Command::Suspend { official_account, people } => {
                return by_hand::suspend(client, official_account, people, false, out).await;
            }
            Command::Release { official_account, people } => {
                return by_hand::suspend(client, official_account, people, true, out).await;
            }
            Command::Days { official_account, days, format } => {
                let request = ListDaysRequest { official_account, days };
                list_days(client.list_days(request).await.map_err(refused)?.into_inner(), format, out)?;
            }
            Command::ProveErased { official_account, people } => {
                return rights::prove_erased(client, official_account, people, out).await;
            }
            Command::Export { official_account, people } => {
                return rights::export(client, official_account, people, out).await;
            }
        }
        Ok(Ending::Done)
    }
}

fn list_days(answer: ListDaysResponse, format: Format, out: &mut dyn Write) -> Result<(), Error> {
    let mut listing = Listing::new(&[
        "date",
        "account",
        "carrier",
        "came",
        "left",
        "asked",
        "answered",
        "wants",
        "account_given",
        "verified",
        "confirmed_by_card",
        "confirmed_by_carrier",
        "confirmed_by_document",
        "untied",
    ]);
    for day in answer.days {
        let counts = [
            day.came,
            day.left,
            day.asked,
            day.answered,
            day.wants,
            day.account_given,
            day.verified,
            day.confirmed_by_card,
            day.confirmed_by_carrier,
            day.confirmed_by_document,
            day.untied,
        ];
        let [a, b, c, d, e, f, g, h, i, j, k] = counts.map(|count| count.to_string());
        listing.add([day.date, day.official_account, day.carrier, a, b, c, d, e, f, g, h, i, j, k]);
    }
    listing.write(format, out)
}

fn funnel(answer: &GetFunnelResponse, out: &mut dyn Write) -> Result<(), Error> {
    for funnel in &answer.funnels {
        writeln!(out, "{} over {}", funnel.official_account, funnel.carrier).map_err(unwritten)?;
        let mut stages = Listing::new(&["stage", "followers", "", "%"]);
        for (name, count) in rows(funnel) {
            let share = |whole: u64| (count * whole).checked_div(funnel.followers).unwrap_or_default();
            let tenths = share(1000);
            let bar = "█".repeat(usize::try_from(share(BAR)).unwrap_or_default());
            stages.add([name, thousands(count), bar, format!("{}.{}", tenths / 10, tenths % 10)]);
        }
        stages.write(Format::Table, out)?;
    }
    if answer.funnels.is_empty() {
        writeln!(out, "no followers yet").map_err(unwritten)?;
    }
    if !answer.acquisitions.is_empty() {
        let mut lists =
            Listing::new(&["account", "carrier", "promoted", "discarded", "quarantined", "last promoted"]);
        for list in &answer.acquisitions {
            let [promoted, discarded, quarantined] =
                [list.promoted, list.discarded, list.quarantined].map(thousands);
            let last = show_time(list.promote_time.as_ref());
            lists.add([
                list.official_account.clone(),
                list.carrier.clone(),
                promoted,
                discarded,
                quarantined,
                last,
            ]);
        }
        writeln!(out, "subscriber lists").map_err(unwritten)?;
        lists.write(Format::Table, out)?;
    }
    Ok(())
}

fn rows(funnel: &Funnel) -> Vec<(String, u64)> {
    let stages = [
        ("followers", funnel.followers),
        ("asked", funnel.asked),
        ("answered", funnel.answered),
        ("wants personal information", funnel.wants),
        ("gave an account number", funnel.account_given),
        ("identity verified", funnel.verified),
    ];
    let outcomes = funnel.outcomes.iter().map(|it| (format!("now {}", outcome_word(it.outcome())), it.count));
    stages.into_iter().map(|(name, count)| (name.to_owned(), count)).chain(outcomes).collect()
}

const COLUMNS: &[&str] = &[
    "follower_id",
    "phone_number",
    "carrier",
    "outcome",
    "customer_id",
    "reasons",
    "follow_time",
    "outcome_time",
    "held_back",
];

fn row(follower: Follower) -> [String; 9] {
    let outcome = outcome_word(follower.outcome());
    let [follow_time, outcome_time] =
        [&follower.follow_time, &follower.outcome_time].map(|time| show_time(time.as_ref()));
    [
        follower.follower_id,
        follower.phone_number,
        follower.carrier,
        outcome,
        follower.customer_id,
        follower.reasons.join(" "),
        follow_time,
        outcome_time,
        follower.held_reason,
    ]
}

async fn list(
    mut client: FollowerServiceClient<PeerChannel>,
    official_account: String,
    outcome: Option<FollowerOutcome>,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut listing = Listing::new(COLUMNS);
    let mut page_token = String::new();
    let mut count = 0;
    loop {
        let request = ListFollowersRequest {
            official_account: official_account.clone(),
            outcome: outcome.map(wire::FollowerOutcome::from).unwrap_or_default().into(),
            page_size: PAGE,
            page_token,
            operator: String::new(),
            masked: false,
        };
        let page = client.list_followers(request).await.map_err(refused)?.into_inner();
        count += page.followers.len() as u64;
        page.followers.into_iter().for_each(|follower| listing.add(row(follower)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    listing.write(format, out)?;
    if format == Format::Table {
        writeln!(out, "{} followers", thousands(count)).map_err(unwritten)?;
    }
    Ok(())
}
