//! What people have a right to, as a company asks for it: to be erased, to be searched for, to be given what is held about them.
//!
//! A person is named by phone number, follower or customer, and is a follower before anything else happens. Surprising: whoever is erased needs not be
//! there. That nothing is held, and nobody was asked before, is known only for as long as a list brings nobody.

use musubi_domain::{
    Error, ErrorKind,
    approval::{Act, ApprovalState, Subject},
    eligibility,
    erasure::Erasure,
    id::{CompanyId, CustomerId, FollowerId, OfficialAccountId, OperatorName},
    outcome::FollowerOutcome,
    phone_number::{PhoneNumber, masked},
    review::ReviewSubject,
};
use musubi_proto::{
    convert::{content::timestamp, information as convert},
    information::v1::{self as wire, person::Who},
};
use musubi_storage::information::{
    FollowerKey,
    approval::Approval,
    erasure::{Asker, FollowerExport, Held, Reading},
    flow::{Scope, Work},
    follower::Quarantine,
    list::ListKey,
};

use super::Followers;
use crate::{approvals::show_approval, directory::Account, reviews::show_review, scene::Scene};

/// The most people of one request.
const MOST: usize = 1_000;

/// A person who was named.
enum Named {
    Number(PhoneNumber),
    Follower(FollowerId),
    Customer(CustomerId),
}

fn parse_person(person: &wire::Person) -> Result<Named, Error> {
    match &person.who {
        Some(Who::PhoneNumber(number)) => {
            number.parse().map(Named::Number).map_err(|error: Error| error.at("phone_number"))
        }
        Some(Who::FollowerId(id)) => id.parse().map(Named::Follower),
        Some(Who::CustomerId(id)) => id.parse().map(Named::Customer),
        None => {
            Err(Error::invalid("who", "nobody is named", "give a phone number, a follower or a customer"))
        }
    }
}

impl Followers {
    /// Has people erased, account by account; gives what was asked for, or what a second person has to approve first.
    pub(super) async fn erase(
        &self,
        company: &CompanyId,
        request: &wire::EraseFollowersRequest,
    ) -> Result<(Vec<Erasure>, Option<Approval>), Error> {
        let accounts = match request.official_account.as_str() {
            "" => self.directory.accounts_of(company),
            named => vec![self.directory.own_account(company, named)?],
        };
        if !(1..=MOST).contains(&request.people.len()) {
            let problem = format!("{} people", request.people.len());
            return Err(Error::invalid("people", problem, "name 1 to 1,000"));
        }
        let people = request.people.iter().enumerate().map(|(place, person)| {
            parse_person(person).map_err(|error| {
                let field = format!("people[{place}].{}", error.field);
                error.at(field)
            })
        });
        let people = people.collect::<Result<Vec<_>, _>>()?;
        if request.official_account.is_empty() && people.iter().any(|it| matches!(it, Named::Follower(_))) {
            let remedy = "name the account that the followers are of";
            return Err(Error::invalid("official_account", "is empty beside an id of one account", remedy));
        }
        let operator: OperatorName = request.operator.parse()?;
        if self.approvals.is_needed(company, Act::Erase) {
            let asker = Asker { company: company.clone(), operator };
            return Ok((Vec::new(), self.ask_to_erase(&asker, &accounts, &people).await?));
        }
        let mut asked = Vec::new();
        for account in accounts {
            asked.extend(self.erase_of(account, &people, &operator).await?);
        }
        Ok((asked, None))
    }

    /// Asks a second person for it; for nothing, if nobody is meant.
    async fn ask_to_erase(
        &self,
        asker: &Asker,
        accounts: &[&Account],
        people: &[Named],
    ) -> Result<Option<Approval>, Error> {
        let mut keys = Vec::new();
        for account in accounts {
            let Scope { followers, customers, .. } = self.scope_of(account, people);
            let mut look = |work: &mut Work| {
                keys.extend(work.tied.values().cloned());
            };
            let scope = Scope { customers, ..Scope::default() };
            if !scope.customers.is_empty() {
                self.store.work("find_tied", &scope, self.clock.now(), &mut look).await?;
            }
            keys.extend(followers);
        }
        keys.sort();
        keys.dedup();
        if keys.is_empty() {
            return Ok(None);
        }
        let subject = Subject::Erase { people: u64::try_from(keys.len()).unwrap_or(u64::MAX) };
        self.approvals.ask(asker, subject, keys).await.map(Some)
    }

