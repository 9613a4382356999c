//! Has inquiries decided (S20): by the company's server, or here by the copy in custody; of a blind copy, by both. One worker for each
//! company, so that one that hangs delays nobody else.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    Error, ErrorKind,
    customer::{MatchDecision, MatchOutcome},
    id::{CompanyId, FollowerKeyring},
};
use musubi_matching::{BlindCandidates, Candidates, Policy, RULES_VERSION};
use musubi_proto::company::v1::{
    self as wire, MatchCustomersRequest, match_service_client::MatchServiceClient,
};
use musubi_runtime::{
    Clock, Shutdown,
    grpc::{client::PeerChannel, status::from_status},
    telemetry::{TARGET, context, metrics::STORE, story::begin},
};
use musubi_storage::{
    StoreError,
    information::{
        InformationStore,
        custody::Entrusted,
        flow::{DueInquiry, Inquiry, Scope},
    },
};
use tracing::{Instrument as _, info_span, warn};

use crate::{
    directory::Directory,
    scene::Scene,
    signal::Signals,
    telling::{self, Inquired, Said},
};

/// How many inquiries go together.
const BATCH: u32 = 1_000;
/// How often to look without a signal.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(500);
/// How long to leave a company's server alone that failed.
const REST: std::time::Duration = std::time::Duration::from_secs(1);
/// When those are asked about again that a blind copy left to a company that doesn't answer.
const WAIT: SignedDuration = SignedDuration::from_secs(30);

/// Decides inquiries.
#[async_trait]
pub trait Matcher: Send + Sync {
    /// Decides up to 1,000; one decision for each, in order. None where somebody else has to decide.
    ///
    /// # Errors
    /// `Unavailable`: none was decided; they are tried again.
    async fn decide(&self, inquiries: &[DueInquiry]) -> Result<Vec<Option<MatchDecision>>, Error>;
}

/// The company's server decides.
pub struct ByInquiry(pub PeerChannel);

#[async_trait]
impl Matcher for ByInquiry {
    async fn decide(&self, inquiries: &[DueInquiry]) -> Result<Vec<Option<MatchDecision>>, Error> {
        let mut request = tonic::Request::new(MatchCustomersRequest {
            inquiries: inquiries.iter().map(|it| to_wire(&it.inquiry)).collect(),
        });
        let (told, began) = (Inquired::of(inquiries), begin());
        context::name(&mut request, told.places(inquiries));
        let response = MatchServiceClient::new(self.0.clone())
            .match_customers(request)
            .await
            .map_err(|status| from_status(&status))?
            .into_inner();
        told.asked(inquiries, began);
        if response.decisions.len() != inquiries.len() {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("{} decisions for {} inquiries", response.decisions.len(), inquiries.len()),
                "",
            ));
        }
        response.decisions.into_iter().map(|decision| from_wire(decision).map(Some)).collect()
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
    /// Whether what the digests of a blind copy don't tell is left open; else it is for review, or rejected.
    pub asks: bool,
}

#[async_trait]
impl Matcher for ByCustody {
    async fn decide(&self, inquiries: &[DueInquiry]) -> Result<Vec<Option<MatchDecision>>, Error> {
        Inquired::of(inquiries).asked(inquiries, begin());
        let keys: Vec<&str> = inquiries.iter().map(|it| it.inquiry.account.account_number.as_str()).collect();
        match self.store.candidates(&self.company, &keys, self.clock.now()).await? {
            None => Err(Error::new(
                ErrorKind::Unavailable,
                "no customer master is in custody",
                "have the company entrust its master",
            )),
            Some(Entrusted::Plain(rows)) => {
                let decide = |candidates: &Candidates, inquiry: &Inquiry, policy: &Policy| {
                    let key = Some(inquiry.account.account_number.as_str());
                    candidates.decide(key, &inquiry.account, &inquiry.identity, policy)
                };
                let decided = self.on_each(inquiries, move || rows.into_iter().collect(), decide).await?;
                Ok(decided.into_iter().map(Some).collect())
            }
            Some(Entrusted::Blind(blinding, rows)) if blinding.rules_version == RULES_VERSION => {
                let decide = |candidates: &BlindCandidates, inquiry: &Inquiry, policy: &Policy| {
                    candidates.decide(&inquiry.account, &inquiry.identity, policy)
                };
                let prepare = move || BlindCandidates::new(&blinding, rows);
                let decided = self.on_each(inquiries, prepare, decide).await?.into_iter();
                let keeps = |certain: bool| certain || !self.asks;
                Ok(decided.map(|(decision, certain)| keeps(certain).then_some(decision)).collect())
            }
            // Nobody here can make these digests anew.
            Some(Entrusted::Blind(blinding, _)) if self.asks => {
                warn!(
                    company = %self.company,
                    "the blind copy is of rules version {}, and this server compares {RULES_VERSION}; the company is asked",
                    blinding.rules_version
                );
                Ok(vec![None; inquiries.len()])
            }
            Some(Entrusted::Blind(blinding, _)) => {
                let version = blinding.rules_version;
                let problem = format!(
                    "the blind copy is of rules version {version}, and this server compares {RULES_VERSION}"
                );
                let remedy =
                    "upgrade the company's server to this one's version, and have its master entrusted again";
                Err(Error::new(ErrorKind::Unavailable, problem, remedy))
            }
        }
    }
}

