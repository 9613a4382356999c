//! People who agreed elsewhere to hear from an account, brought in: where a carrier keeps no list of who follows.
//!
//! A consent is as an event of its time: what has happened since, a leaving or an erasure, stands. Surprising: whom no message reaches
//! now is left out, and asked for again when the same consents are brought in once more.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    Error, ErrorKind,
    consent::{Consent, ConsentKind, TextDigest},
    error::shape,
    id::{CarrierId, CompanyId, OfficialAccountId, OperatorName},
    phone_number::PhoneNumber,
};
use musubi_proto::{convert::content::instant, information::v1 as wire};
use musubi_storage::information::flow::{Audit, Origin, Scope, Work};

use super::Followers;
use crate::scene::Scene;

/// The most consents of one request.
const MOST: usize = 1_000;
/// The longest source, in characters.
const SOURCE: usize = 200;
/// How far ahead a company's clock may be.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// One consent, read.
struct Given<'a> {
    number: PhoneNumber,
    source: &'a str,
    at: Timestamp,
}

impl Followers {
    /// Brings people in; all of them or nobody.
    pub(super) async fn import(
        &self,
        company: &CompanyId,
        request: &wire::ImportFollowersRequest,
    ) -> Result<wire::ImportFollowersResponse, Error> {
        let account = self.directory.own_account(company, &request.official_account)?;
        let carrier = account.carriers.iter().find(|carrier| carrier.as_str() == request.carrier);
        let carrier = carrier.ok_or_else(|| {
            let remedy = "name a carrier that the account is open at";
            Error::new(ErrorKind::NotFound, "no such carrier", remedy).at("carrier")
        })?;
        let gateway = self.gateways.get(carrier).filter(|gateway| !gateway.has_list());
        let gateway = gateway.ok_or_else(|| {
            let problem = "keeps a list of who follows, and the list is what counts";
            Error::new(ErrorKind::FailedPrecondition, problem, "let people follow there").at("carrier")
        })?;
        let operator: OperatorName = request.operator.parse()?;
        let now = self.clock.now();
        let given = self.read_consents(&request.consents, now)?;
        let numbers: Vec<_> = given.iter().map(|it| it.number).collect();
        let reached = gateway.reachable(&account.id, &numbers).await?;
        let reached: Vec<_> =
            given.iter().zip(reached).filter_map(|(it, reached)| reached.then_some(it)).collect();
        let unreachable = given.len() - reached.len();

        let texts: HashSet<&str> = reached.iter().map(|it| it.source).collect();
        let texts: Vec<_> = texts.into_iter().map(|text| (account.id.clone(), text.to_owned())).collect();
        self.store.keep_texts(&texts, now).await?;
        let imported = self.bring_in(&account.id, carrier, &operator, &reached, now).await?;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(wire::ImportFollowersResponse {
            imported: count(imported),
            unchanged: count(reached.len() - imported),
            unreachable: count(unreachable),
        })
    }

    fn read_consents<'a>(
        &self,
        consents: &'a [wire::ImportedConsent],
        now: Timestamp,
    ) -> Result<Vec<Given<'a>>, Error> {
        if !(1..=MOST).contains(&consents.len()) {
            let problem = format!("{} consents", consents.len());
            return Err(Error::invalid("consents", problem, "give 1 to 1,000"));
        }
        let mut numbers = HashSet::new();
        let read = |(place, consent): (usize, &'a wire::ImportedConsent)| {
            let read = read_consent(consent, now).and_then(|given| match numbers.insert(given.number) {
                true => Ok(given),
                false => Err(Error::invalid("phone_number", "stands twice", "give each number once")),
            });
            read.map_err(|error| {
                let field = format!("consents[{place}].{}", error.field);
                error.at(field)
            })
        };
        consents.iter().enumerate().map(read).collect()
    }

    /// In one transaction; gives how many follow over this carrier now who did not. Each of them agreed, also who follows over another.
    async fn bring_in(
        &self,
        account: &OfficialAccountId,
        carrier: &CarrierId,
        operator: &OperatorName,
        given: &[&Given<'_>],
        now: Timestamp,
    ) -> Result<usize, Error> {
        let Some((account, company)) = self.directory.account_and_company(account) else { return Ok(0) };
        let scene = Scene { account, company, now };
        let keys: Vec<_> = given
            .iter()
            .map(|it| self.key(&account.id, self.keyring.follower(&account.id, &it.number)))
            .collect();
        let scope = Scope { followers: keys.clone(), erased: keys.clone(), ..Scope::default() };
        let mut imported = 0;
        let mut bring = |work: &mut Work| {
            imported = 0;
            for (it, key) in given.iter().zip(&keys) {
                let follows = |work: &Work| {
                    let record = work.followers.get(key);
                    record
                        .into_iter()
                        .flat_map(|record| &record.subscriptions)
                        .any(|subscription| subscription.carrier == *carrier && subscription.following)
                };
                let before = follows(work);
                scene.arrive(work, key, it.number, carrier, it.at, Origin::List);
                if before || !follows(work) {
                    continue;
                }
                imported += 1;
                if let Some(dialogue) = work.followers.get(key).and_then(|record| record.dialogue.as_ref()) {
                    let consent = Consent {
                        dialogue: dialogue.id,
                        kind: ConsentKind::Follows,
                        text: TextDigest::of(it.source),
                        carrier: carrier.clone(),
                        give_time: it.at,
                    };
                    work.consents.push((key.clone(), consent));
                }
            }
            if imported > 0 {
                work.audits.push(Audit {
                    company: Some(company.id.clone()),
                    key: None,
                    action: "consents_imported",
                    detail: format!("{imported} for {} over {carrier}, by {operator}", account.id),
                });
            }
        };
        self.store.work("import_followers", &scope, now, &mut bring).await?;
        if imported > 0 {
            self.signals.dialogues.raise();
        }
        Ok(imported)
    }
}

fn read_consent(consent: &wire::ImportedConsent, now: Timestamp) -> Result<Given<'_>, Error> {
    let number = consent.phone_number.parse().map_err(|error: Error| error.at("phone_number"))?;
    let source = consent.source.trim();
    if !(1..=SOURCE).contains(&source.chars().count()) || source.chars().any(char::is_control) {
        let remedy = "say in 1 to 200 characters where the person agreed, and to what";
        return Err(Error::invalid("source", shape(&consent.source), remedy));
    }
    let at = instant(consent.consent_time.as_ref(), "consent_time")?;
    if at.duration_since(now) > AHEAD {
        return Err(Error::invalid("consent_time", "is to come", "give the moment when the person agreed"));
    }
    Ok(Given { number, source, at })
}
