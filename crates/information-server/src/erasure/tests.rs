//! Erasing over a real store, a real folder, and a backup that brings everybody back.

use std::{collections::HashMap, fs, path::Path, sync::Arc};

use musubi_domain::{
    dialogue::{Choice, Event},
    erasure::{Cause, Erasure},
    id::{DistributionId, FollowerId},
    template::{Template, Variable, VariableKind},
};
use musubi_storage::{
    information::{
        FollowerKey, InformationStore,
        delivery::{Claim, Source},
        distribution::{NewDistribution, Templates},
        erasure::{Asker, Held},
        flow::{Scope, Work},
    },
    sqlite::information::SqliteInformation,
};

use super::{Eraser, Journal, JournalError};
use crate::{
    gateway::CarrierGateway,
    scene::Scene,
    tests::{Carrier, World, follower, minute, vault},
};

fn eraser(world: &World, folder: &Path) -> Eraser {
    Eraser::new(world.store(), world.clock(), Journal::new(folder), Arc::default())
}

fn key(last: u8) -> FollowerKey {
    FollowerKey { account: "bank".parse().unwrap(), follower: follower(last) }
}

fn erasure(last: u8, at: i64) -> Erasure {
    Erasure {
        account: "bank".parse().unwrap(),
        follower: FollowerId::from_bytes([last; 16]),
        company: "bank".parse().unwrap(),
        cause: Cause::Person,
        request_time: minute(at),
        ask_time: minute(at + 9),
    }
}

async fn held(store: &dyn InformationStore, key: &FollowerKey) -> Held {
    let asker = Asker { company: "bank".parse().unwrap(), operator: "sato".parse().unwrap() };
    store.search_follower(&asker, key, None, minute(0)).await.unwrap()
}

/// A running distribution of the bank's, with a message of their own for these customers.
async fn distribute(world: &World, customers: &[&str]) -> DistributionId {
    let what = Variable { name: "what".to_owned(), kind: VariableKind::Text };
    let new = NewDistribution {
        id: DistributionId::from_bytes([1; 16]),
        company: "bank".parse().unwrap(),
        account: "bank".parse().unwrap(),
        request_id: uuid::Uuid::from_u128(1),
        digest: [0; 32],
        name: String::new(),
        templates: Templates {
            uniform: Template::parse("お知らせ", Vec::new(), Vec::new()).unwrap(),
            individual: Some(Template::parse("{what}", Vec::new(), vec![what]).unwrap()),
        },
        start_time: None,
        expire_time: Some(minute(10_000)),
        messages_per_second: 0,
        operator: "sato".parse().unwrap(),
    };
    let store = world.store();
    store.create_distribution(&new, minute(0)).await.unwrap();
    let values: Vec<_> = customers.iter().map(|id| (id.parse().unwrap(), vec!["一".to_owned()])).collect();
    store.put_values(&new.company, new.id, &values, (&new.operator, minute(0))).await.unwrap();
    store.command_distribution(&new.company, new.id, &crate::tests::started(), minute(0)).await.unwrap();
    new.id
}

async fn tell(world: &World, key: &FollowerKey, event: &Event, at: i64) {
    let (account, company) = world.directory.account_and_company(&key.account).unwrap();
    let scene = Scene { account, company, now: minute(at) };
    let scope = Scope { followers: vec![key.clone()], ..Scope::default() };
    let mut edit = |work: &mut Work| assert!(scene.tell(work, key, event).is_some());
    world.store().work("tell", &scope, minute(at), &mut edit).await.unwrap();
}

#[tokio::test]
async fn who_erases_themselves_is_told_and_then_erased_within_the_minute() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    world.follow("bank", &[Some("C1"), Some("C2")]).await;
    let eraser = eraser(&world, folder.path());
    tell(&world, &key(1), &Event::Chose(Choice::Erase), 0).await;
    assert_eq!(eraser.erase_due().await.unwrap(), 0, "there is time to tell them");
    let claim = Claim {
        carrier: "kumo".parse().unwrap(),
        source: Source::Dialogues("bank".parse().unwrap()),
        limit: 9,
        now: minute(0),
        lease_end: minute(1),
        attempts_limit: 3,
    };
    let said = world.store().claim(&claim).await.unwrap().attempts;
    assert_eq!(said[0].purpose, musubi_domain::delivery::Purpose::Erasing);
    world.clock.advance(jiff::SignedDuration::from_mins(1));
    assert_eq!(eraser.erase_due().await.unwrap(), 1);
    let found = held(&*world.store(), &key(1)).await;
    assert!(found.is_nothing() && found.erasure.unwrap().erasure.cause == Cause::Person);
    assert!(!held(&*world.store(), &key(2)).await.is_nothing());
    assert_eq!(Journal::new(folder.path()).read().unwrap().len(), 1);
}

