//! The information-management server \[20\]: acquires subscriber lists \[230\], asks followers \[231\], confirms who is a
//! customer \[232\], and distributes messages.
//!
//! The patent's units keep their names: [`acquisition`], [`request`], [`confirmation`]. What happens to a follower stands in
//! [`scene`], pure; [`dispatch`] sends; [`numbers`] asks carriers whose numbers are still the same person's; [`audit`] seals what tells of all that; [`distributions`], [`custody`], [`followers`] and [`reviews`] are what companies ask for.
//! Carriers are reached through [`gateway`] only. Surprising: no worker tells another what to do. Each looks at the database, and a
//! [`signal`] only says that looking may be worth it.

pub mod accounts;
pub mod acquisition;
pub mod app;
pub mod approvals;
pub mod audit;
pub mod config;
pub mod confirmation;
pub mod custody;
pub mod directory;
pub mod dispatch;
pub mod distributions;
mod door;
pub mod erasure;
pub mod followers;
pub mod gateway;
mod gauges;
mod keys;
mod metrics;
pub mod numbers;
pub mod request;
pub mod reviews;
pub mod scene;
pub mod signal;
mod telling;
#[cfg(test)]
pub(crate) mod tests;
mod together;

pub use app::{App, BuildError, MIGRATIONS};
pub use config::Config;
pub use metrics::METRICS;
