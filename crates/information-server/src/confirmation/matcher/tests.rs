//! The worker over a real store, with matchers that answer as they are told.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use musubi_domain::{
    customer::GivenAccount,
    dialogue::State,
    id::{FollowerId, InquiryId},
    identity::{AttestedIdentity, IdentityMethod},
};
use musubi_storage::information::{FollowerKey, flow::Work};

use super::*;
use crate::tests::{World, minute};

/// A company's server that is away.
struct Away;

#[async_trait]
impl Matcher for Away {
    async fn decide(&self, _: &[DueInquiry]) -> Result<Vec<Option<MatchDecision>>, Error> {
        Err(Error::new(ErrorKind::Unavailable, "away", "repeat"))
    }
}

/// A company's server that takes everybody for one customer.
struct Confirms;

#[async_trait]
impl Matcher for Confirms {
    async fn decide(&self, inquiries: &[DueInquiry]) -> Result<Vec<Option<MatchDecision>>, Error> {
        let customer_id = Some("C1".parse()?);
        let decision = MatchDecision { outcome: MatchOutcome::Confirmed, customer_id, reasons: Vec::new() };
        Ok(vec![Some(decision); inquiries.len()])
    }
}

fn inquiry(number: u8) -> Inquiry {
    Inquiry {
        id: InquiryId::from_bytes([number; 16]),
        company: "power".parse().unwrap(),
        account: GivenAccount { branch_number: None, account_number: "1234567".to_owned() },
        identity: AttestedIdentity {
            method: IdentityMethod::Jpki,
            name: "山田 太郎".to_owned(),
            name_kana: None,
            birth_date: "1980-02-03".to_owned(),
            address: "東京都".to_owned(),
        },
        due_time: minute(0),
    }
}

fn key(last: u8) -> FollowerKey {
    FollowerKey { account: "power".parse().unwrap(), follower: FollowerId::from_bytes([last; 16]) }
}

/// Followers 1 and so on, verified, and who decides about them.
async fn asking(world: &World, followers: u8, matcher: Arc<dyn Matcher>) -> Matching {
    world.follow("power", &vec![None; usize::from(followers)]).await;
    let scope = Scope { followers: (1..=followers).map(key).collect(), ..Scope::default() };
    let mut ask = |work: &mut Work| {
        for last in 1..=followers {
            let record = work.followers.get_mut(&key(last)).unwrap();
            record.inquiry = Some(Box::new(inquiry(last)));
            record.dialogue.as_mut().unwrap().state = State::Matching;
        }
    };
    world.store().work("fixture", &scope, minute(0), &mut ask).await.unwrap();
    Matching {
        company: "power".parse().unwrap(),
        matcher,
        undecided: None,
        store: world.store(),
        directory: Arc::clone(&world.directory),
        clock: world.clock(),
        signals: world.signals.clone(),
        keyring: FollowerKeyring::new(&[7; 32]).unwrap(),
        lease: SignedDuration::from_mins(60),
    }
}

/// A company's server that is away, and how often it was asked.
struct Counts(AtomicUsize);

#[async_trait]
impl Matcher for Counts {
    async fn decide(&self, inquiries: &[DueInquiry]) -> Result<Vec<Option<MatchDecision>>, Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Away.decide(inquiries).await
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_left_alone_whatever_is_signalled() {
    let world = World::new().await;
    let counts = Arc::new(Counts(AtomicUsize::default()));
    let matching = asking(&world, 2, Arc::clone(&counts) as _).await;
    let shutdown = Shutdown::new(Duration::from_secs(1));
    let run = tokio::spawn(matching.run(shutdown.clone()));
    for _ in 0..70 {
        world.signals.inquiries.raise();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    shutdown.begin();
    run.await.unwrap().unwrap();
    assert_eq!(counts.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn of_three_numbers_that_claim_one_customer_in_one_batch_one_is_tied() {
    let world = World::new().await;
    assert_eq!(asking(&world, 3, Arc::new(Confirms)).await.decide_due().await.unwrap(), 3);
    let mut stand = Vec::new();
    let scope = Scope { followers: (1..=3).map(key).collect(), ..Scope::default() };
    let mut look = |work: &mut Work| {
        let each = work.followers.values();
        stand = each.map(|record| (record.tie.is_some(), record.review.is_some())).collect();
    };
    world.store().work("look", &scope, minute(0), &mut look).await.unwrap();
    stand.sort_unstable();
    assert_eq!(stand, [(false, true), (false, true), (true, false)]);
}

/// A blind copy that tells who the first is.
struct TellsOne;

#[async_trait]
impl Matcher for TellsOne {
    async fn decide(&self, inquiries: &[DueInquiry]) -> Result<Vec<Option<MatchDecision>>, Error> {
        let mut decided = Confirms.decide(inquiries).await?;
        decided[1..].fill(None);
        Ok(decided)
    }
}

#[tokio::test]
async fn what_is_left_open_is_asked_of_the_company_and_waits_while_it_is_away() {
    let world = World::new().await;
    let mut matching = asking(&world, 3, Arc::new(TellsOne)).await;
    let counts = Arc::new(Counts(AtomicUsize::default()));
    matching.undecided = Some(Arc::clone(&counts) as _);
    assert_eq!(matching.decide_due().await.unwrap(), 3);
    let scope = Scope { followers: (1..=3).map(key).collect(), ..Scope::default() };
    let look = async || {
        let (mut tied, mut waiting) = (0, 0);
        let mut count = |work: &mut Work| {
            tied = work.followers.values().filter(|record| record.tie.is_some()).count();
            waiting = work.followers.values().filter(|record| record.inquiry.is_some()).count();
        };
        world.store().work("look", &scope, minute(0), &mut count).await.unwrap();
        (tied, waiting)
    };
    assert_eq!(look().await, (1, 2), "the one who is told is tied all the same");
    assert_eq!(matching.decide_due().await.unwrap(), 0, "nobody is asked at once again");
    world.clock.advance(WAIT);
    matching.matcher = Arc::new(LeavesOpen);
    matching.undecided = Some(Arc::new(Confirms));
    assert_eq!(matching.decide_due().await.unwrap(), 2);
    assert_eq!((look().await.1, counts.0.load(Ordering::Relaxed)), (0, 1));
}

/// A blind copy that tells nothing.
struct LeavesOpen;

#[async_trait]
impl Matcher for LeavesOpen {
    async fn decide(&self, inquiries: &[DueInquiry]) -> Result<Vec<Option<MatchDecision>>, Error> {
        Ok(vec![None; inquiries.len()])
    }
}

#[tokio::test]
async fn inquiries_that_got_no_decision_are_due_again_before_their_lease_ends() {
    let world = World::new().await;
    let matching = asking(&world, 2, Arc::new(Away)).await;
    for _ in 0..2 {
        assert_eq!(matching.decide_due().await.unwrap_err().problem, "away");
    }
    let company = "power".parse().unwrap();
    let claimed = world.store().claim_inquiries(&company, minute(0), minute(60), 10).await.unwrap();
    assert_eq!(claimed.len(), 2);
}
