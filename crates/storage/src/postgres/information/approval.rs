//! What one person asked for and another has to approve, on PostgreSQL.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    approval::{ApprovalState, Subject, decide},
    erasure::Erasure,
    id::{ApprovalId, CompanyId},
    review::Verdict,
};

use super::{PostgresInformation, audit::audit, save::ERASURES};
use crate::{
    StoreError,
    information::{
        approval::{
            Approval, ApprovalQuery, ApprovalStore, Word, approval_of, line, lines_of, no_approval,
            not_quarantined, people_text, release_line, spent,
        },
        erasure::{Asker, erasure_rows},
        list::ListKey,
    },
    postgres::Tx,
    row::{Id, list, micros, place},
};

macro_rules! approvals {
    ($rest:literal) => {
        concat!(
            "SELECT company, approval_id, subject, people, state, asked_by, decided_by, ask_time, state_time, expire_time
            FROM approval WHERE company = $1 AND ",
            $rest
        )
    };
}

pub(super) const ASK: &str = "
    INSERT INTO approval (company, approval_id, digest, subject, people, state, asked_by, ask_time, state_time, expire_time)
    VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $7, $8) ON CONFLICT (company, digest) WHERE state < 2 DO NOTHING";

pub(super) const OPEN: &str = approvals!("digest = $2 AND state < 2");

pub(super) const GET: &str = approvals!("approval_id = $2");

const LOCK: &str = approvals!("approval_id = $2 FOR UPDATE");

pub(super) const PAGE: &str = approvals!("approval_id > $2 ORDER BY approval_id LIMIT $3");

pub(super) const PAGE_OF_STATE: &str =
    approvals!("state = $4 AND approval_id > $2 ORDER BY approval_id LIMIT $3");

pub(super) const MOVE: &str = "
    UPDATE approval SET state = $3, people = $4, decided_by = $5, state_time = $6
    WHERE company = $1 AND approval_id = $2";

const ANY_OVER: &str =
    "SELECT EXISTS (SELECT 1 FROM approval AS o WHERE o.state < 2 AND o.expire_time <= $1)";

// Materialized, so that no plan looks for those that are over again and again.
pub(super) const EXPIRE: &str = "
    WITH over AS MATERIALIZED (
        SELECT o.company, o.approval_id, o.people FROM approval AS o
        WHERE o.state < 2 AND o.expire_time <= $1 ORDER BY o.expire_time LIMIT $2 FOR UPDATE SKIP LOCKED)
    UPDATE approval AS a SET state = 4, people = '[]', state_time = $1 FROM over
    WHERE a.company = over.company AND a.approval_id = over.approval_id
    RETURNING a.company, a.approval_id, a.subject, over.people, a.state, a.asked_by, a.decided_by, a.ask_time, a.state_time,
        a.expire_time";

// Taken from whoever acquires it, so that what they found before ends nothing.
pub(super) const RELEASE: &str = "
    UPDATE subscriber_list SET release_missing = $3, acquire_time = 0, lease_end_time = 0, epoch = epoch + 1
    WHERE official_account = $1 AND carrier = $2 AND quarantine_time IS NOT NULL";

#[async_trait]
impl ApprovalStore for PostgresInformation {
    async fn ask_approval(&self, new: &Approval) -> Result<Approval, StoreError> {
        let mut tx = self.database.write_for("ask_approval", &new.company).await?;
        // What is over must not stand for what is asked for now.
        expire(&mut tx, new.ask_time, 1_000).await?;
        let digest = new.digest();
        let ask = sqlx::query(ASK)
            .bind(new.company.as_str())
            .bind(Id::of(new.id.as_bytes()))
            .bind(&digest[..])
            .bind(list(&new.subject)?)
            .bind(people_text(&new.people)?)
            .bind(new.asked_by.as_str())
            .bind(micros(new.ask_time))
            .bind(micros(new.expire_time));
        if tx.execute(ask).await? > 0 {
            audit(&mut tx, &[line(new, "approval_asked", Some(&new.asked_by))], new.ask_time).await?;
        }
        let open = sqlx::query(OPEN).bind(new.company.as_str()).bind(&digest[..]);
        let open = approval_of(&tx.fetch_one(open).await?)?;
        tx.commit().await?;
        Ok(open)
    }

    async fn list_approvals(&self, query: &ApprovalQuery) -> Result<Vec<Approval>, StoreError> {
        let mut tx = self.database.snapshot_for("list_approvals", &query.company).await?;
        let after = query.after.map_or(Id::of(&[0; 16]), |after| Id::of(after.as_bytes()));
        let page = sqlx::query(if query.state.is_some() { PAGE_OF_STATE } else { PAGE })
            .bind(query.company.as_str())
            .bind(after)
            .bind(i64::from(query.limit));
        let page = match query.state {
            Some(state) => page.bind(place(&ApprovalState::ALL, &state)),
            None => page,
        };
        tx.fetch(page).await?.iter().map(approval_of).collect()
    }