    async fn erase_of(
        &self,
        account: &Account,
        people: &[Named],
        operator: &OperatorName,
    ) -> Result<Vec<Erasure>, Error> {
        let Some((account, company)) = self.directory.account_and_company(&account.id) else {
            return Ok(Vec::new());
        };
        let scope = self.scope_of(account, people);
        let now = self.clock.now();
        let scene = Scene { account, company, now };
        let mut asked = Vec::new();
        self.store
            .work("erase_followers", &scope, now, &mut |work: &mut Work| {
                let mut keys: Vec<_> = scope.followers.iter().chain(work.tied.values()).cloned().collect();
                keys.sort();
                keys.dedup();
                asked = keys.iter().map(|key| scene.erase(work, key, operator)).collect();
            })
            .await?;
        Ok(asked)
    }

    /// Whom these are among the followers of an account.
    fn scope_of(&self, account: &Account, people: &[Named]) -> Scope {
        let mut scope = Scope::default();
        for person in people {
            match person {
                Named::Number(number) => {
                    scope.followers.push(self.key(&account.id, self.keyring.follower(&account.id, number)));
                }
                Named::Follower(follower) => scope.followers.push(self.key(&account.id, *follower)),
                Named::Customer(customer) => scope.customers.push((account.id.clone(), customer.clone())),
            }
        }
        scope
    }

    /// Forgets a person's wrong guesses, and has them asked anew; gives whether there was anything to do.
    pub(super) async fn unlock(
        &self,
        company: CompanyId,
        request: &wire::UnlockFollowerRequest,
    ) -> Result<bool, Error> {
        let asker = Asker { operator: request.operator.parse()?, company };
        let (account, named) = self.named(&asker, &request.official_account, request.person.as_ref())?;
        let Some(follower) = self.follower(&account, &named).await? else { return Ok(false) };
        let Some((account, company)) = self.directory.account_and_company(&account) else { return Ok(false) };
        let key = self.key(&account.id, follower);
        let scene = Scene { account, company, now: self.clock.now() };
        let guesses = scene.own_guess_keys(&key).to_vec();
        let scope = Scope { followers: vec![key.clone()], guesses, ..Scope::default() };
        let mut unlocked = false;
        let mut unlock = |work: &mut Work| unlocked = scene.unlock(work, &key, &asker.operator);
        self.store.work("unlock_follower", &scope, scene.now, &mut unlock).await?;
        Ok(unlocked)
    }

    /// Ends a person's tie; gives whether there was one.
    pub(super) async fn untie(
        &self,
        company: CompanyId,
        request: &wire::UntieFollowerRequest,
    ) -> Result<bool, Error> {
        let asker = Asker { operator: request.operator.parse()?, company };
        let who = (request.official_account.as_str(), request.person.as_ref());
        self.by_hand(&asker, who, "untie_follower", |scene, work, key, operator| {
            scene.untie(work, key, operator)
        })
        .await
    }

    /// Holds back what is individual for a person, or lets it go again; gives whether that changed anything.
    pub(super) async fn suspend(
        &self,
        company: CompanyId,
        request: &wire::SuspendFollowerRequest,
    ) -> Result<bool, Error> {
        let asker = Asker { operator: request.operator.parse()?, company };
        let who = (request.official_account.as_str(), request.person.as_ref());
        let suspended = !request.release;
        self.by_hand(&asker, who, "suspend_follower", |scene, work, key, operator| {
            scene.suspend_by_hand(work, key, suspended, operator)
        })
        .await
    }

