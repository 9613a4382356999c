//! Master keys of the configuration: they wrap the keys of companies, and nothing else.

use std::{fmt, sync::Arc};

use zeroize::{Zeroize as _, Zeroizing};

use super::{Cipher, CompanyKey, KEY_BYTES, hash, nonce, put};
use crate::{Error, ErrorKind, id::CompanyId};

/// The shape of wrapped bytes: this byte, the master key's id, the key and its tag.
const SHAPE: u8 = 1;
const ID_BYTES: usize = 4;
/// How long a master key is at least.
const SHORTEST: usize = 32;

/// Master keys: the first wraps, each of them unwraps, so that one turns when another is put in front.
#[derive(Clone)]
pub struct MasterKeys(Vec<([u8; ID_BYTES], Arc<Cipher>)>);

impl MasterKeys {
    /// From secrets of at least 32 bytes each.
    ///
    /// # Errors
    /// When there is none, or one is shorter.
    pub fn new(secrets: &[&[u8]]) -> Result<Self, Error> {
        const REMEDY: &str = "give at least 32 random bytes, as from `openssl rand -hex 32`";
        if secrets.is_empty() {
            return Err(Error::invalid("master_key", "no key is given", REMEDY));
        }
        let keys = secrets.iter().map(|secret| {
            if secret.len() < SHORTEST {
                let problem = format!("a secret of {} bytes", secret.len());
                return Err(Error::invalid("master_key", problem, REMEDY));
            }
            let mut id = [0; ID_BYTES];
            id.copy_from_slice(&hash(secret, &[b"names a master key"])[..ID_BYTES]);
            let key = Zeroizing::new(hash(secret, &[b"wraps keys of companies"]));
            Ok((id, Arc::new(Cipher::new(&key)?)))
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// A company's key, for the database.
    ///
    /// # Errors
    /// `Internal`, which is a fault of ours.
    pub fn wrap(&self, company: &CompanyId, epoch: u32, key: &CompanyKey) -> Result<Vec<u8>, Error> {
        let failed =
            || Error::new(ErrorKind::Internal, format!("a key of company {company} can not be wrapped"), "");
        let (id, master) = self.0.first().ok_or_else(failed)?;
        let bound = bound(company, epoch);
        let head = [&[SHAPE], &id[..]].concat();
        master.seal(nonce(&bound), &bound, &head, &key.0[..]).map_err(|_| failed())
    }

    /// The company's key of an epoch as the database has it.
    ///
    /// # Errors
    /// `FailedPrecondition` when a master key wrapped it that is not among these; `Internal` when it was changed, or is another
    /// company's.
    pub fn unwrap(&self, company: &CompanyId, epoch: u32, wrapped: &[u8]) -> Result<CompanyKey, Error> {
        let broken = || {
            let problem = format!("the key of company {company}, epoch {epoch}, was changed");
            Error::new(
                ErrorKind::Internal,
                problem,
                "restore that row of the table company_key from a backup",
            )
        };
        let (head, text) = wrapped.split_at_checked(1 + ID_BYTES).ok_or_else(broken)?;
        let id = head.strip_prefix(&[SHAPE]).ok_or_else(broken)?;
        let (_, master) = self.0.iter().find(|(known, _)| known == id).ok_or_else(|| {
            let problem =
                format!("the key of company {company}, epoch {epoch}, was wrapped with a master key that is not configured");
            let remedy = "have keys.master name that master key too, behind the present one";
            Error::new(ErrorKind::FailedPrecondition, problem, remedy)
        })?;
        let bound = bound(company, epoch);
        let mut text = master.open(nonce(&bound), &bound, text).map_err(|_| broken())?;
        let key = text
            .first_chunk::<KEY_BYTES>()
            .filter(|_| text.len() == KEY_BYTES)
            .map(|key| CompanyKey::new(*key));
        text.zeroize();
        key.ok_or_else(broken)
    }

    /// Whether the first of these wrapped it.
    #[must_use]
    pub fn is_current(&self, wrapped: &[u8]) -> bool {
        let id = wrapped.strip_prefix(&[SHAPE]).and_then(|rest| rest.first_chunk::<ID_BYTES>());
        id.is_some_and(|id| self.0.first().is_some_and(|(first, _)| first == id))
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKeys({})", self.0.len())
    }
}

fn bound(company: &CompanyId, epoch: u32) -> Vec<u8> {
    let mut bound = Vec::with_capacity(64);
    put(&mut bound, b"company_key");
    put(&mut bound, company.as_str().as_bytes());
    put(&mut bound, &epoch.to_be_bytes());
    bound
}
