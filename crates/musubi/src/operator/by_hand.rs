//! What is done to followers by hand, from the command line: `musubi followers untie`, `suspend` and `release`.
//!
//! One call for each person, so that each is in the audit by itself. Surprising: who is named and can't be helped is no error; the answer says how many were.

use std::io::Write;

use musubi_domain::Error;
use musubi_proto::information::v1::{
    SuspendFollowerRequest, UntieFollowerRequest, follower_service_client::FollowerServiceClient,
};
use musubi_runtime::grpc::client::PeerChannel;

use super::{Ending, refused, rights::People, unwritten, words::thousands};

type Client = FollowerServiceClient<PeerChannel>;

/// Ends people's ties.
pub(super) async fn untie(
    mut client: Client,
    official_account: String,
    people: People,
    out: &mut dyn Write,
) -> Result<Ending, Error> {
    let (people, mut untied) = (people.read()?, 0);
    let named = people.len() as u64;
    for person in people {
        let request = UntieFollowerRequest {
            official_account: official_account.clone(),
            person: Some(person),
            operator: String::new(),
        };
        untied += u64::from(client.untie_follower(request).await.map_err(refused)?.into_inner().untied);
    }
    say(untied, named, "untied; the others had no tie", out)
}

/// Suspends people, or releases them.
pub(super) async fn suspend(
    mut client: Client,
    official_account: String,
    people: People,
    release: bool,
    out: &mut dyn Write,
) -> Result<Ending, Error> {
    let (people, mut changed) = (people.read()?, 0);
    let named = people.len() as u64;
    for person in people {
        let request = SuspendFollowerRequest {
            official_account: official_account.clone(),
            person: Some(person),
            release,
            operator: String::new(),
        };
        changed += u64::from(client.suspend_follower(request).await.map_err(refused)?.into_inner().changed);
    }
    let what = if release {
        "released; the others were not suspended"
    } else {
        "suspended; the others were already, or are not known"
    };
    say(changed, named, what, out)
}

fn say(done: u64, named: u64, what: &str, out: &mut dyn Write) -> Result<Ending, Error> {
    let [done, named] = [done, named].map(thousands);
    writeln!(out, "{done} of {named} people {what}").map_err(unwritten)?;
    Ok(Ending::Done)
}
