//! The audit of a node after it was written: sealed, read, and held against its seals. The information-management server has one, and each company server.
//!
//! Lines are written by whatever they tell of, in its transaction, and know nothing of seals, so that replicas don't wait for one another. One of
//! them at a time seals what is behind. Surprising: seals follow the order of the ids, and a line with a lower id may be committed later, so
//! a store seals only up to where nothing can come any more; lines wait some seconds for their seal.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    audit::{AuditKeyring, AuditLine, Fault, Hash, Head, KEY_ID_BYTES, Lines, Seal, Search},
    id::FollowerId,
};

use crate::{
    StoreError,
    row::{Columns, Id, bulk_rows, hex},
};

/// How long a line may wait for its seal before that is told.
pub const SEALED_WITHIN: SignedDuration = SignedDuration::from_mins(1);
/// How many lines or seals are read at once.
const PAGE: u32 = 4_000;

bulk_rows! {
    /// A line to write.
    AuditRow<'a> {
        company: &'a str,
        account: Option<&'a str>,
        follower: Option<Id>,
        action: &'a str,
        detail: &'a str,
    }
}

/// The audit's lines and seals.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Seals the next lines, at most `limit`, and gives how many; 0 also when another does it just now. Lines may need three calls before they
    /// are sealed: the last that were given an id, and whoever was writing then, have to be known first.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing was sealed.
    async fn seal_audit(&self, keys: &AuditKeyring, now: Timestamp, limit: u32) -> Result<u32, StoreError>;

    /// Lines in order of id, from behind `after`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn audit_lines(&self, after: i64, limit: u32) -> Result<Vec<AuditLine>, StoreError>;

    /// Lines from the newest back, from before `before`, at most `limit`: for people who look.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn audit_lines_before(&self, before: i64, limit: u32) -> Result<Vec<AuditLine>, StoreError>;

    /// Seals in order of number, from behind `after`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn audit_seals(&self, after: i64, limit: u32) -> Result<Vec<Seal>, StoreError>;
}

/// Lines that are read at once for a search, and how often for one page: a rare word costs no more than that.
const READ: (u32, u32) = (4_000, 10);

/// A page of lines from the newest back, and where the next one begins; none: it was the last. It may have fewer lines than were asked
/// for, or none, when much had to be passed over.
///
/// # Errors
/// What reading fails with.
pub async fn search<F>(
    search: &Search,
    read: impl Fn(i64, u32) -> F,
) -> Result<(Vec<AuditLine>, Option<i64>), StoreError>
where
    F: Future<Output = Result<Vec<AuditLine>, StoreError>>,
{
    let (mut found, mut before) = (Vec::new(), search.before);
    let (limit, times) = READ;
    for _ in 0..times {
        let lines = read(before, limit).await?;
        let were_last = u32::try_from(lines.len()).is_ok_and(|count| count < limit);
        for line in lines {
            before = line.audit_id;
            if search.wants(&line) {
                found.push(line);
            }
            if found.len() == search.size {
                return Ok((found, Some(before)));
            }
        }
        if were_last {
            return Ok((found, None));
        }
    }
    Ok((found, Some(before)))
}

/// What the audit is found to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Seals that are good.
    pub seals: u64,
    /// Lines under them.
    pub lines: u64,
    /// The newest good seal.
    pub head: Option<Head>,
    /// Lines behind the last seal.
    pub unsealed: u64,
    /// When the first of them was written.
    pub unsealed_since: Option<Timestamp>,
    /// The first seal that isn't good.
    pub broken: Option<Broken>,
}

/// A seal that isn't good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its number.
    pub number: i64,
    /// The ids of its lines.
    pub first_id: i64,
    /// See `first_id`.
    pub last_id: i64,
    /// What is wrong.
    pub fault: Fault,
}

impl Verdict {
    /// Whether lines wait for a seal longer than they should.
    #[must_use]
    pub fn is_late(&self, now: Timestamp) -> bool {
        self.unsealed_since.is_some_and(|since| now.duration_since(since) > SEALED_WITHIN)
    }
}

