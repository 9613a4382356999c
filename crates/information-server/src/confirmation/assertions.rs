//! Takes assertions: each once, for the dialogue, step and number that it was made for (S19).
//!
//! Surprising: each batch is gone through twice in its transaction. The counts of tries at an account number can only be charged when it
//! is known which number was typed, and that stands in the dialogue, so the first time gives no more than which counts to load.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    Error, ErrorKind,
    dialogue::{Dialogue, State},
    id::{CarrierId, FollowerKeyring},
};
use musubi_runtime::{
    Clock,
    telemetry::{metrics::STORE, story::begin},
};
use musubi_storage::information::{FollowerKey, InformationStore, flow::Scope};
use tracing::{error, info, warn};

use super::verifier::{Assertion, TrustedKey, TrustedKeys, Verifiers, key_id, refusal};
use crate::{
    directory::Directory,
    gateway::CarrierGateway,
    metrics::{ALARMS, ASSERTIONS},
    scene::{COMPANY_LIMIT, Scene},
    signal::Signals,
    telling::{self, Said},
    together::Together,
};

/// How often a carrier may be asked for its keys because of a key that isn't known.
const ASK_FOR_KEYS_EVERY: SignedDuration = SignedDuration::from_secs(2);

/// Takes assertions.
pub struct Assertions {
    /// The server's store.
    pub store: Arc<dyn InformationStore>,
    /// Who is who.
    pub directory: Arc<Directory>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Wakes the matcher and the dispatchers.
    pub signals: Signals,
    /// Makes follower keys.
    pub keyring: FollowerKeyring,
    /// The methods, by carrier.
    pub verifiers: Arc<HashMap<CarrierId, Verifiers>>,
    /// The carriers, who publish their authorities' keys.
    pub gateways: Arc<HashMap<CarrierId, Arc<dyn CarrierGateway>>>,
    /// The keys known so far.
    pub keys: KeyCache,
    /// Calls that wait.
    pub(crate) waiting: Waiting,
}

/// Calls that wait to be taken together.
pub(crate) type Waiting = Together<Arc<Checked>, Vec<Result<(), Error>>>;

/// The assertions of a call that are good by themselves.
type Checked = Vec<(FollowerKey, Assertion)>;

/// Keys by id, and when each carrier was last asked.
#[derive(Clone, Default)]
pub struct KeyCache(Arc<RwLock<(TrustedKeys, HashMap<CarrierId, Timestamp>)>>);

impl Assertions {
    /// Takes a batch that one carrier passed on; one verdict for each, in order.
    ///
    /// # Errors
    /// `Unavailable`: none was taken.
    pub async fn take(
        self: &Arc<Self>,
        carrier: &CarrierId,
        assertions: Vec<String>,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let (now, began) = (self.clock.now(), begin());
        self.learn_keys(carrier, &assertions, now).await?;
        let (this, from) = (Arc::clone(self), carrier.clone());
        let checked = tokio::task::spawn_blocking(move || {
            assertions.iter().map(|assertion| this.check(&from, assertion, now)).collect::<Vec<_>>()
        })
        .await
        .map_err(|_| Error::new(ErrorKind::Internal, "checking assertions failed", ""))?;

        let good: Arc<Checked> =
            Arc::new(checked.iter().filter_map(|checked| checked.as_ref().ok()).cloned().collect());
        let verdicts = match good.len() {
            0 => Vec::new(),
            count => {
                let this = Arc::clone(self);
                let unit = move |calls| Arc::clone(&this).apply(calls);
                self.waiting.carry_out(Arc::clone(&good), count, unit).await?
            }
        };
        for ((_, assertion), _) in good.iter().zip(&verdicts).filter(|(_, verdict)| verdict.is_ok()) {
            let Assertion { account, number, sent_nonce, .. } = assertion;
            telling::took_proof(account, number, sent_nonce.as_bytes(), began);
        }
        let taken = verdicts.iter().filter(|verdict| verdict.is_ok()).count();
        ASSERTIONS.add(taken as u64, [carrier.as_str(), "taken"]);
        ASSERTIONS.add((checked.len() - taken) as u64, [carrier.as_str(), "refused"]);
        let mut verdicts = verdicts.into_iter();
        let unavailable = || Error::new(ErrorKind::Unavailable, "not taken", "repeat the call");
        Ok(checked
            .into_iter()
            .map(|checked| checked.and_then(|_| verdicts.next().unwrap_or_else(|| Err(unavailable()))))
            .collect())
    }

    fn check(
        &self,
        carrier: &CarrierId,
        assertion: &str,
        now: Timestamp,
    ) -> Result<(FollowerKey, Assertion), Error> {
        let key = self
            .keys
            .get(&key_id(assertion)?)
            .ok_or_else(|| refusal("assertion", "the key is none of this carrier's authorities"))?;
        let verifiers = self
            .verifiers
            .get(carrier)
            .ok_or_else(|| refusal("assertion", "this carrier has no authorities"))?;
        let checked = verifiers.of(key.method())?.check(assertion, &key, carrier, now)?;
        let (account, company) = self
            .directory
            .account_and_company(&checked.account)
            .ok_or_else(|| refusal("aud", "there is no such official account"))?;
        if !company.methods.contains(&key.method()) {
            return Err(refusal("method", "the company does not accept this method"));
        }
        let follower = self.keyring.follower(&account.id, &checked.number);
        Ok((FollowerKey { account: account.id.clone(), follower }, checked))
    }

