//! What one person of a company may not do alone: asked for here, approved by another, done in the transaction of the approval.
//!
//! Whoever does such a thing for a company asks [`Approvals`] first, and what has to wait is kept in the database and nowhere else. Surprising: an export is
//! not done by its approval. It is given to who asked for it, when they call again, and to nobody else.

mod service;
mod sweeper;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use musubi_domain::{
    Error,
    approval::{Act, ApprovalState, Subject},
    id::{ApprovalId, CompanyId, OfficialAccountId},
};
use musubi_proto::{convert::content::timestamp, information::v1 as wire};
use musubi_runtime::{Clock, entropy};
use musubi_storage::information::{FollowerKey, InformationStore, approval::Approval, erasure::Asker};

pub use self::{service::ApprovalsService, sweeper::Sweeper};
use crate::directory::Directory;

/// The most followers that are told of one approval.
const MOST_TOLD: usize = 1_000;

/// Asks for what needs a second person.
#[derive(Clone)]
pub struct Approvals {
    store: Arc<dyn InformationStore>,
    clock: Arc<dyn Clock>,
    directory: Arc<Directory>,
}

impl Approvals {
    /// Keeps what waits in this store, by this clock, as the companies of this directory want it.
    #[must_use]
    pub fn new(store: Arc<dyn InformationStore>, clock: Arc<dyn Clock>, directory: Arc<Directory>) -> Self {
        Self { store, clock, directory }
    }

    /// Whether a company wants a second person for this.
    #[must_use]
    pub(crate) fn is_needed(&self, company: &CompanyId, act: Act) -> bool {
        // A company that isn't known is no company that has waived it.
        self.directory.company(company).is_none_or(|company| company.second_person.is_needed(act))
    }

    /// Asks for something, or gives what is open of the same.
    ///
    /// # Errors
    /// When the store is unavailable.
    pub(crate) async fn ask(
        &self,
        asker: &Asker,
        subject: Subject,
        mut people: Vec<FollowerKey>,
    ) -> Result<Approval, Error> {
        let now = self.clock.now();
        people.sort();
        people.dedup();
        let rules = self.directory.company(&asker.company).map(|company| company.second_person.clone());
        let expire_time = now.checked_add(rules.unwrap_or_default().wait).unwrap_or(Timestamp::MAX);
        let new = Approval {
            id: ApprovalId::new(now, entropy::bytes()),
            company: asker.company.clone(),
            subject,
            people,
            state: ApprovalState::Waiting,
            asked_by: asker.operator.clone(),
            decided_by: None,
            ask_time: now,
            state_time: now,
            expire_time,
        };
        Ok(self.store.ask_approval(&new).await?)
    }
}

/// As the wire shows it; whom it is about only where one is shown.
pub(crate) fn show_approval(approval: &Approval, with_people: bool) -> wire::Approval {
    let told = approval.people.iter().take(if with_people { MOST_TOLD } else { 0 });
    let mut shown = wire::Approval {
        approval_id: approval.id.to_string(),
        act: wire::ApprovalAct::from(approval.subject.act()).into(),
        follower_ids: told.map(|key| key.follower.to_string()).collect(),
        asked_by: approval.asked_by.to_string(),
        decided_by: approval.decided_by.as_ref().map_or_else(String::new, ToString::to_string),
        state: wire::ApprovalState::from(approval.state).into(),
        ask_time: Some(timestamp(approval.ask_time)),
        state_time: Some(timestamp(approval.state_time)),
        expire_time: Some(timestamp(approval.expire_time)),
        ..wire::Approval::default()
    };
    match &approval.subject {
        Subject::Export { account } => {
            shown.official_account = account.to_string();
            shown.people = 1;
        }
        Subject::Erase { people } => {
            shown.official_account = only_account(&approval.people);
            shown.people = *people;
        }
        Subject::Release { account, carrier, followers, missing } => {
            shown.official_account = account.to_string();
            shown.carrier = carrier.to_string();
            (shown.followers, shown.people) = (*followers, *missing);
        }
    }
    shown
}

/// The account of all of these followers, if they are of one.
fn only_account(people: &[FollowerKey]) -> String {
    let account = people.first().map(|key: &FollowerKey| &key.account);
    let one = account.filter(|account| people.iter().all(|key| key.account == **account));
    one.map_or_else(String::new, OfficialAccountId::to_string)
}
