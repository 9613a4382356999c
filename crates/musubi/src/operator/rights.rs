//! What people have a right to, from the command line: `musubi followers erase`, `prove-erased`, `export` and, as operators look at one, `show`.
//!
//! People are named by follower or customer, or by phone numbers on standard input, because everybody on the machine can read an argument. Surprising:
//! `prove-erased` waits for an erasure that was asked for, a minute at most, and its exit code is 0 only if nothing is held.

use std::{
    io::{self, IsTerminal as _, Read as _, Write},
    time::{Duration, Instant},
};

use clap::Args;
use musubi_company_server::person_file::person_file;
use musubi_domain::Error;
use musubi_proto::information::v1::{
    EraseFollowersRequest, ExportFollowerRequest, ExportFollowerResponse, GetFollowerRequest, Person,
    SearchFollowerRequest, SearchFollowerResponse, UnlockFollowerRequest,
    follower_service_client::FollowerServiceClient, person::Who,
};
use musubi_runtime::grpc::client::PeerChannel;
use tokio::time::sleep;

use super::{
    Ending, approvals,
    listing::{Format, Listing},
    refused, unreadable, unwritten,
    words::{show_time, thousands},
};

/// People of one request.
const BATCH: usize = 1_000;
/// How long an erasure may take.
const WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at it.
const LOOK: Duration = Duration::from_secs(1);

/// Who is meant.
#[derive(Debug, Args)]
pub(super) struct People {
    /// A follower's id; may be given again. Without it and --customer, phone numbers are read from standard input, one to a line.
    #[arg(long, value_name = "flw_…")]
    follower: Vec<String>,
    /// The customer whom a person is tied to; may be given again.
    #[arg(long, value_name = "CUSTOMER_ID")]
    customer: Vec<String>,
}

impl People {
    /// Reads who is meant, from standard input if nobody is named.
    pub(super) fn read(self) -> Result<Vec<Person>, Error> {
        let followers = self.follower.into_iter().map(Who::FollowerId);
        let mut people: Vec<Who> = followers.chain(self.customer.into_iter().map(Who::CustomerId)).collect();
        if people.is_empty() {
            if io::stdin().is_terminal() {
                let _unwritten = writeln!(io::stderr(), "phone numbers, one to a line; end with Ctrl-D");
            }
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map_err(|error| unreadable("--follower", &error))?;
            let numbers = text.lines().map(str::trim).filter(|line| !line.is_empty());
            people = numbers.map(|number| Who::PhoneNumber(number.to_owned())).collect();
        }
        if people.is_empty() {
            let remedy =
                "add --follower or --customer, or write phone numbers to standard input, one to a line";
            return Err(Error::invalid("--follower", "nobody is named", remedy));
        }
        Ok(people.into_iter().map(|who| Person { who: Some(who) }).collect())
    }
}

impl People {
    /// The one who is meant.
    fn read_one(self) -> Result<Person, Error> {
        let [person]: [Person; 1] = self.read()?.try_into().map_err(|people: Vec<Person>| {
            Error::invalid("--follower", format!("{} people are named", people.len()), "name one person")
        })?;
        Ok(person)
    }
}

type Client = FollowerServiceClient<PeerChannel>;

/// Asks for people to be erased.
pub(super) async fn erase(
    mut client: Client,
    official_account: String,
    people: People,
    out: &mut dyn Write,
) -> Result<Ending, Error> {
    let people = people.read()?;
    let (mut asked, mut ending) = (0, Ending::Done);
    for batch in people.chunks(BATCH) {
        let request = EraseFollowersRequest {
            official_account: official_account.clone(),
            people: batch.to_vec(),
            operator: String::new(),
        };
        let answer = client.erase_followers(request).await.map_err(refused)?.into_inner();
        asked += answer.erasures.len() as u64;
        if let Some(approval) = &answer.approval {
            let then = "everything about them is erased within a minute after that";
            ending = approvals::waits(approval, then, out)?;
        }
    }
    if ending == Ending::Refused {
        return Ok(ending);
    }
    let hint = "everything about them is erased within a minute; prove-erased shows that it is";
    writeln!(
        out,
        "{} followers of {} people named: {hint}",
        thousands(asked),
        thousands(people.len() as u64)
    )
    .map_err(unwritten)?;
    Ok(Ending::Done)
}

/// Has people's wrong guesses forgotten.
pub(super) async fn unlock(
    mut client: Client,
    official_account: String,
    people: People,
    out: &mut dyn Write,
) -> Result<Ending, Error> {
    let (people, mut unlocked) = (people.read()?, 0);
    let named = people.len() as u64;
    for person in people {
        let request = UnlockFollowerRequest {
            official_account: official_account.clone(),
            person: Some(person),
            operator: String::new(),
        };
        unlocked += u64::from(client.unlock_follower(request).await.map_err(refused)?.into_inner().unlocked);
    }
    let [unlocked, named] = [unlocked, named].map(thousands);
    writeln!(out, "{unlocked} of {named} people unlocked; the others had no wrong guesses")
        .map_err(unwritten)?;
    Ok(Ending::Done)
}

