//! What happened to followers day by day.
//!
//! Surprising: one line of the wire is several rows of the store, one for each thing that happened.

use std::collections::BTreeMap;

use musubi_domain::{
    Error,
    day::{DAYS_KEPT, Day, DayEvent},
    id::{CompanyId, OfficialAccountId},
    identity::IdentityMethod,
};
use musubi_proto::information::v1 as wire;
use musubi_storage::information::follower::DayCount;

use super::Followers;

/// The days of an answer when nobody says.
const DAYS: i32 = 30;

impl Followers {
    pub(super) async fn days(
        &self,
        company: &CompanyId,
        request: &wire::ListDaysRequest,
    ) -> Result<wire::ListDaysResponse, Error> {
        let accounts = match request.official_account.as_str() {
            "" => self.directory.accounts_of(company),
            named => vec![self.directory.own_account(company, named)?],
        };
        let accounts: Vec<OfficialAccountId> =
            accounts.into_iter().map(|account| account.id.clone()).collect();
        let days = match i32::try_from(request.days) {
            Ok(0) => DAYS,
            Ok(days) if days <= DAYS_KEPT => days,
            Ok(_) | Err(_) => {
                let problem = format!("{} days", request.days);
                return Err(Error::invalid("days", problem, "ask for 1 to 400, or 0 for 30"));
            }
        };
        let today = Day::of(self.clock.now());
        let first = today.before(days - 1);
        let counted = self.store.days(company, &accounts, first).await?;
        Ok(wire::ListDaysResponse {
            first_date: first.to_string(),
            last_date: today.to_string(),
            days: show_days(counted),
        })
    }
}

fn show_days(counted: Vec<DayCount>) -> Vec<wire::DayCounts> {
    let mut days: BTreeMap<_, wire::DayCounts> = BTreeMap::new();
    for DayCount { account, carrier, day, event, count } in counted {
        let shown = days.entry((account.clone(), day, carrier.clone())).or_insert_with(|| wire::DayCounts {
            date: day.to_string(),
            official_account: account.to_string(),
            carrier: carrier.to_string(),
            ..wire::DayCounts::default()
        });
        *count_of(shown, event) = count;
    }
    days.into_values().collect()
}

const fn count_of(day: &mut wire::DayCounts, event: DayEvent) -> &mut u64 {
    match event {
        DayEvent::Came => &mut day.came,
        DayEvent::Left => &mut day.left,
        DayEvent::Asked => &mut day.asked,
        DayEvent::Answered => &mut day.answered,
        DayEvent::Wants => &mut day.wants,
        DayEvent::AccountGiven => &mut day.account_given,
        DayEvent::Verified => &mut day.verified,
        DayEvent::Confirmed(IdentityMethod::Jpki) => &mut day.confirmed_by_card,
        DayEvent::Confirmed(IdentityMethod::Carrier) => &mut day.confirmed_by_carrier,
        DayEvent::Confirmed(IdentityMethod::Document) => &mut day.confirmed_by_document,
        DayEvent::Untied => &mut day.untied,
    }
}
