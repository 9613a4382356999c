//! What a company's people do to one follower by hand: end the tie, hold back what is individual, let it go again.
//!
//! Surprising: a suspension is the follower's and not the tie's, so that it outlives the tie: who unties, leaves, comes back or proves again gets nothing
//! individual until people release it.

use musubi_domain::{dialogue::Event, id::OperatorName};
use musubi_storage::information::{FollowerKey, flow::Work};

use super::Scene;

impl Scene<'_> {
    /// The company's people end a follower's tie by hand. Gives whether there was one.
    pub fn untie(&self, work: &mut Work, key: &FollowerKey, operator: &OperatorName) -> bool {
        if work.followers.get(key).is_none_or(|record| record.tie.is_none()) {
            return false;
        }
        self.audit(work, key, "untie asked", format!("by {operator}"));
        self.tell(work, key, &Event::Untied).is_some()
    }

    /// The company's people hold back what is individual for a follower, or let it go again. Gives whether that changed anything.
    pub fn suspend_by_hand(
        &self,
        work: &mut Work,
        key: &FollowerKey,
        suspended: bool,
        operator: &OperatorName,
    ) -> bool {
        let record = work.followers.get_mut(key).filter(|record| record.suspended != suspended);
        let changed = record.map(|record| record.suspended = suspended).is_some();
        if changed {
            let action = if suspended { "suspended" } else { "released" };
            self.audit(work, key, action, format!("by {operator}"));
        }
        changed
    }
}
