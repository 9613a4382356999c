//! Where tests find the servers that `cargo xtask` started for them. A test that needs one fails without it: a test
//! that passes because it did not run is worth nothing.

/// The variable of the environment that holds the address of the tests' PostgreSQL.
pub const POSTGRES_VARIABLE: &str = "MUSUBI_TEST_POSTGRES";
/// The variable of the environment that holds the address of the tests' Redis.
pub const REDIS_VARIABLE: &str = "MUSUBI_TEST_REDIS";

/// The address of the tests' PostgreSQL: `postgres://user:password@host:port/database`, a superuser's. Tests share the
/// server and make databases of their own.
///
/// # Panics
///
/// When the tests were not started by `cargo xtask`; the text says how to.
#[must_use]
pub fn test_postgres_url() -> String {
    read(POSTGRES_VARIABLE)
}

/// The address of the tests' Redis: `redis://default:password@host:port`. Tests share the server and keep to keys of their own.
///
/// # Panics
///
/// When the tests were not started by `cargo xtask`; the text says how to.
#[must_use]
pub fn test_redis_url() -> String {
    read(REDIS_VARIABLE)
}

#[expect(clippy::disallowed_methods, reason = "cargo hands nothing else down to tests")]
fn read(variable: &str) -> String {
    let Ok(url) = std::env::var(variable) else {
        panic!(
            "{variable} is not set: run `cargo xtask test`, or one test by `cargo xtask servers -- cargo test …`"
        );
    };
    url
}
