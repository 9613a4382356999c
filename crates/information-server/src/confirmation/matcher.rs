//! Has inquiries decided (S20): by the company's server, or here by the copy in custody. One worker for each company, so that
//! one that hangs delays nobody else.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::SignedDuration;
use musubi_domain::{
    Error, ErrorKind,
    customer::{MatchDecision, MatchOutcome},
    id::{CompanyId, FollowerKeyring},
};
use musubi_matching::{Candidates, Policy};
use musubi_proto::company::v1::{
    self as wire, MatchCustomersRequest, match_service_client::MatchServiceClient,
};
use musubi_runtime::{
    Clock, Shutdown,
    grpc::{client::PeerChannel, status::from_status},
};
use musubi_storage::{
    StoreError,
    information::{
        FollowerKey, InformationStore,
        flow::{Inquiry, Scope},
    },
};
use tracing::warn;

use crate::{directory::Directory, scene::Scene, signal::Signals};

/// How many inquiries go together.
const BATCH: u32 = 1_000;
/// How often to look without a signal.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(500);
/// How long to leave a company's server alone that failed.
const REST: std::time::Duration = std::time::Duration::from_secs(1);

/// Decides inquiries.
#[async_trait]
pub trait Matcher: Send + Sync {
    /// Decides up to 1,000; one decision for each, in order.
    ///
    /// # Errors
    /// `Unavailable`: none was decided; they are tried again.
    async fn decide(&self, inquiries: &[(FollowerKey, Inquiry)]) -> Result<Vec<MatchDecision>, Error>;
}

/// The company's server decides.
pub struct ByInquiry(pub PeerChannel);

#[async_trait]
impl Matcher for ByInquiry {
    async fn decide(&self, inquiries: &[(FollowerKey, Inquiry)]) -> Result<Vec<MatchDecision>, Error> {
        let request = MatchCustomersRequest {
            inquiries: inquiries.iter().map(|(_, inquiry)| to_wire(inquiry)).collect(),
        };
        let response = MatchServiceClient::new(self.0.clone())
            .match_customers(request)
            .await
            .map_err(|status| from_status(&status))?
            .into_inner();
        if response.decisions.len() != inquiries.len() {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("{} decisions for {} inquiries", response.decisions.len(), inquiries.len()),
                "",
            ));
        }
        response.decisions.into_iter().map(from_wire).collect()
    }
}

/// This server decides, by the copy in custody.
pub struct ByCustody {
    /// Whose copy.
    pub company: CompanyId,
    /// What it demands.
    pub policy: Policy,
    /// Where the copy is.
    pub store: Arc<dyn InformationStore>,
    /// The time, for the lease.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Matcher for ByCustody {
    async fn decide(&self, inquiries: &[(FollowerKey, Inquiry)]) -> Result<Vec<MatchDecision>, Error> {
        let keys: Vec<&str> =
            inquiries.iter().map(|(_, inquiry)| inquiry.account.account_number.as_str()).collect();
        let candidates = self.store.candidates(&self.company, &keys, self.clock.now()).await?;
        let Some(candidates) = candidates else {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "no customer master is in custody",
                "have the company entrust its master",
            ));
        };
        let policy = self.policy;
        let questions: Vec<Inquiry> = inquiries.iter().map(|(_, inquiry)| inquiry.clone()).collect();
        tokio::task::spawn_blocking(move || {
            let candidates: Candidates = candidates.into_iter().collect();
            let decide = |inquiry: &Inquiry| {
                let account = &inquiry.account;
                let key = Some(account.account_number.as_str());
                candidates.decide(key, account, &inquiry.identity, &policy)
            };
            questions.iter().map(decide).collect()
        })
        .await
        .map_err(|_| Error::new(ErrorKind::Internal, "matching failed", ""))?
    }
}

fn to_wire(inquiry: &Inquiry) -> wire::Inquiry {
    let identity = &inquiry.identity;
    wire::Inquiry {
        inquiry_id: inquiry.id.to_string(),
        account_number: inquiry.account.account_number.clone(),
        branch_number: inquiry.account.branch_number.clone().unwrap_or_default(),
        method: musubi_proto::r#type::v1::IdentityMethod::from(identity.method).into(),
        name: identity.name.clone(),
        name_kana: identity.name_kana.clone().unwrap_or_default(),
        birth_date: identity.birth_date.clone(),
        address: identity.address.clone(),
    }
}

fn from_wire(decision: wire::MatchDecision) -> Result<MatchDecision, Error> {
    let outcome = match decision.outcome() {
        wire::MatchOutcome::Confirmed => MatchOutcome::Confirmed,
        wire::MatchOutcome::Review => MatchOutcome::Review,
        wire::MatchOutcome::Rejected => MatchOutcome::Rejected,
        wire::MatchOutcome::Unspecified => {
            return Err(Error::new(ErrorKind::Unavailable, "a decision without an outcome", ""));
        }
    };
    let customer_id =
        Some(decision.customer_id).filter(|id| !id.is_empty()).map(|id| id.parse()).transpose()?;
    if outcome == MatchOutcome::Confirmed && customer_id.is_none() {
        return Err(Error::new(ErrorKind::Unavailable, "a confirmation without a customer", ""));
    }
    Ok(MatchDecision { outcome, customer_id, reasons: decision.reasons })
}

