//! Passwords and one-time codes: what a password has to be like, its hash, and which code is right at a time.
//!
//! Hashes are Argon2id with the parameters of OWASP (19 MiB, two passes), on threads that may block, few at once. Surprising: a
//! password is read in its NFKC form, so that it is the same from every keyboard.

use std::{sync::Arc, time::Duration};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use jiff::Timestamp;
use musubi_domain::{
    Error, ErrorKind,
    id::{CompanyId, OperatorName},
};
use musubi_runtime::entropy;
use musubi_storage::people::SECRET_BYTES;
use tokio::sync::Semaphore;
use totp_rs::{Builder, Totp};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;
use zxcvbn::Score;

/// How long a password is, in characters.
const LENGTH: std::ops::RangeInclusive<usize> = 12..=128;
/// How hard it has to be to guess: safely out of reach of whoever stole the hash, by zxcvbn's scale.
const STRENGTH: Score = Score::Three;
/// How many hashes are made at once: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;
/// How long one waits for its turn.
const TURN: Duration = Duration::from_secs(5);

/// Makes and verifies hashes.
pub(super) struct Passwords {
    turns: Arc<Semaphore>,
    /// Of nobody, so that a name that isn't there costs what one costs that is.
    nobodys: String,
}

/// A password as it was typed, in its normal form; overwritten in memory when dropped.
pub(super) struct Password(Zeroizing<String>);

impl Password {
    /// # Errors
    /// `password`, when it can't be one.
    pub(super) fn parse(typed: String) -> Result<Self, Error> {
        let typed = Zeroizing::new(typed);
        // Whatever is longer is not even normalised.
        if typed.len() > LENGTH.end() * 4 {
            return Err(unfit("it is longer than 128 characters"));
        }
        let password = Zeroizing::new(typed.nfkc().collect::<String>());
        match password.chars().count() {
            0 => Err(unfit("nothing stands there")),
            count if count > *LENGTH.end() => Err(unfit("it is longer than 128 characters")),
            _ => Ok(Self(password)),
        }
    }

    /// Whether it may become somebody's.
    fn check(&self, company: &CompanyId, name: &OperatorName) -> Result<(), Error> {
        if self.0.chars().count() < *LENGTH.start() {
            return Err(unfit("it is shorter than 12 characters"));
        }
        // What everybody knows of the person adds nothing.
        let known = [company.as_str(), name.as_str(), "musubi"];
        let unknown = known
            .iter()
            .filter(|word| word.len() > 2)
            .fold(self.0.to_lowercase(), |rest, word| rest.replace(word, ""));
        let unknown = Zeroizing::new(unknown);
        match zxcvbn::zxcvbn(&unknown, &known).score() >= STRENGTH {
            true => Ok(()),
            false => Err(unfit("it is too easy to guess")),
        }
    }
}

fn unfit(problem: &str) -> Error {
    let remedy = "choose 12 to 128 characters that nobody would guess; four words that have nothing to do with one another will do";
    Error::invalid("password", problem, remedy)
}

impl Passwords {
    pub(super) fn new() -> Result<Self, Error> {
        let nobodys = hash(&entropy::bytes::<32>())?;
        Ok(Self { turns: Arc::new(Semaphore::new(AT_ONCE)), nobodys })
    }

    /// The hash of a new password, as a PHC string.
    ///
    /// # Errors
    /// `password`, when it is too short or too easy to guess; `ResourceExhausted`.
    pub(super) async fn hash(
        &self,
        password: Password,
        company: CompanyId,
        name: OperatorName,
    ) -> Result<String, Error> {
        self.in_turn(move || {
            password.check(&company, &name)?;
            hash(password.0.as_bytes())
        })
        .await
    }

    /// Whether this is the password of a hash; without one it is not, and takes as long.
    ///
    /// # Errors
    /// `ResourceExhausted`; `Internal` when the hash is none.
    pub(super) async fn verify(&self, password: Password, hash: Option<String>) -> Result<bool, Error> {
        let is_somebodys = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobodys.clone());
        let right = self
            .in_turn(move || {
                let hash = PasswordHash::new(&hash).map_err(|_| broken())?;
                Ok(Argon2::default().verify_password(password.0.as_bytes(), &hash).is_ok())
            })
            .await?;
        Ok(right && is_somebodys)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let full = || {
            let problem = "too many people sign in at once";
            Error::new(ErrorKind::ResourceExhausted, problem, "wait a moment and repeat it")
        };
        let turn = tokio::time::timeout(TURN, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_elapsed| full())?.map_err(|_closed| full())?;
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        work.await.map_err(|_panicked| broken())?
    }
}

