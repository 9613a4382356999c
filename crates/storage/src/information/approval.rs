//! What one person of a company asked for and another has to approve: kept until it is decided, and done in the transaction of the approval.
//!
//! Every method is asked with the company that asks; what another company asked for is not found. An export is not done here: what is approved of it is
//! spent where it is given ([`ErasureStore::export_follower`](super::erasure::ErasureStore::export_follower)). Surprising: a refused word is a transaction
//! of its own, because who was refused stands in the audit, too.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    Error, ErrorKind,
    approval::{Act, ApprovalState, Asked, Subject},
    erasure::Erasure,
    id::{ApprovalId, CompanyId, FollowerId, OfficialAccountId, OperatorName},
    review::Verdict,
};

use super::{FollowerKey, erasure::Asker, flow::Audit, list::ListKey};
use crate::{
    StoreError,
    row::{Columns, list},
};

/// Something that one person asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Which.
    pub id: ApprovalId,
    /// Whose.
    pub company: CompanyId,
    /// What was asked for.
    pub subject: Subject,
    /// Whom it is about, in order; nobody once it is not open.
    pub people: Vec<FollowerKey>,
    /// Where it stands.
    pub state: ApprovalState,
    /// Who asked.
    pub asked_by: OperatorName,
    /// Who approved or rejected it.
    pub decided_by: Option<OperatorName>,
    /// When it was asked for.
    pub ask_time: Timestamp,
    /// When it got where it stands.
    pub state_time: Timestamp,
    /// When it expires, unless it is done before.
    pub expire_time: Timestamp,
}

impl Approval {
    /// What a word on it is judged by.
    #[must_use]
    pub fn asked(&self) -> Asked<'_> {
        let (act, state) = (self.subject.act(), self.state);
        Asked { act, state, asked_by: &self.asked_by, decided_by: self.decided_by.as_ref() }
    }

    /// The same thing, asked for again, has the same.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let people: Vec<_> = self.people.iter().map(|key| (key.account.clone(), key.follower)).collect();
        self.subject.digest(&people, &self.asked_by)
    }

    /// It stands there now.
    pub(crate) fn becomes(&mut self, state: ApprovalState, operator: Option<&OperatorName>, now: Timestamp) {
        (self.state, self.state_time) = (state, now);
        if !state.is_open() {
            self.people.clear();
        }
        if let Some(operator) = operator {
            self.decided_by = Some(operator.clone());
        }
    }
}

/// Which to list.
#[derive(Clone, Debug)]
pub struct ApprovalQuery {
    /// Who asks.
    pub company: CompanyId,
    /// Only those that stand there.
    pub state: Option<ApprovalState>,
    /// From behind this one.
    pub after: Option<ApprovalId>,
    /// At most so many.
    pub limit: u32,
}

/// A person's word.
#[derive(Clone, Debug)]
pub struct Word {
    /// On which.
    pub id: ApprovalId,
    /// What.
    pub verdict: Verdict,
    /// Whose.
    pub asker: Asker,
}

/// What one person asked for and another has to approve.
///
/// # Errors
/// [`StoreError::Unavailable`] from each: nothing was stored.
#[async_trait]
pub trait ApprovalStore: Send + Sync {
    /// Keeps what was asked for, or gives what is open of the same already.
    async fn ask_approval(&self, new: &Approval) -> Result<Approval, StoreError>;

    /// A page, in order of id: the oldest first.
    async fn list_approvals(&self, query: &ApprovalQuery) -> Result<Vec<Approval>, StoreError>;

    /// One of them.
    ///
    /// # Errors
    /// Refused as `NotFound` at `approval_id`.
    async fn get_approval(&self, company: &CompanyId, id: ApprovalId) -> Result<Approval, StoreError>;

    /// Takes a person's word ([`decide`](musubi_domain::approval::decide)), and does what an approval lets be done: these erasures are asked for, the list is
    /// released. Two at once do it once. A word that is refused is in the audit, too.
    ///
    /// # Errors
    /// Refused as `NotFound` at `approval_id`; as `FailedPrecondition` when the rule refuses it, or when the list is quarantined no more.
    async fn decide_approval(
        &self,
        word: &Word,
        erasures: &[Erasure],
        now: Timestamp,
    ) -> Result<Approval, StoreError>;

