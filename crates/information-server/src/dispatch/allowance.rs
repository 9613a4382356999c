//! How much may go now: the limits that a source's messages count in, and the carrier's word that it wants a pause.

use std::{sync::Arc, time::Duration};

use musubi_domain::id::{CarrierId, OfficialAccountId};
use musubi_storage::{
    ephemeral::{Bucket, Grant, Limits},
    information::delivery::{DueSource, Source},
};
use tracing::info;

use crate::directory::Directory;

/// The longest pause, whatever the carrier says.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// The limits of what goes over one carrier.
pub struct Allowance {
    /// Over which.
    pub carrier: CarrierId,
    /// At most so many messages a second over it; 0: any number.
    pub messages_per_second: u32,
    /// The limits of companies and accounts.
    pub directory: Arc<Directory>,
    /// What all replicas share.
    pub limits: Arc<dyn Limits>,
}

impl Allowance {
    /// How long nothing may go over the carrier, whoever sends it; none, when something may.
    pub(super) async fn closed(&self) -> Option<Duration> {
        let carrier = self.carrier_itself()?;
        let wait = self.limits.take(&[carrier], 0).await.wait;
        (!wait.is_zero()).then_some(wait)
    }

    /// What was taken for this source and didn't go.
    pub(super) async fn give_back(&self, due: &DueSource, unused: u32) {
        if unused == 0 {
            return;
        }
        let mut buckets = self.buckets(due);
        buckets.retain(|bucket| bucket.per_second > 0);
        if !buckets.is_empty() {
            self.limits.give_back(&buckets, unused).await;
        }
    }

    /// How many of so many messages of this source may go; they count as gone.
    pub(super) async fn take(&self, due: &DueSource, wanted: u32) -> Grant {
        self.limits.take(&self.buckets(due), wanted).await
    }

    /// The carrier wants nothing from this account for so long.
    pub(super) async fn pause(&self, account: &OfficialAccountId, how_long: Duration) {
        let Self { carrier, .. } = self;
        info!(%carrier, %account, ?how_long, "carrier {carrier} asks {account} for a pause");
        self.limits.hold(&self.account_at_carrier(account), how_long.min(LONGEST_PAUSE)).await;
    }

    fn buckets(&self, due: &DueSource) -> Vec<Bucket> {
        let known = self.directory.account_and_company(&due.account);
        let mut buckets = vec![Bucket { name: self.account_at_carrier(&due.account), per_second: 0 }];
        let mut limit = |name: String, per_second: u32| {
            if per_second > 0 {
                buckets.push(Bucket { name, per_second });
            }
        };
        if let Some((account, company)) = known {
            limit(format!("company:{}", company.id), company.messages_per_second);
            limit(format!("account:{}", account.id), account.messages_per_second);
        }
        if let Source::Distribution(id) = due.source {
            // A distribution's rate is one over each carrier.
            limit(format!("carrier:{}:distribution:{id}", self.carrier), due.messages_per_second);
        }
        buckets.extend(self.carrier_itself());
        buckets
    }

    /// None: any number may go.
    fn carrier_itself(&self) -> Option<Bucket> {
        let per_second = self.messages_per_second;
        (per_second > 0).then(|| Bucket { name: format!("carrier:{}", self.carrier), per_second })
    }

    /// What carriers throttle.
    fn account_at_carrier(&self, account: &OfficialAccountId) -> String {
        format!("carrier:{}:account:{account}", self.carrier)
    }
}
