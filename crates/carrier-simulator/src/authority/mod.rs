//! The simulated authorities: JPKI, the carrier's PIN site, documents. They know persons by their credentials and sign what
//! they attest.
//!
//! [`key`] makes and names keys, [`link`] reads the links that persons open, [`assertion`] checks and signs, [`verification`]
//! is the service. What an assertion is worth is decided elsewhere, by who gets it.

mod assertion;
mod key;
mod link;
mod verification;

pub use self::key::{Authorities, KeyError};
pub(crate) use self::verification::Verification;