/// Asks for whoever is tied to a customer to be erased, in every account of the company.
pub(super) async fn erase_tied(
    channel: PeerChannel,
    customer_id: &str,
    out: &mut dyn Write,
) -> Result<Ending, Error> {
    let people = People { follower: Vec::new(), customer: vec![customer_id.to_owned()] };
    erase(Client::new(channel), String::new(), people, out).await
}

/// Shows that nothing is held about people, or what is.
pub(super) async fn prove_erased(
    mut client: Client,
    official_account: String,
    people: People,
    out: &mut dyn Write,
) -> Result<Ending, Error> {
    let mut ending = Ending::Done;
    let begun = Instant::now();
    for person in people.read()? {
        let request = SearchFollowerRequest {
            official_account: official_account.clone(),
            person: Some(person),
            operator: String::new(),
        };
        let found = loop {
            let found = client.search_follower(request.clone()).await.map_err(refused)?.into_inner();
            if begun.elapsed() > WITHIN || !found.erasure.as_ref().is_some_and(|erasure| erasure.waits) {
                break found;
            }
            sleep(LOOK).await;
        };
        if !show_found(&found, out)? {
            ending = Ending::Refused;
        }
    }
    Ok(ending)
}

/// Gives whether nothing is held.
fn show_found(found: &SearchFollowerResponse, out: &mut dyn Write) -> Result<bool, Error> {
    let mut tables = Listing::new(&["table", "rows"]);
    for table in &found.tables {
        tables.add([table.table.clone(), thousands(table.rows)]);
    }
    tables.write(Format::Table, out)?;
    let nothing = found.tables.iter().all(|table| table.rows == 0);
    let who =
        if found.follower_id.is_empty() { "a customer who is tied to nobody" } else { &found.follower_id };
    let held = if nothing { "nothing is held" } else { "something is held" };
    let erasure = match &found.erasure {
        None => "never erased".to_owned(),
        Some(erasure) if erasure.waits => {
            format!("to be erased: {}, {}", erasure.cause, show_time(erasure.request_time.as_ref()))
        }
        Some(erasure) if erasure.erase_time.is_none() => "not erased: follows again".to_owned(),
        Some(erasure) => format!(
            "erased {}: {}, asked for {}",
            show_time(erasure.erase_time.as_ref()),
            erasure.cause,
            show_time(erasure.request_time.as_ref())
        ),
    };
    let follows = found
        .follow_time
        .as_ref()
        .map_or_else(String::new, |time| format!("; follows since {}", show_time(Some(time))));
    writeln!(out, "{who}: {held}; {erasure}{follows}").map_err(unwritten)?;
    Ok(nothing)
}

/// Writes everything that is held about one person, as JSON.
pub(super) async fn export(
    mut client: Client,
    official_account: String,
    people: People,
    out: &mut dyn Write,
) -> Result<Ending, Error> {
    let person = Some(people.read_one()?);
    let request = ExportFollowerRequest { official_account, person, operator: String::new() };
    let export = client.export_follower(request).await.map_err(refused)?.into_inner();
    if let Some(approval) = &export.approval {
        // Not to where the export goes.
        return approvals::waits(approval, "then run this command again", &mut io::stderr());
    }
    writeln!(out, "{:#}", person_file(&export)).map_err(unwritten)?;
    Ok(Ending::Done)
}

/// Shows one person as operators look at one, as JSON.
pub(super) async fn show(
    mut client: Client,
    official_account: String,
    people: People,
    reveal: bool,
    out: &mut dyn Write,
) -> Result<Ending, Error> {
    let person = Some(people.read_one()?);
    let request = GetFollowerRequest { official_account, person, reveal, operator: String::new() };
    let shown = client.get_follower(request).await.map_err(refused)?.into_inner();
    let shown = ExportFollowerResponse {
        follower: shown.follower,
        lists: shown.lists,
        wrong_guesses: shown.wrong_guesses,
        tie_method: shown.tie_method,
        tie_time: shown.tie_time,
        tie_expire_time: shown.tie_expire_time,
        former_customer_id: shown.former_customer_id,
        consents: shown.consents,
        messages: shown.messages,
        reviews: shown.reviews,
        ..ExportFollowerResponse::default()
    };
    writeln!(out, "{:#}", person_file(&shown)).map_err(unwritten)?;
    Ok(Ending::Done)
}