    /// Closes what nobody decided or fetched in time, at most `limit`; gives how many.
    async fn expire_approvals(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError>;

    /// Has a quarantined list believed that lacks no more than so many, without a second person. Repeatable.
    ///
    /// # Errors
    /// Refused as `FailedPrecondition` when it is not quarantined.
    async fn release_list(
        &self,
        asker: &Asker,
        list: &ListKey,
        missing: u64,
        now: Timestamp,
    ) -> Result<(), StoreError>;
}

/// Another company's, or nobody's.
pub(crate) fn no_approval() -> Error {
    let remedy = "take an id that musubi approvals list shows";
    Error::new(ErrorKind::NotFound, "nothing of that id was asked for", remedy).at("approval_id")
}

/// What was approved is not there to be fetched.
pub(crate) fn spent() -> Error {
    let remedy = "ask for it anew";
    Error::new(ErrorKind::FailedPrecondition, "the approval was spent or taken back in this moment", remedy)
}

/// The list stands as it should.
pub(crate) fn not_quarantined() -> Error {
    let remedy = "see musubi lists show; reject what was asked for if it waits still";
    Error::new(ErrorKind::FailedPrecondition, "the list is not quarantined", remedy)
}

/// Whom it is about, as it is stored.
pub(crate) fn people_text(people: &[FollowerKey]) -> Result<String, StoreError> {
    let people = people.iter().map(|key| (key.account.as_str(), key.follower.to_string()));
    list(&people.collect::<Vec<_>>())
}

/// Reads one. Columns: company, id, subject, people, state, asked by, decided by, ask time, state time, expire time.
pub(crate) fn approval_of(row: &impl Columns) -> Result<Approval, StoreError> {
    let unread = |_| StoreError::Corrupt("what was asked for can't be read".to_owned());
    let people: Vec<(OfficialAccountId, String)> = serde_json::from_str(row.text(3)?).map_err(unread)?;
    let people = people
        .into_iter()
        .map(|(account, follower)| Ok(FollowerKey { account, follower: follower.parse::<FollowerId>()? }));
    Ok(Approval {
        company: row.text(0)?.parse()?,
        id: ApprovalId::from_bytes(row.id(1)?),
        subject: serde_json::from_str(row.text(2)?).map_err(unread)?,
        people: people.collect::<Result<_, Error>>()?,
        state: row.one_of(&ApprovalState::ALL, 4)?,
        asked_by: row.text(5)?.parse()?,
        decided_by: row.maybe_text(6)?.map(str::parse).transpose()?,
        ask_time: row.instant(7)?,
        state_time: row.instant(8)?,
        expire_time: row.instant(9)?,
    })
}

/// The line of the audit that tells what became of it: of whom, if it is about one follower.
pub(crate) fn line(approval: &Approval, action: &'static str, by: Option<&OperatorName>) -> Audit {
    let what = match &approval.subject {
        Subject::Export { account } => format!("export of {account}"),
        Subject::Erase { people } => format!("erase {people}"),
        Subject::Release { account, carrier, followers, missing } => {
            format!("release {account} at {carrier}, {missing} of {followers} missing")
        }
    };
    let by = by.map_or_else(String::new, |by| format!(" by {by}"));
    let key = match (&approval.people[..], approval.subject.act()) {
        ([one], Act::Export | Act::Erase) => Some(one.clone()),
        _ => None,
    };
    let detail = format!("{} {what}{by}", approval.id);
    Audit { company: Some(approval.company.clone()), key, action, detail }
}

/// The lines of an approval or a rejection, and of what an approval does.
pub(crate) fn lines_of(approval: &Approval, word: &Word, erasures: &[Erasure]) -> Vec<Audit> {
    let said = match word.verdict {
        Verdict::Approved => "approval_granted",
        Verdict::Rejected => "approval_rejected",
    };
    let mut lines = vec![line(approval, said, Some(&word.asker.operator))];
    if word.verdict == Verdict::Approved {
        let who = format!("by {}, approved by {}", approval.asked_by, word.asker.operator);
        match &approval.subject {
            Subject::Export { .. } => {}
            Subject::Erase { .. } => lines.extend(erasures.iter().map(|erasure| Audit {
                company: Some(erasure.company.clone()),
                key: Some(FollowerKey { account: erasure.account.clone(), follower: erasure.follower }),
                action: "erasure_asked",
                detail: format!("company, {who}"),
            })),
            Subject::Release { account, carrier, missing, .. } => {
                let list = ListKey { account: account.clone(), carrier: carrier.clone() };
                lines.push(release_line(&approval.company, &list, *missing, &who));
            }
        }
    }
    lines
}

/// The line of a list that was released.
pub(crate) fn release_line(company: &CompanyId, list: &ListKey, missing: u64, who: &str) -> Audit {
    let detail = format!("{} at {}, {missing} missing, {who}", list.account, list.carrier);
    Audit { company: Some(company.clone()), key: None, action: "list_released", detail }
}
