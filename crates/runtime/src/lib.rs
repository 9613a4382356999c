//! What every process needs, once: configuration, telemetry, lifecycle, TLS, gRPC, HTTP, clock.
//!
//! Only here is the environment read, the time asked, randomness drawn and a `tonic::Status` made; everywhere else they are
//! arguments, and `clippy.toml` bans them. Nothing here knows what a follower is. Surprising: a draining server goes on
//! accepting connections, so that a health check can still hear NOT_SERVING; see [`grpc::server`].

pub mod backlog;
pub mod clock;
pub mod config;
pub mod entropy;
pub mod grpc;
pub mod http;
pub mod lifecycle;
pub mod telemetry;
pub mod tls;

pub use clock::{Clock, ManualClock, SystemClock};
pub use lifecycle::Shutdown;