    /// Does something to one follower, in a unit of work; gives what it gave, and `false` when nobody is there.
    async fn by_hand(
        &self,
        asker: &Asker,
        (account, person): (&str, Option<&wire::Person>),
        transaction: &'static str,
        edit: impl Fn(&Scene<'_>, &mut Work, &FollowerKey, &OperatorName) -> bool + Send + Sync,
    ) -> Result<bool, Error> {
        let (account, named) = self.named(asker, account, person)?;
        let Some(follower) = self.follower(&account, &named).await? else { return Ok(false) };
        let Some((account, company)) = self.directory.account_and_company(&account) else { return Ok(false) };
        let key = self.key(&account.id, follower);
        let scene = Scene { account, company, now: self.clock.now() };
        let scope = Scope { followers: vec![key.clone()], ..Scope::default() };
        let mut done = false;
        let mut edit = |work: &mut Work| done = edit(&scene, work, &key, &asker.operator);
        self.store.work(transaction, &scope, scene.now, &mut edit).await?;
        Ok(done)
    }

    /// What is held about a person, and about a customer if that is who was named. The follower: none, when the customer is tied to nobody.
    pub(super) async fn search(
        &self,
        company: CompanyId,
        request: &wire::SearchFollowerRequest,
    ) -> Result<(Option<FollowerId>, Held), Error> {
        let asker = Asker { operator: request.operator.parse()?, company };
        let (account, named) = self.named(&asker, &request.official_account, request.person.as_ref())?;
        let follower = self.follower(&account, &named).await?;
        let key = self.key(&account, follower.unwrap_or_else(|| FollowerId::from_bytes([0; 16])));
        let customer = match &named {
            Named::Customer(customer) => Some(customer),
            Named::Number(_) | Named::Follower(_) => None,
        };
        let held = self.store.search_follower(&asker, &key, customer, self.clock.now()).await?;
        Ok((follower, held))
    }

    /// Everything that is held about a person, or what a second person has to approve first.
    pub(super) async fn export(
        &self,
        company: CompanyId,
        request: &wire::ExportFollowerRequest,
    ) -> Result<wire::ExportFollowerResponse, Error> {
        let asker = Asker { operator: request.operator.parse()?, company };
        let (account, named) = self.named(&asker, &request.official_account, request.person.as_ref())?;
        let key = self.key(&account, self.follower(&account, &named).await?.ok_or_else(nothing)?);
        let mut approved = None;
        if self.approvals.is_needed(&asker.company, Act::Export) {
            // Nobody is asked about nothing.
            if !self.is_there(&key).await? {
                return Err(nothing());
            }
            let approval = self.approvals.ask(&asker, Subject::Export { account }, vec![key.clone()]).await?;
            if approval.state != ApprovalState::Approved {
                let approval = Some(show_approval(&approval, false));
                return Ok(wire::ExportFollowerResponse { approval, ..Default::default() });
            }
            approved = Some(approval.id);
        }
        let now = self.clock.now();
        let reading = Reading::Exported(approved);
        let export = self.store.export_follower(&asker, &key, reading, now).await?.ok_or_else(nothing)?;
        Ok(show_export(&key, export, self.clock.now()))
    }

    /// One follower as operators look at one: of what waits for people nothing, and the number only if it is asked for.
    pub(super) async fn get(
        &self,
        company: CompanyId,
        request: &wire::GetFollowerRequest,
    ) -> Result<wire::GetFollowerResponse, Error> {
        let asker = Asker { operator: request.operator.parse()?, company };
        let (account, named) = self.named(&asker, &request.official_account, request.person.as_ref())?;
        let key = self.key(&account, self.follower(&account, &named).await?.ok_or_else(nothing)?);
        let (now, reading) =
            (self.clock.now(), if request.reveal { Reading::Revealed } else { Reading::Shown });
        let read = self.store.export_follower(&asker, &key, reading, now).await?.ok_or_else(nothing)?;
        let mut shown = show_export(&key, read, now);
        if let Some(follower) = shown.follower.as_mut().filter(|_| !request.reveal) {
            follower.phone_number = masked(&follower.phone_number);
        }
        Ok(wire::GetFollowerResponse {
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
        })
    }

    /// Has a quarantined list believed; gives what a second person has to approve first, and the quarantine as it stands then.
    pub(super) async fn release(
        &self,
        company: CompanyId,
        request: &wire::ReleaseListRequest,
    ) -> Result<(Option<Approval>, Option<Quarantine>), Error> {
        let account = self.directory.own_account(&company, &request.official_account)?;
        let carrier = account.carriers.iter().find(|carrier| carrier.as_str() == request.carrier);
        let carrier = carrier.cloned().ok_or_else(|| {
            let remedy = "name a carrier where the official account is open";
            Error::new(ErrorKind::NotFound, "the official account is not open there", remedy).at("carrier")
        })?;
        let asker = Asker { operator: request.operator.parse()?, company };
        let account = account.id.clone();
        let overview = self.store.overview(&asker.company, std::slice::from_ref(&account)).await?;
        let list = overview.acquisitions.into_iter().find(|list| list.carrier == carrier);
        let Some(quarantine) = list.and_then(|list| list.quarantine) else { return Ok((None, None)) };
        let Quarantine { followers, missing, .. } = quarantine;
        if self.approvals.is_needed(&asker.company, Act::Release) {
            let subject = Subject::Release { account, carrier, followers, missing };
            let approval = self.approvals.ask(&asker, subject, Vec::new()).await?;
            return Ok((Some(approval), Some(quarantine)));
        }
        let list = ListKey { account, carrier };
        self.store.release_list(&asker, &list, missing, self.clock.now()).await?;
        Ok((None, Some(Quarantine { released: true, ..quarantine })))
    }

    fn named(
        &self,
        asker: &Asker,
        account: &str,
        person: Option<&wire::Person>,
    ) -> Result<(OfficialAccountId, Named), Error> {
        let account = self.directory.own_account(&asker.company, account)?.id.clone();
        let named = parse_person(&person.cloned().unwrap_or_default()).map_err(|error| {
            let field = format!("person.{}", error.field);
            error.at(field)
        })?;
        Ok((account, named))
    }

    /// Which follower of the account that is; none for a customer who is tied to nobody.
    async fn follower(
        &self,
        account: &OfficialAccountId,
        named: &Named,
    ) -> Result<Option<FollowerId>, Error> {
        match named {
            Named::Number(number) => Ok(Some(self.keyring.follower(account, number))),
            Named::Follower(follower) => Ok(Some(*follower)),
            Named::Customer(customer) => {
                let customers = vec![(account.clone(), customer.clone())];
                let scope = Scope { customers, ..Scope::default() };
                let mut tied = None;
                let mut look = |work: &mut Work| tied = work.tied.values().next().map(|key| key.follower);
                self.store.work("find_tied", &scope, self.clock.now(), &mut look).await?;
                Ok(tied)
            }
        }
    }

    async fn is_there(&self, key: &FollowerKey) -> Result<bool, Error> {
        let scope = Scope { followers: vec![key.clone()], ..Scope::default() };
        let mut is_there = false;
        let mut look = |work: &mut Work| is_there = work.followers.contains_key(key);
        self.store.work("find_follower", &scope, self.clock.now(), &mut look).await?;
        Ok(is_there)
    }

    pub(super) fn key(&self, account: &OfficialAccountId, follower: FollowerId) -> FollowerKey {
        FollowerKey { account: account.clone(), follower }
    }
}

fn nothing() -> Error {
    let remedy = "nothing has to be done; a search tells the same table by table";
    Error::new(ErrorKind::NotFound, "nothing is held about this person", remedy).at("person")
}

pub(super) fn show_held(follower: Option<FollowerId>, held: Held) -> wire::SearchFollowerResponse {
    let tables = held.tables.into_iter().map(|(table, rows)| wire::HeldRows { table, rows });
    let erasure = held.erasure.map(|record| wire::Erasure {
        cause: record.erasure.cause.as_str().to_owned(),
        request_time: Some(timestamp(record.erasure.request_time)),
        erase_time: record.erase_time.map(timestamp),
        waits: record.waits,
    });
    wire::SearchFollowerResponse {
        follower_id: follower.map_or_else(String::new, |follower| follower.to_string()),
        tables: tables.collect(),
        erasure,
        follow_time: held.follow_time.map(timestamp),
    }
}

fn show_export(
    key: &FollowerKey,
    export: FollowerExport,
    now: jiff::Timestamp,
) -> wire::ExportFollowerResponse {
    let FollowerExport { record, consents, messages, guesses, reviews } = export;
    let state = record.dialogue.as_ref().map(|dialogue| dialogue.state);
    let customer = record.tie.as_ref().map(|tie| tie.tie.customer_id.clone());
    let customer = customer.or_else(|| record.matched.proposed_customer.clone());
    let held = record.tie.as_ref().and_then(|tie| eligibility::Held::of(&tie.tie, record.suspended, now));
    let follower = wire::Follower {
        follower_id: key.follower.to_string(),
        phone_number: record.phone_number.as_str().to_owned(),
        carrier: record.carrier.to_string(),
        outcome: wire::FollowerOutcome::from(FollowerOutcome::of(record.following, state)).into(),
        customer_id: customer.map_or_else(String::new, |customer| customer.to_string()),
        reasons: record.matched.reasons.clone(),
        follow_time: Some(timestamp(record.follow_time)),
        outcome_time: Some(timestamp(
            record.dialogue.as_ref().map_or(record.follow_time, |dialogue| dialogue.state_time),
        )),
        suspended: held.is_some(),
        held_reason: held.map_or_else(String::new, |held| held.as_str().to_owned()),
        suspended_by_company: record.suspended,
    };
    let lists = record.subscriptions.iter().map(|list| wire::ListEntry {
        carrier: list.carrier.to_string(),
        following: list.following,
        change_time: Some(timestamp(list.change_time)),
    });
    let tie = record.tie.as_ref();
    let consents = consents.into_iter().map(|(consent, text)| wire::Consent {
        kind: consent.kind.as_str().to_owned(),
        text,
        text_digest: consent.text.to_string(),
        carrier: consent.carrier.to_string(),
        dialogue_id: consent.dialogue.to_string(),
        give_time: Some(timestamp(consent.give_time)),
    });
    let messages = messages.into_iter().map(|message| wire::ExportedMessage {
        message_id: message.id.to_string(),
        distribution_id: message.distribution.map_or_else(String::new, |id| id.to_string()),
        purpose: convert::purpose(message.purpose).to_owned(),
        state: message.state.as_str().to_owned(),
        change_time: Some(timestamp(message.change_time)),
    });
    let waiting = record.review.clone();
    let subject = waiting.as_ref().and_then(|review| review.subject.clone()).or_else(|| {
        let inquiry = record.inquiry.clone()?;
        Some(ReviewSubject { account: inquiry.account, identity: inquiry.identity })
    });
    let typed = record.dialogue.as_ref().and_then(|dialogue| dialogue.given.clone());
    let subject = subject.map(crate::reviews::show_subject).or_else(|| {
        typed.map(|given| wire::ReviewSubject {
            account_number: given.account_number,
            branch_number: given.branch_number.unwrap_or_default(),
            ..wire::ReviewSubject::default()
        })
    });
    wire::ExportFollowerResponse {
        follower: Some(follower),
        lists: lists.collect(),
        wrong_guesses: guesses.at(now).charged,
        tie_method: tie.map_or(0, |tie| musubi_proto::r#type::v1::IdentityMethod::from(tie.method).into()),
        tie_time: tie.map(|tie| timestamp(tie.tie_time)),
        tie_expire_time: tie.map(|tie| timestamp(tie.tie.expire_time)),
        former_customer_id: record.former_customer.as_ref().map_or_else(String::new, ToString::to_string),
        subject,
        consents: consents.collect(),
        messages: messages.collect(),
        reviews: reviews
            .into_iter()
            .chain(waiting.map(|review| *review))
            .map(|review| show_review(key, review))
            .collect(),
        approval: None,
    }
}
