//! Followers as companies look at them, on SQLite.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    delivery::{DeliveryState, Purpose},
    dialogue::{Stage, State},
    id::{CarrierId, FollowerId, OfficialAccountId},
    outcome::FollowerOutcome,
};
use sqlx::{Sqlite, Transaction, sqlite::SqliteRow};

use super::{SqliteInformation, audit::audit};
use crate::{
    StoreError,
    information::{
        flow::Audit,
        follower::{Acquisition, FollowerQuery, FollowerStore, FollowerView, Funnel, MessageCount, Overview},
    },
    sqlite::{at_place, bytes16, get, instant, place, rows, small},
};

/// The number that stands for a follower without a dialogue.
pub(super) const NO_DIALOGUE: i64 = -1;

pub(super) const FUNNEL: &str = "
    SELECT official_account, carrier, following, state, reached, count FROM follower_tally
    WHERE official_account IN (SELECT value FROM json_each(?1)) AND count > 0 ORDER BY 1, 2";

pub(super) const MESSAGES: &str = "
    SELECT official_account, carrier, purpose, state, sum(count) FROM delivery_tally
    WHERE official_account IN (SELECT value FROM json_each(?1))
    GROUP BY 1, 2, 3, 4 HAVING sum(count) > 0 ORDER BY 1, 2, 3, 4";

pub(super) const ACQUISITIONS: &str = "
    SELECT official_account, carrier, promoted, discarded, quarantined, generation, added_by_event, added_by_list,
        skipped, promote_time
    FROM subscriber_list WHERE official_account IN (SELECT value FROM json_each(?1)) ORDER BY 1, 2";

pub(super) const PAGE: &str = "
    SELECT f.follower, f.phone_number, f.carrier, f.following, f.follow_time, coalesce(d.state, -1), d.state_time,
        coalesce(t.customer_id, d.proposed_customer), coalesce(d.reasons, '[]'), coalesce(t.suspended, 0)
    FROM follower AS f
    LEFT JOIN dialogue AS d ON d.number = f.number
    LEFT JOIN customer_information AS t ON t.number = f.number
    WHERE f.official_account = ?1
        AND f.number > iif(?2 = x'', 0, (SELECT number FROM follower WHERE official_account = ?1 AND follower = ?2))
        AND (?3 IS NULL OR (f.following, coalesce(d.state, -1)) IN
            (SELECT value ->> 0, value ->> 1 FROM json_each(?3)))
    ORDER BY f.number LIMIT ?4";

#[async_trait]
impl FollowerStore for SqliteInformation {
    async fn overview(&self, accounts: &[OfficialAccountId]) -> Result<Overview, StoreError> {
        const TRANSACTION: &str = "overview";
        let accounts = rows(&accounts.iter().map(OfficialAccountId::as_str).collect::<Vec<_>>())?;
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.read().begin().await.map_err(&failed)?;
        let mut overview = Overview::default();
        for row in fetch(&mut tx, TRANSACTION, FUNNEL, &accounts).await? {
            count_followers(&mut overview.funnels, &row)?;
        }
        for row in fetch(&mut tx, TRANSACTION, MESSAGES, &accounts).await? {
            overview.messages.push(MessageCount {
                account: get::<&str>(&row, 0)?.parse()?,
                carrier: get::<&str>(&row, 1)?.parse()?,
                purpose: at_place(&Purpose::ALL, get(&row, 2)?)?,
                state: at_place(&DeliveryState::ALL, get(&row, 3)?)?,
                count: small(&row, 4)?,
            });
        }
        for row in fetch(&mut tx, TRANSACTION, ACQUISITIONS, &accounts).await? {
            overview.acquisitions.push(Acquisition {
                account: get::<&str>(&row, 0)?.parse()?,
                carrier: get::<&str>(&row, 1)?.parse()?,
                promoted: small(&row, 2)?,
                discarded: small(&row, 3)?,
                quarantined: small(&row, 4)?,
                generation: small(&row, 5)?,
                added_by_event: small(&row, 6)?,
                added_by_list: small(&row, 7)?,
                skipped: small(&row, 8)?,
                promote_time: get::<Option<i64>>(&row, 9)?.map(instant).transpose()?,
            });
        }
        Ok(overview)
    }

