//! Where a node's database is: one SQLite file, or a PostgreSQL database.

use std::{fmt, path::PathBuf};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::Secret;

/// Written as a path, as `postgres://…`, or as a table.
#[derive(Clone, Debug)]
pub enum Database {
    /// One SQLite file, made when it isn't there.
    File(PathBuf),
    /// A PostgreSQL database, whose schema `musubi migrate` has made.
    Postgres(DatabaseAddress),
}

/// `[database]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseAddress {
    /// `postgres://user:password@host:port/database`.
    pub url: Secret,
    /// How many connections at most, 2 to 500.
    #[serde(default = "connections", deserialize_with = "within")]
    pub connections: u32,
    /// Work with a database, too, that may lose what it has acknowledged.
    #[serde(default)]
    pub may_lose_data: bool,
}

const fn connections() -> u32 {
    20
}

fn within<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let connections = u32::deserialize(deserializer)?;
    if (2..=500).contains(&connections) {
        return Ok(connections);
    }
    Err(de::Error::custom("it is not from 2 to 500; write how many connections at most"))
}

impl<'de> Deserialize<'de> for Database {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DatabaseVisitor)
    }
}

struct DatabaseVisitor;

impl<'de> Visitor<'de> for DatabaseVisitor {
    type Value = Database;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path in quotes, \"postgres://…\" or { url = \"postgres://…\" }")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Database, E> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let url = Secret::new(text);
            return Ok(Database::Postgres(DatabaseAddress {
                url,
                connections: connections(),
                may_lose_data: false,
            }));
        }
        Ok(Database::File(text.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Database, A::Error> {
        DatabaseAddress::deserialize(MapAccessDeserializer::new(map)).map(Database::Postgres)
    }
}
