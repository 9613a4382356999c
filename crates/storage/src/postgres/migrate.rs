//! Schemas of PostgreSQL: brought up to date by `musubi migrate`, and only looked at by nodes.
//!
//! A change first expands: what it adds, nodes of the version before don't mind. It contracts in a later version, when no such
//! node runs any more, and then it raises `schema_floor`: whoever knows fewer migrations than that can't work with the database.

use std::collections::BTreeMap;

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection,
    postgres::PgConnectOptions,
};

use crate::{StoreError, migrations::Steps};

/// The schema of one node's database, as this program knows it.
pub struct Migrations(pub(super) Steps);

impl Migrations {
    pub(crate) const fn new(steps: Steps) -> Self {
        Self(steps)
    }

    /// Brings a database up to date, and gives how many steps that took. Of several that try at once one does it.
    ///
    /// # Errors
    /// [`StoreError::Unreached`] and [`StoreError::Schema`].
    pub async fn run(&self, url: &str) -> Result<usize, StoreError> {
        let mut connection = PgConnection::connect(url).await.map_err(StoreError::unreached)?;
        let before = applied(&mut connection).await?.len();
        self.refuse_newer(&mut connection).await?;
        let mut known = self.0.migrator();
        // What a newer program has applied, and doesn't mind, is not missing.
        known.set_ignore_missing(true);
        known.run(&mut connection).await.map_err(|error| StoreError::Schema(error.to_string()))?;
        Ok(applied(&mut connection).await?.len().saturating_sub(before))
    }

    /// Whether a node can work with the database.
    pub(crate) async fn check(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let applied = applied(connection).await?;
        for known in self.0.migrator().iter() {
            match applied.get(&known.version) {
                None => {
                    let missing = format!("it lacks migration {}; run musubi migrate first", known.version);
                    return Err(StoreError::Schema(missing));
                }
                Some(checksum) if checksum[..] != known.checksum[..] => {
                    let other = format!(
                        "its migration {} is not this program's; it is another's database",
                        known.version
                    );
                    return Err(StoreError::Schema(other));
                }
                Some(_) => {}
            }
        }
        self.refuse_newer(connection).await
    }

    /// Refuses a database whose schema has left this program behind.
    async fn refuse_newer(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        if !exists(connection, "schema_floor").await? {
            return Ok(());
        }
        let floor: i64 = sqlx::query_scalar("SELECT needs FROM schema_floor")
            .fetch_one(connection)
            .await
            .map_err(StoreError::unreached)?;
        let known = self.0.newest();
        if known < floor {
            let newer = format!(
                "it needs a program that knows migration {floor}, and this one knows {known}; use a newer one"
            );
            return Err(StoreError::Schema(newer));
        }
        Ok(())
    }
}

/// Makes an empty database beside the one that `server` names, and gives its address. The name is of small letters, digits and `_`.
///
/// # Errors
/// [`StoreError::Unreached`], also when there is one of this name or the user may not make any.
pub async fn create_database(server: &str, name: &str) -> Result<String, StoreError> {
    let options: PgConnectOptions = server.parse().map_err(StoreError::unreached)?;
    let mut connection = PgConnection::connect_with(&options).await.map_err(StoreError::unreached)?;
    let create = format!(
        "CREATE DATABASE \"{}\" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'",
        name.replace('"', "")
    );
    connection.execute(AssertSqlSafe(create)).await.map_err(StoreError::unreached)?;
    connection.close().await.map_err(StoreError::unreached)?;
    Ok(options.database(name).to_url_lossy().to_string())
}

/// Removes a database that [`create_database`] made, whoever still works with it; one that is not there is removed already.
///
/// # Errors
/// [`StoreError::Unreached`].
pub async fn drop_database(server: &str, name: &str) -> Result<(), StoreError> {
    let mut connection = PgConnection::connect(server).await.map_err(StoreError::unreached)?;
    let drop = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", name.replace('"', ""));
    connection.execute(AssertSqlSafe(drop)).await.map_err(StoreError::unreached)?;
    connection.close().await.map_err(StoreError::unreached)
}

/// The migrations that were applied, with their checksums.
async fn applied(connection: &mut PgConnection) -> Result<BTreeMap<i64, Vec<u8>>, StoreError> {
    if !exists(connection, "_sqlx_migrations").await? {
        return Ok(BTreeMap::new());
    }
    let found: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success")
            .fetch_all(connection)
            .await
            .map_err(StoreError::unreached)?;
    Ok(found.into_iter().collect())
}

async fn exists(connection: &mut PgConnection, table: &'static str) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(table)
        .fetch_one(connection)
        .await
        .map_err(StoreError::unreached)
}

#[cfg(test)]
mod tests {
    use sqlx::Executor as _;

    use super::*;
    use crate::{
        migrations,
        postgres::{
            Database, PostgresOptions,
            terminal::MIGRATIONS,
            testing::{empty, fresh},
        },
    };

    async fn refused(options: &PostgresOptions, migrations: &Migrations) -> String {
        let refused = Database::open(options, migrations).await.err().unwrap();
        assert!(matches!(refused, StoreError::Schema(_)), "{refused}");
        refused.to_string()
    }

    #[tokio::test]
    async fn a_database_that_was_not_migrated_is_refused_and_migrated_once() {
        let (options, _fresh) = empty().await;
        let refused = refused(&options, &MIGRATIONS).await;
        assert!(refused.ends_with("it lacks migration 1; run musubi migrate first"), "{refused}");
        let together = tokio::join!(MIGRATIONS.run(&options.url), MIGRATIONS.run(&options.url));
        assert!(matches!(together, (Ok(_), Ok(_))), "{together:?}");
        assert_eq!(MIGRATIONS.run(&options.url).await.unwrap(), 0);
        Database::open(&options, &MIGRATIONS).await.unwrap().close().await;
    }

    #[tokio::test]
    async fn a_database_that_needs_a_newer_program_is_refused() {
        let (options, _fresh) = fresh("terminal", &MIGRATIONS).await;
        let mut connection = PgConnection::connect(&options.url).await.unwrap();
        connection.execute("UPDATE schema_floor SET needs = 99").await.unwrap();
        let text = "it needs a program that knows migration 99, and this one knows 1; use a newer one";
        let refused = refused(&options, &MIGRATIONS).await;
        assert!(refused.ends_with(text), "{refused}");
        let refused = MIGRATIONS.run(&options.url).await.unwrap_err().to_string();
        assert!(refused.ends_with(text), "{refused}");
    }

    #[tokio::test]
    async fn what_a_newer_program_added_is_no_obstacle() {
        let (options, _fresh) = fresh("terminal", &MIGRATIONS).await;
        let mut connection = PgConnection::connect(&options.url).await.unwrap();
        connection
            .execute(
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (2, 'newer', true, ''::bytea, 0)",
            )
            .await
            .unwrap();
        assert_eq!(MIGRATIONS.run(&options.url).await.unwrap(), 0);
        Database::open(&options, &MIGRATIONS).await.unwrap().close().await;
    }

    #[tokio::test]
    async fn the_database_of_another_node_is_refused() {
        let (options, _fresh) = fresh("terminal", &MIGRATIONS).await;
        let other = Migrations::new(migrations::SQLITE_TERMINAL);
        let refused = refused(&options, &other).await;
        assert!(
            refused.ends_with("its migration 1 is not this program's; it is another's database"),
            "{refused}"
        );
        assert!(matches!(other.run(&options.url).await, Err(StoreError::Schema(_))));
    }
}