/// Has one company's inquiries decided.
pub struct Matching {
    /// Whose.
    pub company: CompanyId,
    /// How.
    pub matcher: Arc<dyn Matcher>,
    /// The server's store.
    pub store: Arc<dyn InformationStore>,
    /// Who is who.
    pub directory: Arc<Directory>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Wakes this, and the dispatchers.
    pub signals: Signals,
    /// What tries are counted by.
    pub keyring: FollowerKeyring,
    /// When an inquiry is tried again whose decision nobody came to record.
    pub lease: SignedDuration,
}

impl Matching {
    /// Has inquiries decided until the shutdown begins.
    ///
    /// # Errors
    /// Never; what fails is tried again.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), StoreError> {
        let token = shutdown.token();
        let mut due = self.signals.inquiries.listen();
        while !token.is_cancelled() {
            let decided = self.decide_due().await;
            // Whoever failed is left alone, whatever is signalled meanwhile.
            let next_look = async {
                match decided {
                    Ok(BATCH) => {}
                    Ok(_) => due.wait(LOOK_EVERY).await,
                    Err(error) => {
                        warn!(company = %self.company, %error, "inquiries could not be decided");
                        tokio::time::sleep(REST).await;
                    }
                }
            };
            tokio::select! {
                () = token.cancelled() => {}
                () = next_look => {}
            }
        }
        Ok(())
    }

    async fn decide_due(&self) -> Result<u32, Error> {
        let now = self.clock.now();
        let lease_end = now.checked_add(self.lease).unwrap_or(now);
        let claimed = self.store.claim_inquiries(&self.company, now, lease_end, BATCH).await?;
        if claimed.is_empty() {
            return Ok(0);
        }
        let decisions = match self.matcher.decide(&claimed).await {
            Ok(decisions) => decisions,
            Err(error) => {
                self.give_back(&claimed).await?;
                return Err(error);
            }
        };
        let now = self.clock.now();
        let mut scope = Scope::default();
        for ((key, inquiry), decision) in claimed.iter().zip(&decisions) {
            scope.followers.push(key.clone());
            scope.customers.extend(decision.customer_id.clone().map(|it| (key.account.clone(), it)));
            if let Some((account, company)) = self.directory.account_and_company(&key.account) {
                let scene = Scene { account, company, now };
                let (number, identity) = (&inquiry.account.account_number, &inquiry.identity);
                scope.guesses.extend(scene.guess_keys(key, number, identity, &self.keyring));
            }
        }
        self.store
            .work("record_decisions", &scope, now, &mut |work| {
                for ((key, inquiry), decision) in claimed.iter().zip(&decisions) {
                    if let Some((account, company)) = self.directory.account_and_company(&key.account) {
                        let scene = Scene { account, company, now };
                        scene.decide(work, key, inquiry, decision, &self.keyring);
                    }
                }
            })
            .await?;
        self.signals.deliveries.raise();
        Ok(u32::try_from(claimed.len()).unwrap_or(u32::MAX))
    }

    /// Makes inquiries due again that got no decision, instead of leaving them to the end of their lease. One that was replaced
    /// meanwhile is another.
    async fn give_back(&self, claimed: &[(FollowerKey, Inquiry)]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let followers = claimed.iter().map(|(key, _)| key.clone()).collect();
        let scope = Scope { followers, ..Scope::default() };
        self.store
            .work("give_back_inquiries", &scope, now, &mut |work| {
                for (key, claimed) in claimed {
                    let inquiry = work.followers.get_mut(key).and_then(|record| record.inquiry.as_mut());
                    if let Some(inquiry) = inquiry.filter(|inquiry| inquiry.id == claimed.id) {
                        inquiry.due_time = now;
                    }
                }
            })
            .await
    }
}

#[cfg(test)]
mod tests {
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
    use musubi_storage::information::flow::Work;

    use super::*;
    use crate::tests::{World, minute};

    /// A company's server that is away.
    struct Away;

    #[async_trait]
    impl Matcher for Away {
        async fn decide(&self, _: &[(FollowerKey, Inquiry)]) -> Result<Vec<MatchDecision>, Error> {
            Err(Error::new(ErrorKind::Unavailable, "away", "repeat"))
        }
    }

    /// A company's server that takes everybody for one customer.
    struct Confirms;

    #[async_trait]
    impl Matcher for Confirms {
        async fn decide(&self, inquiries: &[(FollowerKey, Inquiry)]) -> Result<Vec<MatchDecision>, Error> {
            let customer_id = Some("C1".parse()?);
            let decision =
                MatchDecision { outcome: MatchOutcome::Confirmed, customer_id, reasons: Vec::new() };
            Ok(vec![decision; inquiries.len()])
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
                record.inquiry = Some(inquiry(last));
                record.dialogue.as_mut().unwrap().state = State::Matching;
            }
        };
        world.store().work("fixture", &scope, minute(0), &mut ask).await.unwrap();
        Matching {
            company: "power".parse().unwrap(),
            matcher,
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
        async fn decide(&self, inquiries: &[(FollowerKey, Inquiry)]) -> Result<Vec<MatchDecision>, Error> {
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
}
