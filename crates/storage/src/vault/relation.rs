//! Tables with sealed rows, and a row of any of them, sealed anew.

use musubi_domain::{
    id::ReviewId,
    vault::{Place, ReviewSeals, clear, epoch_of},
};

use super::{
    Keys,
    customer::{self, seal_customer, seal_entrusted},
};
use crate::{
    StoreError,
    row::{Bytes, bulk_rows},
};

/// A table with sealed rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// Numbers of followers.
    Followers,
    /// What followers typed.
    Dialogues,
    /// Identities to be matched.
    Inquiries,
    /// Identities that people look at.
    Reviews,
    /// Values of individual messages.
    Values,
    /// Copies of masters in custody.
    Entrusted,
    /// What digests of blind copies were made with.
    DigestKeys,
    /// The master.
    Customers,
    /// What people sign in with.
    Operators,
}

impl Relation {
    /// Of the information-management server.
    pub(crate) const INFORMATION: [Self; 7] = [
        Self::Followers,
        Self::Dialogues,
        Self::Inquiries,
        Self::Reviews,
        Self::Values,
        Self::Entrusted,
        Self::DigestKeys,
    ];
    /// Of a company server.
    pub(crate) const COMPANY: [Self; 2] = [Self::Customers, Self::Operators];

    /// The table's name, which is also what its rows are bound to.
    pub(crate) const fn table(self) -> &'static str {
        match self {
            Self::Followers => "follower",
            Self::Dialogues => "dialogue",
            Self::Inquiries => "inquiry",
            Self::Reviews => "review",
            Self::Values => "distribution_value",
            Self::Entrusted => "entrusted_customer",
            Self::DigestKeys => "custody",
            Self::Customers => "customers",
            Self::Operators => "operator",
        }
    }

    /// Whether its rows are of official accounts; else of companies.
    pub(crate) const fn is_of_accounts(self) -> bool {
        match self {
            Self::Followers | Self::Dialogues => true,
            Self::Inquiries
            | Self::Reviews
            | Self::Values
            | Self::Entrusted
            | Self::DigestKeys
            | Self::Customers
            | Self::Operators => false,
        }
    }

    /// How many parts the key of a row has.
    pub(crate) const fn parts(self) -> usize {
        match self {
            Self::Customers | Self::Operators => 1,
            Self::Followers | Self::Dialogues | Self::Inquiries | Self::Values | Self::DigestKeys => 2,
            Self::Reviews | Self::Entrusted => 3,
        }
    }
}

/// A row as a walk reads it.
pub(crate) struct SealedRow {
    /// Whose: an account or a company.
    pub(crate) owner: String,
    /// Its key, of which a table uses as many parts as it has.
    pub(crate) key: [Vec<u8>; 3],
    /// What is sealed.
    pub(crate) sealed: Vec<u8>,
    /// Where SQLite keeps it, if it counts rows.
    pub(crate) position: i64,
}

bulk_rows! {
    /// A row sealed anew.
    Fresh {
        owner: String,
        first: Bytes,
        second: Bytes,
        third: Bytes,
        sealed: Bytes,
        account_key: Bytes,
        fingerprint: Bytes,
        position: i64,
    }
}

/// What rows are sealed anew with.
pub(crate) struct Resealing<'a> {
    pub(crate) keys: &'a Keys,
    /// Rows in the clear, and reviews that another key sealed, are of before there was a vault, and are taken.
    pub(crate) of_before: Option<&'a ReviewSeals>,
}

impl Resealing<'_> {
    /// Whether a row has to be sealed anew.
    pub(crate) fn is_old(&self, relation: Relation, row: &SealedRow) -> Result<bool, StoreError> {
        let keys = self.keys.of_owner(relation, &row.owner)?;
        // A newer epoch is another replica's, which knows more already.
        Ok(epoch_of(&row.sealed).is_none_or(|epoch| epoch < keys.sealing()))
    }

    /// Seals a row with the newest epoch.
    pub(crate) fn seal(&self, relation: Relation, row: &SealedRow) -> Result<Fresh, StoreError> {
        let keys = self.keys.of_owner(relation, &row.owner)?;
        let key: Vec<&[u8]> = row.key.iter().take(relation.parts()).map(Vec::as_slice).collect();
        let place = Place { table: relation.table(), row: &key };
        let in_clear = clear(&row.sealed).filter(|_| self.of_before.is_some());
        let text = match in_clear {
            Some(text) => text.to_vec(),
            None => match self.review_of_before(relation, row)? {
                Some(text) => text,
                None => keys.open(place, &row.sealed)?,
            },
        };
        let customer = |part: usize| {
            let id = std::str::from_utf8(&row.key[part])
                .map_err(|_| StoreError::Corrupt("a customer's id is no text".to_owned()))?;
            if in_clear.is_some() {
                customer::from_clear(place, id, &text)
            } else {
                customer::from_plain(place, id, &text)
            }
        };
        let [first, second, third] = row.key.clone().map(Bytes);
        let (sealed, account_key, fingerprint) = match relation {
            Relation::Followers
            | Relation::Dialogues
            | Relation::Inquiries
            | Relation::Reviews
            | Relation::Values
            | Relation::DigestKeys
            | Relation::Operators => (keys.seal(place, &text)?, Vec::new(), Vec::new()),
            Relation::Entrusted => {
                let customer = customer(2)?;
                let copy = std::str::from_utf8(&row.key[0]).ok().and_then(|copy| copy.parse().ok());
                let copy = copy.ok_or_else(|| StoreError::Corrupt("a copy has no number".to_owned()))?;
                let sealed = seal_entrusted(keys, copy, &customer.customer, &customer.keys.bytes)?;
                (sealed.record, sealed.account_key.to_vec(), Vec::new())
            }
            Relation::Customers => {
                let customer = customer(0)?;
                let sealed = seal_customer(keys, &customer.customer, &customer.keys.bytes)?;
                (sealed.record, sealed.account_key.to_vec(), sealed.fingerprint.to_vec())
            }
        };
        Ok(Fresh {
            owner: row.owner.clone(),
            first,
            second,
            third,
            sealed: Bytes(sealed),
            account_key: Bytes(account_key),
            fingerprint: Bytes(fingerprint),
            position: row.position,
        })
    }

    fn review_of_before(&self, relation: Relation, row: &SealedRow) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(seals) = self.of_before.filter(|_| relation == Relation::Reviews) else { return Ok(None) };
        let Ok(id) = row.key[2].as_slice().try_into() else { return Ok(None) };
        Ok(seals.open(&row.owner.parse()?, ReviewId::from_bytes(id), &row.sealed)?)
    }
}
