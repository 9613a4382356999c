//! Walks through the tables with sealed rows: once after an update, for what stands in the clear, and again whenever keys turn.
//!
//! A page is read first and locked only when a row of it is old, so a walk that finds nothing disturbs nobody.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};

use super::{Backend, Relation, SealedRow, Vault, relation::Resealing};
use crate::StoreError;

/// Rows of one transaction when a node starts.
const BATCH: u32 = 1_000;
/// One line of progress for so many of these.
const TELL_EVERY: u32 = 100;

/// How far a walk is.
pub(crate) struct Walk {
    begun: Timestamp,
    relation: usize,
    after: Option<SealedRow>,
    /// Rows that do not open; they may need a key that is old.
    broken: u64,
}

impl Walk {
    pub(super) const fn begin(begun: Timestamp) -> Self {
        Self { begun, relation: 0, after: None, broken: 0 }
    }
}

impl Vault {
    /// Goes on with the walk, by one page; gives how many rows it looked at, and 0 at its end.
    pub(crate) async fn reseal(&self, backend: &dyn Backend, limit: u32) -> Result<u32, StoreError> {
        let Some(mut walk) = self.walk().take() else { return Ok(0) };
        let looked = self.step(backend, &mut walk, limit).await;
        if matches!(looked, Ok(0)) {
            if let Err(error) = self.end(backend, &walk).await {
                *self.walk() = Some(walk);
                return Err(error);
            }
        } else {
            // What failed comes again.
            *self.walk() = Some(walk);
        }
        looked
    }

    async fn step(&self, backend: &dyn Backend, walk: &mut Walk, limit: u32) -> Result<u32, StoreError> {
        while let Some(relation) = self.relations.get(walk.relation).copied() {
            let keys = self.keys();
            let resealing = Resealing { keys: &keys, of_before: None };
            let page = page(backend, relation, walk.after.as_ref(), limit, &resealing, false).await?;
            walk.broken += page.broken;
            let looked = page.looked;
            match page.last {
                Some(last) => {
                    walk.after = Some(last);
                    return Ok(looked);
                }
                None => {
                    walk.relation += 1;
                    walk.after = None;
                }
            }
        }
        Ok(0)
    }

    /// No row needs an older epoch: that is written down, and an epoch whose time has come is destroyed.
    async fn end(&self, backend: &dyn Backend, walk: &Walk) -> Result<(), StoreError> {
        if walk.broken > 0 {
            tracing::error!(
                rows = walk.broken,
                "rows do not open, and old keys of companies stay for their sake; restore the rows from a backup"
            );
        }
        for (mut key, may_go) in self.superseded(walk.begun) {
            if may_go && walk.broken == 0 {
                backend.destroy_key(&key).await?;
                tracing::info!(company = key.company, epoch = key.epoch, "a company's old key is destroyed");
                continue;
            }
            // One that may not go for the sake of broken rows is looked after again in a day.
            let wait = if may_go { SignedDuration::from_hours(24) } else { SignedDuration::ZERO };
            key.empty_time = walk.begun.checked_add(wait).ok();
            backend.change_key(&key).await?;
        }
        self.read(backend).await.map(drop)
    }
}

/// Seals what stands in the clear from before there was a vault. The node serves nothing meanwhile.
pub(super) async fn seal_what_is_clear(vault: &Vault, backend: &dyn Backend) -> Result<(), StoreError> {
    let unsealed = backend.unsealed().await?;
    if unsealed.is_empty() {
        return Ok(());
    }
    let keys = vault.keys();
    let resealing = Resealing { keys: &keys, of_before: Some(&vault.options.reviews_before) };
    for relation in vault.relations.iter().copied() {
        if !unsealed.iter().any(|table| table == relation.table()) {
            continue;
        }
        let (mut after, mut rows, mut batches) = (None, 0_u64, 0_u32);
        loop {
            let page = page(backend, relation, after.as_ref(), BATCH, &resealing, true).await?;
            let Some(last) = page.last else { break };
            after = Some(last);
            rows += u64::from(page.looked);
            batches = batches.wrapping_add(1);
            if batches.is_multiple_of(TELL_EVERY) {
                tracing::info!(table = relation.table(), rows, "sealing what stands in the clear: goes on");
            }
        }
        tracing::info!(table = relation.table(), rows, "what stood in the clear is sealed");
    }
    // Noted last: whoever is killed before begins again, and finds most of it done.
    backend.wipe().await?;
    for relation in vault.relations {
        backend.is_sealed(relation.table()).await?;
    }
    Ok(())
}

/// What a page came to.
struct Page {
    looked: u32,
    broken: u64,
    last: Option<SealedRow>,
}

/// Looks at a page, and seals its old rows anew. `strict`: a row that does not open is an error; else it stays as it is.
async fn page(
    backend: &dyn Backend,
    relation: Relation,
    after: Option<&SealedRow>,
    limit: u32,
    resealing: &Resealing<'_>,
    strict: bool,
) -> Result<Page, StoreError> {
    let rows = backend.page(relation, after, limit).await?;
    let (mut old, mut broken) = (false, 0);
    for row in &rows {
        match resealing.is_old(relation, row) {
            Ok(is_old) => old |= is_old,
            Err(error) if strict => return Err(error),
            Err(_) => broken += 1,
        }
    }
    let looked = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let mut last = rows.into_iter().last();
    if old {
        let unopened = AtomicU64::new(0);
        let seal = |rows: &[SealedRow]| {
            let mut fresh = Vec::with_capacity(rows.len());
            for row in rows {
                if !resealing.is_old(relation, row).unwrap_or(strict) {
                    continue;
                }
                match resealing.seal(relation, row) {
                    Ok(row) => fresh.push(row),
                    Err(error) if strict => return Err(error),
                    Err(_) => {
                        unopened.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            Ok(fresh)
        };
        // What was locked may end elsewhere, because others have added rows since, and removed some.
        last = backend.reseal(relation, after, limit, &seal).await?.or(last);
        broken += unopened.into_inner();
    }
    Ok(Page { looked, broken, last })
}