/// Recomputes every seal, and looks for a head that was kept elsewhere; ends with the first that isn't good.
///
/// # Errors
/// What the store fails with.
pub async fn verify(
    store: &(impl AuditStore + ?Sized),
    keys: &AuditKeyring,
    kept: Option<Head>,
) -> Result<Verdict, StoreError> {
    let mut verdict = Verdict::default();
    let mut lines = Reader { store, page: Vec::new().into_iter().peekable(), after: i64::MIN };
    let mut previous: Option<Seal> = None;
    let mut missing = kept;
    loop {
        let behind = previous.as_ref().map_or(i64::MIN, |seal| seal.number);
        let seals = store.audit_seals(behind, PAGE).await?;
        if seals.is_empty() {
            break;
        }
        for seal in seals {
            let mut under = Lines::default();
            while let Some(line) = lines.next_if(|line| line.audit_id <= seal.last_id).await? {
                under.add(&line)?;
            }
            if let Err(fault) = keys.check(&seal, previous.as_ref(), under) {
                let Seal { number, first_id, last_id, .. } = seal;
                verdict.broken = Some(Broken { number, first_id, last_id, fault });
                return Ok(verdict);
            }
            verdict.seals += 1;
            verdict.lines += u64::from(seal.count);
            verdict.head = Some(seal.head());
            missing = missing.filter(|kept| *kept != seal.head());
            previous = Some(seal);
        }
    }
    while let Some(line) = lines.next_if(|_| true).await? {
        verdict.unsealed += 1;
        verdict.unsealed_since = verdict.unsealed_since.or(Some(line.time));
    }
    if let Some(Head { number, .. }) = missing {
        let first_id = previous.map_or(0, |seal| seal.last_id) + 1;
        verdict.broken = Some(Broken { number, first_id, last_id: i64::MAX, fault: Fault::Head });
    }
    Ok(verdict)
}

/// Reads lines one by one, a page at a time.
struct Reader<'a, S: ?Sized> {
    store: &'a S,
    page: std::iter::Peekable<std::vec::IntoIter<AuditLine>>,
    after: i64,
}

impl<S: AuditStore + ?Sized> Reader<'_, S> {
    async fn next_if(
        &mut self,
        wanted: impl Fn(&AuditLine) -> bool,
    ) -> Result<Option<AuditLine>, StoreError> {
        if self.page.peek().is_none() {
            self.page = self.store.audit_lines(self.after, PAGE).await?.into_iter().peekable();
        }
        let line = self.page.next_if(wanted);
        if let Some(line) = &line {
            self.after = line.audit_id;
        }
        Ok(line)
    }
}

/// Reads a line. Columns: id, time, company, account, follower, action, detail.
pub(crate) fn line_of(row: &impl Columns) -> Result<AuditLine, StoreError> {
    let follower = row.maybe_bytes(4)?.map(|bytes| match bytes.try_into() {
        Ok(id) => FollowerId::from_bytes(id).to_string(),
        Err(_) => hex(bytes),
    });
    Ok(AuditLine {
        audit_id: row.int(0)?,
        time: row.instant(1)?,
        company: row.text(2)?.to_owned(),
        official_account: row.maybe_text(3)?.map(str::to_owned),
        follower,
        action: row.text(5)?.to_owned(),
        detail: row.text(6)?.to_owned(),
    })
}

/// Reads a seal. Columns: number, first id, last id, count, digest, previous, time, key, signature.
pub(crate) fn seal_of(row: &impl Columns) -> Result<Seal, StoreError> {
    let hash = |column| -> Result<Hash, StoreError> {
        let bytes = row.bytes(column)?;
        bytes
            .try_into()
            .map_err(|_| StoreError::Corrupt(format!("column {column}: {} bytes, not 32", bytes.len())))
    };
    let key = row.bytes(7)?;
    let key_id: [u8; KEY_ID_BYTES] = key
        .try_into()
        .map_err(|_| StoreError::Corrupt(format!("column 7: {} bytes, not {KEY_ID_BYTES}", key.len())))?;
    Ok(Seal {
        number: row.int(0)?,
        first_id: row.int(1)?,
        last_id: row.int(2)?,
        count: row.small(3)?,
        digest: hash(4)?,
        previous: hash(5)?,
        time: row.instant(6)?,
        key_id,
        signature: hash(8)?,
    })
}

/// The seal of these lines, behind `previous`.
pub(crate) fn seal(
    keys: &AuditKeyring,
    previous: Option<&Seal>,
    lines: &[AuditLine],
    now: Timestamp,
) -> Result<Option<Seal>, StoreError> {
    let mut under = Lines::default();
    lines.iter().try_for_each(|line| under.add(line))?;
    Ok(keys.seal(previous, under, now))
}
