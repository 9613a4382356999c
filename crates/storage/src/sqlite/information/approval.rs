//! What one person asked for and another has to approve, on SQLite: one transaction writes at a time, so that two words on one thing come one
//! after the other.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    approval::{ApprovalState, Subject, decide},
    erasure::Erasure,
    id::{ApprovalId, CompanyId},
    review::Verdict,
};
use sqlx::{Sqlite, Transaction};

use super::{SqliteInformation, audit::audit, save::ERASURES};
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
    row::{list, micros, place},
    sqlite::rows,
};

macro_rules! approvals {
    ($rest:literal) => {
        concat!(
            "SELECT company, approval_id, subject, people, state, asked_by, decided_by, ask_time, state_time, expire_time
            FROM approval WHERE company = ?1 AND ",
            $rest
        )
    };
}

pub(super) const ASK: &str = "
    INSERT INTO approval (company, approval_id, digest, subject, people, state, asked_by, ask_time, state_time, expire_time)
    VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?7, ?8) ON CONFLICT (company, digest) WHERE state < 2 DO NOTHING";

pub(super) const OPEN: &str = approvals!("digest = ?2 AND state < 2");

pub(super) const GET: &str = approvals!("approval_id = ?2");

pub(super) const PAGE: &str = approvals!("approval_id > ?2 ORDER BY approval_id LIMIT ?3");

pub(super) const PAGE_OF_STATE: &str =
    approvals!("state = ?4 AND approval_id > ?2 ORDER BY approval_id LIMIT ?3");

pub(super) const MOVE: &str = "
    UPDATE approval SET state = ?3, people = ?4, decided_by = ?5, state_time = ?6 WHERE company = ?1 AND approval_id = ?2";

pub(super) const OVER: &str = "
    SELECT company, approval_id, subject, people, state, asked_by, decided_by, ask_time, state_time, expire_time
    FROM approval INDEXED BY approval_expiry WHERE state < 2 AND expire_time <= ?1 ORDER BY expire_time LIMIT ?2";

// Taken from whoever acquires it, so that what they found before ends nothing.
pub(super) const RELEASE: &str = "
    UPDATE subscriber_list SET release_missing = ?3, acquire_time = 0, lease_end_time = 0, epoch = epoch + 1
    WHERE official_account = ?1 AND carrier = ?2 AND quarantine_time IS NOT NULL
        AND EXISTS (SELECT 1 FROM keyed_account AS k WHERE k.official_account = ?1 AND k.company = ?4)";

#[async_trait]
impl ApprovalStore for SqliteInformation {
    async fn ask_approval(&self, new: &Approval) -> Result<Approval, StoreError> {
        const TRANSACTION: &str = "ask_approval";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.write(TRANSACTION).await?;
        // What is over must not stand for what is asked for now.
        expire(&mut tx, TRANSACTION, new.ask_time, 1_000).await?;
        let digest = new.digest();
        let asked = sqlx::query(ASK)
            .bind(new.company.as_str())
            .bind(&new.id.as_bytes()[..])
            .bind(&digest[..])
            .bind(list(&new.subject)?)
            .bind(people_text(&new.people)?)
            .bind(new.asked_by.as_str())
            .bind(micros(new.ask_time))
            .bind(micros(new.expire_time))
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        if asked.rows_affected() > 0 {
            let line = line(new, "approval_asked", Some(&new.asked_by));
            audit(&mut tx, TRANSACTION, &[line], new.ask_time).await?;
        }
        let open = sqlx::query(OPEN).bind(new.company.as_str()).bind(&digest[..]);
        let open = approval_of(&open.fetch_one(&mut *tx).await.map_err(&failed)?)?;
        tx.commit().await.map_err(&failed)?;
        Ok(open)
    }

    async fn list_approvals(&self, query: &ApprovalQuery) -> Result<Vec<Approval>, StoreError> {
        let page = sqlx::query(if query.state.is_some() { PAGE_OF_STATE } else { PAGE })
            .bind(query.company.as_str())
            .bind(query.after.map(|after| after.as_bytes().to_vec()).unwrap_or_default())
            .bind(query.limit)
            .bind(query.state.map(|state| place(&ApprovalState::ALL, &state)))
            .fetch_all(self.database.read())
            .await
            .map_err(StoreError::during("list_approvals"))?;
        page.iter().map(approval_of).collect()
    }

    async fn get_approval(&self, company: &CompanyId, id: ApprovalId) -> Result<Approval, StoreError> {
        const TRANSACTION: &str = "get_approval";
        let mut tx = self.database.read().begin().await.map_err(StoreError::during(TRANSACTION))?;
        find(&mut tx, TRANSACTION, company, id).await
    }