fn hash(password: &[u8]) -> Result<String, Error> {
    let salt = entropy::bytes::<16>();
    let hash = Argon2::default().hash_password_with_salt(password, &salt).map_err(|_| broken())?;
    Ok(hash.to_string())
}

fn broken() -> Error {
    Error::new(ErrorKind::Internal, "a password can not be hashed", "")
}

/// The secret of one-time codes as an authenticator app takes it: an otpauth URI.
pub(super) fn authenticator_uri(
    secret: &[u8; SECRET_BYTES],
    company: &CompanyId,
    name: &OperatorName,
) -> Result<String, Error> {
    let totp = Builder::new()
        .with_secret(*secret)
        .with_account_name(name.as_str())
        .with_issuer(Some(format!("Musubi {company}")))
        .build();
    let uri = totp.and_then(|totp| totp.to_url());
    uri.map_err(|_| Error::new(ErrorKind::Internal, "the authenticator's URI can not be made", ""))
}

/// The step at which this code is right, of the present one and those beside it.
pub(super) fn step_of(secret: &[u8; SECRET_BYTES], code: &str, now: Timestamp) -> Option<u64> {
    let totp: Totp = Builder::new().with_secret(*secret).build().ok()?;
    totp.check(code, u64::try_from(now.as_second()).ok()?)
}

/// A code as it was typed.
///
/// # Errors
/// `code`, when it can't be one.
pub(super) fn parse_code(typed: &str) -> Result<String, Error> {
    let digits: String = typed.split(' ').collect();
    if digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(digits);
    }
    let remedy = "type the six digits that the authenticator shows now";
    Err(Error::invalid("code", "it is not six digits", remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose() -> (CompanyId, OperatorName) {
        ("tf-bank".parse().unwrap(), "sato".parse().unwrap())
    }

    async fn hashed(password: &str) -> Result<String, Error> {
        let (company, name) = whose();
        Passwords::new()?.hash(Password::parse(password.to_owned())?, company, name).await
    }

    #[tokio::test]
    async fn only_its_own_password_fits_a_hash_whatever_keyboard_it_comes_from() {
        let passwords = Passwords::new().unwrap();
        let hash = hashed("ﾊﾝｶｸ kirin 87 bridge").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, hashed("ﾊﾝｶｸ kirin 87 bridge").await.unwrap());
        for (typed, right) in [
            ("ﾊﾝｶｸ kirin 87 bridge", true),
            ("ハンカク kirin 87 bridge", true),
            ("ハンカク kirin 87 bridgE", false),
            ("x", false),
        ] {
            let password = Password::parse(typed.to_owned()).unwrap();
            assert_eq!(passwords.verify(password, Some(hash.clone())).await, Ok(right), "{typed}");
            let password = Password::parse(typed.to_owned()).unwrap();
            assert_eq!(passwords.verify(password, None).await, Ok(false), "{typed}");
        }
    }

    #[tokio::test]
    async fn a_password_that_others_would_guess_is_refused() {
        let long = "あ".repeat(129);
        for weak in [
            "",
            "kirin 87 br",
            "aaaaaaaaaaaa",
            "password1234",
            "tf-bank-sato-1",
            "qwertyuiop12",
            long.as_str(),
        ] {
            let refused = hashed(weak).await.unwrap_err();
            assert_eq!(refused.field, "password", "{weak}");
            assert!(weak.is_empty() || !refused.to_string().contains(weak), "{refused}");
        }
    }

    #[test]
    fn codes_are_those_of_rfc_6238_in_their_time_and_the_one_beside_it() {
        // The last six digits of the RFC's table for SHA-1.
        let secret = b"12345678901234567890";
        let at = |second| Timestamp::from_second(second).unwrap();
        for (second, code) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
            let step = u64::try_from(second).unwrap() / 30;
            for beside in [-30, 0, 30] {
                assert_eq!(step_of(secret, code, at(second + beside)), Some(step), "{second} {beside}");
            }
            assert_eq!(step_of(secret, code, at(second + 90)), None);
            assert_eq!(step_of(&[1; 20], code, at(second)), None);
        }
        assert_eq!(parse_code("287 082").unwrap(), "287082");
        for wrong in ["", "28708", "2870822", "28708a", "２８７０８２"] {
            assert_eq!(parse_code(wrong).unwrap_err().field, "code", "{wrong}");
        }
    }

    #[test]
    fn an_authenticator_is_told_who_and_where() {
        let (company, name) = whose();
        let uri = authenticator_uri(b"12345678901234567890", &company, &name).unwrap();
        assert!(uri.starts_with("otpauth://totp/Musubi%20tf-bank:sato?secret=GEZDGNBVGY3TQOJQ"), "{uri}");
    }
}
