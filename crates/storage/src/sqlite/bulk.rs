//! Statements over many rows at once, whose values are bound.
//!
//! A statement has its rows as a table of its own, whose columns it names: `WITH k (account, follower) AS (VALUES ...) UPDATE …`.
//! Surprising: the rows go in blocks of a power of two, so that a statement comes in nine texts and not in one for each number of rows,
//! and each is prepared once. As the one JSON parameter that lists of a few things still are, rows cost twice as much.

use futures::future::join;
use sqlx::{
    Arguments as _, AssertSqlSafe, Encode, Executor as _, Sqlite, SqliteConnection, Type,
    error::BoxDynError,
    sqlite::{SqliteArguments, SqliteRow},
};

/// How many rows the largest block has. What is bound for more no longer stays in a core's cache, and they are no faster.
pub(crate) const LARGEST: usize = 256;
/// How many prepared statements a connection keeps: each text of each statement that goes over rows, and room for all others.
pub(crate) const STATEMENTS: usize = 1_024;

/// What stands in a statement for its rows.
const ROWS: &str = "(VALUES ...)";

/// Values that are bound together.
pub(crate) trait Values {
    /// Adds each, in the order of the columns.
    fn put(&self, to: &mut SqliteArguments) -> Result<(), BoxDynError>;
}

/// A statement over rows.
pub(crate) struct Bulk<'a, R, M = ()> {
    sql: &'static str,
    rows: &'a [R],
    more: M,
}

/// The statement over these rows. Without rows it isn't run.
pub(crate) const fn bulk<'a, R: Values>(sql: &'static str, rows: &'a [R]) -> Bulk<'a, R> {
    Bulk { sql, rows, more: () }
}

impl<'a, R: Values> Bulk<'a, R> {
    /// With values of its parameters, each a `?` behind the rows.
    pub(crate) const fn with<M: Values>(self, more: M) -> Bulk<'a, R, M> {
        Bulk { sql: self.sql, rows: self.rows, more }
    }
}

impl<R: Values, M: Values> Bulk<'_, R, M> {
    pub(crate) async fn execute(self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        self.fetch(connection).await.map(drop)
    }

    /// Gives what it selects or returns, in the order of the rows.
    pub(crate) async fn fetch(
        self,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let mut blocks = blocks(self.rows);
        let (mut found, mut next) = (Vec::new(), blocks.next().map(|block| self.query(block)));
        while let Some(query) = next.take() {
            // The next values are laid out while the database works on these.
            let run = connection.fetch_all(query?);
            let (rows, following) = join(run, async { blocks.next().map(|block| self.query(block)) }).await;
            found.append(&mut rows?);
            next = following;
        }
        Ok(found)
    }

    fn query(&self, block: &[R]) -> Result<Query, sqlx::Error> {
        let mut values = SqliteArguments::default();
        block.iter().try_for_each(|row| row.put(&mut values)).map_err(sqlx::Error::Encode)?;
        self.more.put(&mut values).map_err(sqlx::Error::Encode)?;
        Ok(sqlx::query_with(AssertSqlSafe(text(self.sql, block.len())), values))
    }
}

type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

/// Rows in blocks, each of which is a power of two, large ones first.
fn blocks<R>(mut rows: &[R]) -> impl Iterator<Item = &[R]> {
    std::iter::from_fn(move || {
        let largest = 1 << rows.len().checked_ilog2()?;
        let (block, rest) = rows.split_at(LARGEST.min(largest));
        rows = rest;
        Some(block)
    })
}

/// The statement's text for so many rows.
pub(crate) fn text(sql: &str, rows: usize) -> String {
    let Some((head, tail)) = sql.split_once(ROWS) else { return sql.to_owned() };
    let columns = head.rsplit('(').next().unwrap_or_default().split(',').count();
    let row = format!("({})", ["?"].repeat(columns).join(","));
    format!("{head}(VALUES {}){tail}", [row.as_str()].repeat(rows).join(","))
}

impl Values for () {
    fn put(&self, _: &mut SqliteArguments) -> Result<(), BoxDynError> {
        Ok(())
    }
}

macro_rules! values {
    ($($name:ident $place:tt),+) => {
        impl<$($name),+> Values for ($($name,)+)
        where
            $($name: for<'t> Encode<'t, Sqlite> + Type<Sqlite>,)+
        {
            fn put(&self, to: &mut SqliteArguments) -> Result<(), BoxDynError> {
                $(to.add(&self.$place)?;)+
                Ok(())
            }
        }
    };
}
values!(A 0);
values!(A 0, B 1);
values!(A 0, B 1, C 2);
values!(A 0, B 1, C 2, D 3);
values!(A 0, B 1, C 2, D 3, E 4);
values!(A 0, B 1, C 2, D 3, E 4, F 5);
values!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
values!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
values!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_in_few_sizes() {
        let sizes = |rows: usize| blocks(&vec![(); rows]).map(<[()]>::len).collect::<Vec<_>>();
        assert_eq!(sizes(0), [0; 0]);
        assert_eq!(sizes(1), [1]);
        assert_eq!(sizes(7), [4, 2, 1]);
        assert_eq!(sizes(1_000), [256, 256, 256, 128, 64, 32, 8]);
    }

    #[test]
    fn a_statement_has_a_place_for_each_value() {
        let sql =
            "WITH k (a, b) AS (VALUES ...) DELETE FROM t WHERE (a, b) IN (SELECT a, b FROM k) AND c = ?";
        let two = "WITH k (a, b) AS (VALUES (?,?),(?,?)) DELETE FROM t WHERE (a, b) IN (SELECT a, b FROM k) AND c = ?";
        assert_eq!(text(sql, 2), two);
    }
}