    /// Applies checked assertions of several calls in one transaction; one verdict for each, in order.
    async fn apply(self: Arc<Self>, calls: Vec<Arc<Checked>>) -> Result<Vec<Vec<Result<(), Error>>>, Error> {
        let now = self.clock.now();
        let good: Vec<_> = calls.iter().flat_map(|call| call.iter()).collect();
        let followers: Vec<_> = good.iter().map(|(key, _)| key.clone()).collect();
        let scope = Scope { followers, ..Scope::default() };
        let (mut verdicts, mut said, mut alarms) = (Vec::new(), Said::default(), Vec::new());
        STORE
            .time(
                ["take assertions"],
                self.store.work("take_assertions", &scope, now, &mut |work| {
                    verdicts.clear();
                    for (key, assertion) in &good {
                        let Some((account, company)) = self.directory.account_and_company(&key.account)
                        else {
                            verdicts.push(Err(refusal("aud", "there is no such official account")));
                            continue;
                        };
                        let scene = Scene { account, company, now };
                        let dialogue = work.followers.get(key).and_then(|record| record.dialogue.as_ref());
                        let verdict = binds(assertion, dialogue).and_then(|given| {
                            let keys = scene.guess_keys(key, &given, &assertion.identity, &self.keyring);
                            let uncounted: Vec<_> =
                                keys.into_iter().filter(|key| !work.counted.contains(key)).collect();
                            if !uncounted.is_empty() {
                                work.uncounted.extend(uncounted);
                                return Err(Error::new(
                                    ErrorKind::Unavailable,
                                    "tries are not counted",
                                    "repeat the call",
                                ));
                            }
                            scene
                                .verify(work, key, &assertion.identity, &self.keyring)
                                .then_some(())
                                .ok_or_else(|| refusal("nonce", "the dialogue does not wait for it"))
                        });
                        verdicts.push(verdict);
                    }
                    said.note(work);
                    let alarmed = work.audits.iter().filter(|line| line.action == COMPANY_LIMIT);
                    alarms = alarmed.filter_map(|line| line.company.clone()).collect::<Vec<_>>();
                }),
            )
            .await?;
        said.count();
        for company in &alarms {
            ALARMS.add(1, [company.as_str()]);
            // Whoever reads the log in the night is told once, and not by each try that is refused from now on.
            error!(
                %company,
                "ALARM: tries at account numbers reached the company's limit; nobody is matched until the window ends"
            );
        }
        self.signals.inquiries.raise();
        self.signals.deliveries.raise();
        let mut verdicts = verdicts.into_iter();
        Ok(calls.iter().map(|call| verdicts.by_ref().take(call.len()).collect()).collect())
    }

    /// Asks the carrier for its keys when an assertion names one that isn't known.
    async fn learn_keys(
        &self,
        carrier: &CarrierId,
        assertions: &[String],
        now: Timestamp,
    ) -> Result<(), Error> {
        let unknown = assertions
            .iter()
            .filter_map(|assertion| key_id(assertion).ok())
            .any(|id| self.keys.get(&id).is_none());
        if !unknown || !self.keys.may_ask(carrier, now) {
            return Ok(());
        }
        let Some(gateway) = self.gateways.get(carrier) else { return Ok(()) };
        let published = gateway.verification_keys().await.map_err(|error| {
            warn!(%carrier, %error, "the authorities' keys could not be had");
            Error::new(ErrorKind::Unavailable, "the authorities' keys could not be had", "repeat the call")
        })?;
        for key in published {
            match TrustedKey::new(carrier.clone(), &key) {
                Ok(trusted) => self.keys.add(carrier, key.key_id, trusted),
                Err(error) => {
                    warn!(%carrier, issuer = key.issuer, %error, "a key was published that is none")
                }
            }
        }
        self.keys.asked(carrier, now);
        info!(%carrier, "learnt the authorities' keys");
        Ok(())
    }
}

/// Whether the assertion is bound to the dialogue as it stands; gives the account number that was typed.
fn binds(assertion: &Assertion, dialogue: Option<&Dialogue>) -> Result<String, Error> {
    let dialogue = dialogue.ok_or_else(|| refusal("phone_number", "the number is in no dialogue"))?;
    if assertion.nonce.dialogue != dialogue.id {
        return Err(refusal("nonce", "the nonce is another dialogue's"));
    }
    if dialogue.state != State::IdentityAsked || assertion.nonce.step != dialogue.step {
        return Err(refusal("nonce", "the step is over, or the nonce was used before"));
    }
    let given = dialogue.given.as_ref().map(|given| given.account_number.clone());
    given.ok_or_else(|| refusal("nonce", "no account number was given"))
}

impl KeyCache {
    fn get(&self, id: &str) -> Option<TrustedKey> {
        self.0.read().ok()?.0.get(id).cloned()
    }

    fn may_ask(&self, carrier: &CarrierId, now: Timestamp) -> bool {
        let last = self.0.read().ok().and_then(|cache| cache.1.get(carrier).copied());
        last.is_none_or(|last| now.duration_since(last) >= ASK_FOR_KEYS_EVERY)
    }

    fn asked(&self, carrier: &CarrierId, now: Timestamp) {
        if let Ok(mut cache) = self.0.write() {
            cache.1.insert(carrier.clone(), now);
        }
    }

    /// Adds a key; an id that another carrier has taken stays the other's.
    fn add(&self, carrier: &CarrierId, id: String, key: TrustedKey) {
        if let Ok(mut cache) = self.0.write() {
            let free = cache.0.get(&id).is_none_or(|known| known.is_of(carrier));
            if free {
                cache.0.insert(id, key);
            }
        }
    }
}