    async fn list_followers(
        &self,
        query: &FollowerQuery,
        now: Timestamp,
    ) -> Result<Vec<FollowerView>, StoreError> {
        const TRANSACTION: &str = "list_followers";
        let failed = StoreError::during(TRANSACTION);
        let causes = query.outcome.map(|outcome| {
            let causes = outcome.causes().map(|(following, dialogue)| {
                let state = dialogue.map_or(NO_DIALOGUE, |state| place(&State::ALL, &state));
                (i64::from(following), state)
            });
            rows(&causes.collect::<Vec<_>>())
        });
        let after = query.after.as_ref().map_or(&[][..], |after| &after.as_bytes()[..]);
        let found = sqlx::query(PAGE)
            .bind(query.account.as_str())
            .bind(after)
            .bind(causes.transpose()?)
            .bind(query.limit)
            .fetch_all(self.database.read())
            .await
            .map_err(&failed)?;
        let page = found.iter().map(read_view).collect::<Result<Vec<_>, StoreError>>()?;
        let after = query.after.map_or_else(|| "the first".to_owned(), |after| after.to_string());
        let detail = format!("{}, {} followers after {after}", query.account, page.len());
        let line = Audit { company: query.company.clone(), key: None, action: "followers_listed", detail };
        let mut tx = self.database.write(TRANSACTION).await?;
        audit(&mut tx, TRANSACTION, &[line], now).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(page)
    }
}

async fn fetch(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    query: &'static str,
    accounts: &str,
) -> Result<Vec<SqliteRow>, StoreError> {
    sqlx::query(query).bind(accounts).fetch_all(&mut **tx).await.map_err(StoreError::during(transaction))
}

/// The state of a dialogue, or none.
fn dialogue_state(number: i64) -> Result<Option<State>, StoreError> {
    if number == NO_DIALOGUE { Ok(None) } else { at_place(&State::ALL, number).map(Some) }
}

/// Adds a group of followers to its funnel; groups come by account and carrier.
fn count_followers(funnels: &mut Vec<Funnel>, row: &SqliteRow) -> Result<(), StoreError> {
    let account: OfficialAccountId = get::<&str>(row, 0)?.parse()?;
    let carrier: CarrierId = get::<&str>(row, 1)?.parse()?;
    let outcome = FollowerOutcome::of(get(row, 2)?, dialogue_state(get(row, 3)?)?);
    let reached = at_place(&Stage::ALL, get(row, 4)?)?;
    let count: u64 = small(row, 5)?;
    if !funnels.last().is_some_and(|last| last.account == account && last.carrier == carrier) {
        funnels.push(Funnel { account, carrier, reached: BTreeMap::new(), outcomes: BTreeMap::new() });
    }
    if let Some(funnel) = funnels.last_mut() {
        *funnel.reached.entry(reached).or_default() += count;
        *funnel.outcomes.entry(outcome).or_default() += count;
    }
    Ok(())
}

fn read_view(row: &SqliteRow) -> Result<FollowerView, StoreError> {
    let follow_time = instant(get(row, 4)?)?;
    let state_time = get::<Option<i64>>(row, 6)?.map(instant).transpose()?;
    Ok(FollowerView {
        follower: FollowerId::from_bytes(bytes16(row, 0)?),
        phone_number: get::<&str>(row, 1)?.parse()?,
        carrier: get::<&str>(row, 2)?.parse()?,
        outcome: FollowerOutcome::of(get(row, 3)?, dialogue_state(get(row, 5)?)?),
        customer_id: get::<Option<&str>>(row, 7)?.map(str::parse).transpose()?,
        reasons: serde_json::from_str(get(row, 8)?)
            .map_err(|_| StoreError::Corrupt("reasons are no JSON array".to_owned()))?,
        follow_time,
        outcome_time: state_time.unwrap_or(follow_time),
        suspended: get(row, 9)?,
    })
}
