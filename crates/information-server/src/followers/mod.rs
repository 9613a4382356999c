//! Followers as companies see them: how many came how far, who they are, in pages, and what each has a right to.
//!
//! Surprising: a company's account on a carrier where nobody follows it yet has a funnel too, of zeros, so that a silent carrier
//! is seen.

mod consents;
mod days;
mod rights;
mod service;
#[cfg(test)]
mod tests;

pub use self::service::Followers;
