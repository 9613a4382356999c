//! Followers over several machines: that the schema fits `deploy/citus`, as the catalogue tells of it.
//!
//! Citus itself is not asked; its rule is: a primary key or unique index of a distributed table holds the column that the table is
//! distributed by. Surprising: what is distributed how is read from the SQL that a cluster's owner runs, so that it can't be forgotten there.

use std::collections::{BTreeMap, BTreeSet};

const SQL: &str = include_str!("../../../../../deploy/citus/distribute.sql");
const README: &str = include_str!("../../../../../deploy/citus/README.md");

/// Every table that is no partition.
const TABLES: &str = "
    SELECT c.relname::text FROM pg_class AS c
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace";

/// Of each unique index of these: the table, the index, its columns.
const UNIQUE: &str = "
    SELECT c.relname::text, u.relname::text,
        array(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey))
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid JOIN pg_class AS u ON u.oid = i.indexrelid
    WHERE i.indisunique AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace";

/// What a call of this function in the SQL says: the table, and what stands behind it.
fn calls(function: &str) -> BTreeMap<&'static str, &'static str> {
    let call = |line: &'static str| {
        let arguments = line.strip_prefix("SELECT ")?.strip_prefix(function)?.strip_prefix("('")?;
        let (table, rest) = arguments.split_once('\'')?;
        Some((table, rest.split('\'').nth(1).unwrap_or_default()))
    };
    SQL.lines().filter_map(call).collect()
}

#[tokio::test]
async fn what_belongs_to_a_follower_can_be_distributed_by_follower() {
    let (store, _fresh) = super::tests::open().await;
    let read = store.database.read();
    let tables: BTreeSet<String> =
        sqlx::query_scalar::<_, String>(TABLES).fetch_all(read).await.unwrap().into_iter().collect();
    let (distributed, copied) = (calls("create_distributed_table"), calls("create_reference_table"));
    let row = README.lines().find(|line| line.starts_with("| coordinator |")).unwrap();
    let central: BTreeSet<&str> = row.split('`').skip(1).step_by(2).collect();
    for table in &tables {
        let places =
            [distributed.contains_key(&**table), copied.contains_key(&**table), central.contains(&**table)];
        let places = places.into_iter().filter(|is| *is).count();
        assert_eq!(places, 1, "{table} has {places} places; give it one in deploy/citus");
    }
    let named = distributed.keys().chain(copied.keys()).chain(&central);
    named.for_each(|table| assert!(tables.contains(*table), "{table} is no table"));
    let unique: Vec<(String, String, Vec<String>)> = sqlx::query_as(UNIQUE).fetch_all(read).await.unwrap();
    let mut held = 0;
    for (table, index, columns) in unique {
        let Some(by) = distributed.get(&*table) else { continue };
        let given_up = SQL.contains(&format!("DROP INDEX {index};"));
        let holds = columns.iter().any(|column| column == by);
        assert!(
            holds != given_up,
            "{index} of {table} holds {columns:?}, and {table} is distributed by {by}"
        );
        held += u32::from(holds);
    }
    assert!(held >= 14, "only {held} indexes were looked at");
    // Whatever has the column belongs to a follower.
    for (table, by) in &distributed {
        assert!(["follower", "customer_id"].contains(by), "{table} is distributed by {by}");
    }
}