    async fn get_approval(&self, company: &CompanyId, id: ApprovalId) -> Result<Approval, StoreError> {
        find(&mut self.database.snapshot_for("get_approval", company).await?, GET, company, id).await
    }

    async fn decide_approval(
        &self,
        word: &Word,
        erasures: &[Erasure],
        now: Timestamp,
    ) -> Result<Approval, StoreError> {
        let Word { id, verdict, asker } = word;
        let mut tx = self.database.write_for("decide_approval", &asker.company).await?;
        expire(&mut tx, now, 1_000).await?;
        let mut approval = find(&mut tx, LOCK, &asker.company, *id).await?;
        let state = match decide(approval.asked(), *verdict, &asker.operator) {
            Ok(Some(state)) => state,
            Ok(None) => return Ok(approval),
            Err(error) => {
                audit(&mut tx, &[line(&approval, "approval_refused", Some(&asker.operator))], now).await?;
                tx.commit().await?;
                return Err(error.into());
            }
        };
        let approved = *verdict == Verdict::Approved;
        match &approval.subject {
            Subject::Erase { .. } if approved => {
                tx.write(ERASURES, &erasure_rows(erasures.iter().map(|it| (it, now)))).await?;
            }
            Subject::Release { account, carrier, missing, .. } if approved => {
                let list = ListKey { account: account.clone(), carrier: carrier.clone() };
                release(&mut tx, &list, *missing).await?;
            }
            Subject::Erase { .. } | Subject::Release { .. } | Subject::Export { .. } => {}
        }
        let lines = lines_of(&approval, word, erasures);
        approval.becomes(state, Some(&asker.operator), now);
        move_to(&mut tx, &approval).await?;
        audit(&mut tx, &lines, now).await?;
        tx.commit().await?;
        Ok(approval)
    }

    async fn expire_approvals(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        // Asked first, so that idle servers leave the database alone.
        let any = sqlx::query_scalar(ANY_OVER).bind(micros(now)).fetch_one(self.database.read()).await;
        if !any.map_err(StoreError::during("expire_approvals"))? {
            return Ok(0);
        }
        let mut tx = self.database.write("expire_approvals").await?;
        let expired = expire(&mut tx, now, limit).await?;
        tx.commit().await?;
        Ok(expired)
    }

    async fn release_list(
        &self,
        asker: &Asker,
        list: &ListKey,
        missing: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.database.write_for("release_list", &asker.company).await?;
        release(&mut tx, list, missing).await?;
        let who = format!("by {}", asker.operator);
        audit(&mut tx, &[release_line(&asker.company, list, missing, &who)], now).await?;
        tx.commit().await
    }
}

/// Spends what was approved, in the transaction that gives what it is for. Gives who approved it.
pub(super) async fn spend(
    tx: &mut Tx,
    asker: &Asker,
    id: ApprovalId,
    now: Timestamp,
) -> Result<Approval, StoreError> {
    let mut approval = find(tx, LOCK, &asker.company, id).await?;
    let is_theirs = approval.state == ApprovalState::Approved && approval.asked_by == asker.operator;
    if !is_theirs || approval.expire_time <= now {
        return Err(spent().into());
    }
    approval.becomes(ApprovalState::Done, None, now);
    move_to(tx, &approval).await?;
    Ok(approval)
}

async fn find(
    tx: &mut Tx,
    sql: &'static str,
    company: &CompanyId,
    id: ApprovalId,
) -> Result<Approval, StoreError> {
    let found = sqlx::query(sql).bind(company.as_str()).bind(Id::of(id.as_bytes()));
    approval_of(&tx.fetch_optional(found).await?.ok_or_else(no_approval)?)
}

async fn move_to(tx: &mut Tx, approval: &Approval) -> Result<(), StoreError> {
    let moved = sqlx::query(MOVE)
        .bind(approval.company.as_str())
        .bind(Id::of(approval.id.as_bytes()))
        .bind(place(&ApprovalState::ALL, &approval.state))
        .bind(people_text(&approval.people)?)
        .bind(approval.decided_by.as_ref().map(|operator| operator.as_str()))
        .bind(micros(approval.state_time));
    tx.execute(moved).await.map(drop)
}

async fn release(tx: &mut Tx, list: &ListKey, missing: u64) -> Result<(), StoreError> {
    let released = sqlx::query(RELEASE)
        .bind(list.account.as_str())
        .bind(list.carrier.as_str())
        .bind(i64::try_from(missing).unwrap_or(i64::MAX));
    if tx.execute(released).await? == 0 {
        return Err(not_quarantined().into());
    }
    Ok(())
}

async fn expire(tx: &mut Tx, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
    let expired = tx.fetch(sqlx::query(EXPIRE).bind(micros(now)).bind(i64::from(limit))).await?;
    let expired = expired.iter().map(approval_of).collect::<Result<Vec<_>, _>>()?;
    let lines: Vec<_> = expired.iter().map(|approval| line(approval, "approval_expired", None)).collect();
    audit(tx, &lines, now).await?;
    Ok(u32::try_from(expired.len()).unwrap_or(u32::MAX))
}