impl ByCustody {
    /// Prepares candidates and decides each inquiry by them, on a blocking thread.
    async fn on_each<C, D: Send + 'static>(
        &self,
        inquiries: &[DueInquiry],
        prepare: impl FnOnce() -> C + Send + 'static,
        decide: impl Fn(&C, &Inquiry, &Policy) -> Result<D, Error> + Send + 'static,
    ) -> Result<Vec<D>, Error> {
        let policy = self.policy;
        let questions: Vec<Inquiry> = inquiries.iter().map(|it| it.inquiry.clone()).collect();
        tokio::task::spawn_blocking(move || {
            let candidates = prepare();
            questions.iter().map(|inquiry| decide(&candidates, inquiry, &policy)).collect()
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
    /// Who decides what that leaves open.
    pub undecided: Option<Arc<dyn Matcher>>,
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
        let claim = self.store.claim_inquiries(&self.company, now, lease_end, BATCH);
        let claimed = STORE.time(["claim inquiries"], claim).await?;
        if claimed.is_empty() {
            return Ok(0);
        }
        let count = u32::try_from(claimed.len()).unwrap_or(u32::MAX);
        let batch = info_span!(target: TARGET, "match batch", company = %self.company, inquiries = count);
        self.decide_claimed(claimed).instrument(batch).await?;
        Ok(count)
    }

    async fn decide_claimed(&self, claimed: Vec<DueInquiry>) -> Result<(), Error> {
        let decisions = match self.matcher.decide(&claimed).await {
            Ok(decisions) => decisions,
            Err(error) => {
                self.give_back(&claimed, self.clock.now()).await?;
                return Err(error);
            }
        };
        // What is decided is recorded before anybody else is asked, who may hang.
        let open = self.record(claimed, decisions).await?;
        if !open.is_empty() {
            self.ask(open).await?;
        }
        Ok(())
    }

    /// Has somebody else decide what is open. Whoever doesn't answer is asked again in a while.
    async fn ask(&self, open: Vec<DueInquiry>) -> Result<(), Error> {
        let answered = match &self.undecided {
            Some(matcher) => matcher.decide(&open).await,
            None => Ok(vec![None; open.len()]),
        };
        let unanswered = match answered {
            Ok(decisions) => self.record(open, decisions).await?,
            Err(error) => {
                warn!(company = %self.company, %error, "what digests don't tell waits for the company");
                open
            }
        };
        let now = self.clock.now();
        Ok(self.give_back(&unanswered, now.checked_add(WAIT).unwrap_or(now)).await?)
    }

    /// Records what was decided, in one unit of work, and gives back what was not.
    async fn record(
        &self,
        inquiries: Vec<DueInquiry>,
        decisions: Vec<Option<MatchDecision>>,
    ) -> Result<Vec<DueInquiry>, Error> {
        let began = begin();
        let (mut decided, mut open) = (Vec::with_capacity(inquiries.len()), Vec::new());
        for (inquiry, decision) in inquiries.into_iter().zip(decisions) {
            match decision {
                Some(decision) => decided.push((inquiry, decision)),
                None => open.push(inquiry),
            }
        }
        if decided.is_empty() {
            return Ok(open);
        }
        let now = self.clock.now();
        let mut scope = Scope::default();
        for (DueInquiry { key, inquiry, .. }, decision) in &decided {
            scope.followers.push(key.clone());
            scope.customers.extend(decision.customer_id.clone().map(|it| (key.account.clone(), it)));
            if let Some((account, company)) = self.directory.account_and_company(&key.account) {
                let scene = Scene { account, company, now };
                let (number, identity) = (&inquiry.account.account_number, &inquiry.identity);
                scope.guesses.extend(scene.guess_keys(key, number, identity, &self.keyring));
            }
        }
        let mut said = Said::default();
        STORE
            .time(
                ["record decisions"],
                self.store.work("record_decisions", &scope, now, &mut |work| {
                    for (DueInquiry { key, inquiry, .. }, decision) in &decided {
                        if let Some((account, company)) = self.directory.account_and_company(&key.account) {
                            let scene = Scene { account, company, now };
                            scene.decide(work, key, inquiry, decision, &self.keyring);
                        }
                    }
                    said.note(work);
                }),
            )
            .await?;
        said.count();
        telling::concluded(&decided, &self.company, began);
        self.signals.deliveries.raise();
        Ok(open)
    }

    /// Makes inquiries due then that got no decision, instead of leaving them to the end of their lease. One that was replaced
    /// meanwhile is another.
    async fn give_back(&self, claimed: &[DueInquiry], due: Timestamp) -> Result<(), StoreError> {
        if claimed.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let followers = claimed.iter().map(|it| it.key.clone()).collect();
        let scope = Scope { followers, ..Scope::default() };
        self.store
            .work("give_back_inquiries", &scope, now, &mut |work| {
                for DueInquiry { key, inquiry: claimed, .. } in claimed {
                    let inquiry = work.followers.get_mut(key).and_then(|record| record.inquiry.as_mut());
                    if let Some(inquiry) = inquiry.filter(|inquiry| inquiry.id == claimed.id) {
                        inquiry.due_time = due;
                    }
                }
            })
            .await
    }
}

#[cfg(test)]
mod tests;
