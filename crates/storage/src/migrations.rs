//! The steps of each store's schema, compiled in: `build.rs` reads the folders.

use sqlx::{
    SqlStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// Of one store: each step's number, what it does, and its SQL.
#[derive(Clone, Copy)]
pub(crate) struct Steps(&'static [(i64, &'static str, &'static str)]);

impl Steps {
    /// Those that a program of an earlier version knew.
    #[cfg(test)]
    pub(crate) fn until(self, version: i64) -> Self {
        let known = self.0.iter().take_while(|(step, ..)| *step <= version).count();
        Self(&self.0[..known])
    }

    /// The number of the last.
    pub(crate) fn newest(self) -> i64 {
        self.0.last().map(|(version, ..)| *version).unwrap_or_default()
    }

    /// As sqlx applies them.
    pub(crate) fn migrator(self) -> Migrator {
        let step = |(version, what, sql): &(i64, &'static str, &'static str)| {
            Migration::new(*version, (*what).into(), MigrationType::Simple, SqlStr::from_static(sql), false)
        };
        Migrator::with_migrations(self.0.iter().map(step).collect())
    }
}

include!(concat!(env!("OUT_DIR"), "/migrations.rs"));