#[tokio::test]
async fn after_a_restore_the_journal_erases_again_before_anything_is_served() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (journal, backup) = (folder.path().join("journal"), folder.path().join("backup.db"));
    world.follow("bank", &[Some("C1"), Some("C2"), None]).await;
    world.store().close().await;
    fs::copy(world.database(), &backup).unwrap();
    let store: Arc<dyn InformationStore> =
        Arc::new(SqliteInformation::open(&world.database(), vault()).await.unwrap());
    let mut ask =
        |work: &mut Work| work.erasures = vec![(erasure(1, 0), minute(0)), (erasure(3, 0), minute(0))];
    store.work("ask", &Scope::default(), minute(0), &mut ask).await.unwrap();
    let eraser = Eraser::new(Arc::clone(&store), world.clock(), Journal::new(&journal), Arc::default());
    assert_eq!(eraser.erase_due().await.unwrap(), 2);
    assert_eq!(eraser.replay().await.unwrap(), 0, "what the database knows is not done again");
    store.close().await;

    let restored: Arc<dyn InformationStore> =
        Arc::new(SqliteInformation::open(&backup, vault()).await.unwrap());
    assert!(!held(&*restored, &key(1)).await.is_nothing(), "the backup has them");
    let eraser = Eraser::new(Arc::clone(&restored), world.clock(), Journal::new(&journal), Arc::default());
    assert_eq!(eraser.replay().await.unwrap(), 2);
    for (last, gone) in [(1, true), (2, false), (3, true)] {
        assert_eq!(held(&*restored, &key(last)).await.is_nothing(), gone, "{last}");
    }
    assert_eq!(eraser.replay().await.unwrap(), 0);
    restored.close().await;
}

#[tokio::test]
async fn nobody_is_erased_whom_the_journal_does_not_tell_of() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    // Where the folder should be stands a file.
    fs::write(&journal, "no folder").unwrap();
    world.follow("bank", &[Some("C1")]).await;
    let mut ask = |work: &mut Work| work.erasures = vec![(erasure(1, 0), minute(0))];
    world.store().work("ask", &Scope::default(), minute(0), &mut ask).await.unwrap();
    let eraser = eraser(&world, &journal);
    let refused = eraser.erase_due().await.unwrap_err();
    assert!(refused.problem.contains("the journal can not be written to"), "{refused}");
    assert!(!held(&*world.store(), &key(1)).await.is_nothing());
    assert!(matches!(eraser.replay().await, Err(JournalError::Unread { .. })));
    fs::remove_file(&journal).unwrap();
    world.clock.advance(jiff::SignedDuration::from_mins(1));
    assert_eq!(eraser.erase_due().await.unwrap(), 1, "tried again");
    assert!(held(&*world.store(), &key(1)).await.is_nothing());
}

#[test]
fn a_journal_is_of_all_processes_and_its_last_word_stands() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("not/there/yet");
    let (one, other) = (Journal::new(&journal), Journal::new(&journal));
    assert_eq!(one.read().unwrap(), []);
    one.append(&[erasure(1, 1), erasure(2, 1)]).unwrap();
    other.append(&[erasure(1, 5)]).unwrap();
    one.append(&[erasure(1, 3)]).unwrap();
    let sorted = |journal: &Journal| {
        let mut read = journal.read().unwrap();
        read.sort_by_key(|erasure| erasure.follower);
        read
    };
    assert_eq!(sorted(&other), [erasure(1, 5), erasure(2, 1)]);
    // Half a line at the end is of somebody who died; half a line before another is damage.
    let file = fs::read_dir(&journal).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{whole}{}", &whole[..40])).unwrap();
    assert_eq!(sorted(&one), [erasure(1, 5), erasure(2, 1)]);
    fs::write(&file, format!("{}\n{whole}", &whole[..40])).unwrap();
    let error = one.read().unwrap_err().to_string();
    assert!(
        error.contains("line 1 of the journal") && error.contains("put back the journal's file"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_on_its_way_to_one_alone_is_asked_back_and_no_carrier_is_waited_for() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    world.follow("bank", &[Some("C1"), Some("C2")]).await;
    let id = distribute(&world, &["C1", "C2"]).await;
    let claim = Claim {
        carrier: "kumo".parse().unwrap(),
        source: Source::Distribution(id),
        limit: 9,
        now: minute(0),
        lease_end: minute(1),
        attempts_limit: 3,
    };
    let sent = world.store().claim(&claim).await.unwrap().attempts;
    assert_eq!(sent.len(), 2);
    let carrier = Arc::new(Carrier::new("kumo"));
    let gateways = HashMap::from([(carrier.id.clone(), Arc::clone(&carrier) as Arc<dyn CarrierGateway>)]);
    let journal = Journal::new(folder.path());
    let eraser = Eraser::new(world.store(), world.clock(), journal, Arc::new(gateways));
    let mut ask = |work: &mut Work| work.erasures = vec![(erasure(1, 0), minute(0))];
    world.store().work("ask", &Scope::default(), minute(0), &mut ask).await.unwrap();
    assert_eq!(eraser.erase_due().await.unwrap(), 1);
    let own = sent.iter().find(|attempt| attempt.key == key(1)).unwrap();
    assert_eq!(*carrier.revoked.lock().unwrap(), [own.message_id]);
    assert!(held(&*world.store(), &key(1)).await.is_nothing());
}