    async fn decide_approval(
        &self,
        word: &Word,
        erasures: &[Erasure],
        now: Timestamp,
    ) -> Result<Approval, StoreError> {
        const TRANSACTION: &str = "decide_approval";
        let failed = StoreError::during(TRANSACTION);
        let Word { id, verdict, asker } = word;
        let mut tx = self.database.write(TRANSACTION).await?;
        expire(&mut tx, TRANSACTION, now, 1_000).await?;
        let mut approval = find(&mut tx, TRANSACTION, &asker.company, *id).await?;
        let state = match decide(approval.asked(), *verdict, &asker.operator) {
            Ok(Some(state)) => state,
            Ok(None) => return Ok(approval),
            Err(error) => {
                let line = line(&approval, "approval_refused", Some(&asker.operator));
                audit(&mut tx, TRANSACTION, &[line], now).await?;
                tx.commit().await.map_err(&failed)?;
                return Err(error.into());
            }
        };
        let approved = *verdict == Verdict::Approved;
        match &approval.subject {
            Subject::Erase { .. } if approved => {
                let erasures = rows(&erasure_rows(erasures.iter().map(|it| (it, now))))?;
                sqlx::query(ERASURES).bind(erasures).execute(&mut *tx).await.map_err(&failed)?;
            }
            Subject::Release { account, carrier, missing, .. } if approved => {
                let list = ListKey { account: account.clone(), carrier: carrier.clone() };
                release(&mut tx, TRANSACTION, &asker.company, &list, *missing).await?;
            }
            Subject::Erase { .. } | Subject::Release { .. } | Subject::Export { .. } => {}
        }
        let lines = lines_of(&approval, word, erasures);
        approval.becomes(state, Some(&asker.operator), now);
        move_to(&mut tx, TRANSACTION, &approval).await?;
        audit(&mut tx, TRANSACTION, &lines, now).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(approval)
    }

    async fn expire_approvals(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        const TRANSACTION: &str = "expire_approvals";
        let failed = StoreError::during(TRANSACTION);
        // Asked first, so that nobody who writes waits for nothing.
        let over = sqlx::query(OVER).bind(micros(now)).bind(1).fetch_optional(self.database.read()).await;
        if over.map_err(&failed)?.is_none() {
            return Ok(0);
        }
        let mut tx = self.database.write(TRANSACTION).await?;
        let expired = expire(&mut tx, TRANSACTION, now, limit).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(expired)
    }

    async fn release_list(
        &self,
        asker: &Asker,
        list: &ListKey,
        missing: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const TRANSACTION: &str = "release_list";
        let mut tx = self.database.write(TRANSACTION).await?;
        release(&mut tx, TRANSACTION, &asker.company, list, missing).await?;
        let who = format!("by {}", asker.operator);
        let line = release_line(&asker.company, list, missing, &who);
        audit(&mut tx, TRANSACTION, &[line], now).await?;
        tx.commit().await.map_err(StoreError::during(TRANSACTION))
    }
}

/// Spends what was approved, in the transaction that gives what it is for.
pub(super) async fn spend(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    asker: &Asker,
    id: ApprovalId,
    now: Timestamp,
) -> Result<Approval, StoreError> {
    let mut approval = find(tx, transaction, &asker.company, id).await?;
    let is_theirs = approval.state == ApprovalState::Approved && approval.asked_by == asker.operator;
    if !is_theirs || approval.expire_time <= now {
        return Err(spent().into());
    }
    approval.becomes(ApprovalState::Done, None, now);
    move_to(tx, transaction, &approval).await?;
    Ok(approval)
}

async fn find(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    company: &CompanyId,
    id: ApprovalId,
) -> Result<Approval, StoreError> {
    let found = sqlx::query(GET).bind(company.as_str()).bind(&id.as_bytes()[..]);
    let found = found.fetch_optional(&mut **tx).await.map_err(StoreError::during(transaction))?;
    approval_of(&found.ok_or_else(no_approval)?)
}

async fn move_to(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    approval: &Approval,
) -> Result<(), StoreError> {
    sqlx::query(MOVE)
        .bind(approval.company.as_str())
        .bind(&approval.id.as_bytes()[..])
        .bind(place(&ApprovalState::ALL, &approval.state))
        .bind(people_text(&approval.people)?)
        .bind(approval.decided_by.as_ref().map(|operator| operator.as_str()))
        .bind(micros(approval.state_time))
        .execute(&mut **tx)
        .await
        .map(drop)
        .map_err(StoreError::during(transaction))
}

async fn release(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    company: &CompanyId,
    list: &ListKey,
    missing: u64,
) -> Result<(), StoreError> {
    let released = sqlx::query(RELEASE)
        .bind(list.account.as_str())
        .bind(list.carrier.as_str())
        .bind(i64::try_from(missing).unwrap_or(i64::MAX))
        .bind(company.as_str())
        .execute(&mut **tx)
        .await
        .map_err(StoreError::during(transaction))?;
    if released.rows_affected() == 0 {
        return Err(not_quarantined().into());
    }
    Ok(())
}

async fn expire(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    now: Timestamp,
    limit: u32,
) -> Result<u32, StoreError> {
    let over = sqlx::query(OVER).bind(micros(now)).bind(limit).fetch_all(&mut **tx).await;
    let over = over.map_err(StoreError::during(transaction))?;
    let over = over.iter().map(approval_of).collect::<Result<Vec<_>, _>>()?;
    let lines: Vec<_> = over.iter().map(|approval| line(approval, "approval_expired", None)).collect();
    for mut approval in over {
        approval.becomes(ApprovalState::Expired, None, now);
        move_to(tx, transaction, &approval).await?;
    }
    audit(tx, transaction, &lines, now).await?;
    Ok(u32::try_from(lines.len()).unwrap_or(u32::MAX))
}
