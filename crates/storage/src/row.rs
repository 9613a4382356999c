//! Rows between Rust and a database, whichever it is: what stands in a column, and what many rows at once are written from.
//!
//! Integers may be narrower in one database than in another, and ids are 16 bytes in both, so whoever reads a row names what it
//! means and not how it is kept. Surprising: a row to write is declared once, and is a line of one JSON parameter for SQLite and
//! an element of one array for each column for PostgreSQL.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use sqlx::{
    Encode, Postgres, Row as _, ValueRef as _,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgHasArrayType, PgRow, PgTypeInfo},
    query::Query,
    sqlite::SqliteRow,
    types::Uuid,
};

use crate::StoreError;

/// A row that was read.
pub(crate) trait Columns {
    /// An integer, whatever its width; a truth is 0 or 1.
    fn maybe_int(&self, column: usize) -> Result<Option<i64>, StoreError>;

    /// A text.
    fn maybe_text(&self, column: usize) -> Result<Option<&str>, StoreError>;

    /// Bytes; an id is its 16.
    fn maybe_bytes(&self, column: usize) -> Result<Option<&[u8]>, StoreError>;

    /// An integer that is there.
    fn int(&self, column: usize) -> Result<i64, StoreError> {
        self.maybe_int(column)?.ok_or_else(|| missing(column))
    }

    /// A text that is there.
    fn text(&self, column: usize) -> Result<&str, StoreError> {
        self.maybe_text(column)?.ok_or_else(|| missing(column))
    }

    /// Bytes that are there.
    fn bytes(&self, column: usize) -> Result<&[u8], StoreError> {
        self.maybe_bytes(column)?.ok_or_else(|| missing(column))
    }

    /// A truth.
    fn flag(&self, column: usize) -> Result<bool, StoreError> {
        Ok(self.int(column)? != 0)
    }

    /// An integer in the range of its own type.
    fn small<T: TryFrom<i64>>(&self, column: usize) -> Result<T, StoreError> {
        let number = self.int(column)?;
        T::try_from(number)
            .map_err(|_| StoreError::Corrupt(format!("column {column}: {number} is out of range")))
    }

    /// The same, if there is one.
    fn maybe_small<T: TryFrom<i64>>(&self, column: usize) -> Result<Option<T>, StoreError> {
        self.maybe_int(column)?.map(|_| self.small(column)).transpose()
    }

    /// The 16 bytes of an id.
    fn id(&self, column: usize) -> Result<[u8; 16], StoreError> {
        self.maybe_id(column)?.ok_or_else(|| missing(column))
    }

    /// The 16 bytes of an id, if it has one.
    fn maybe_id(&self, column: usize) -> Result<Option<[u8; 16]>, StoreError> {
        let Some(bytes) = self.maybe_bytes(column)? else { return Ok(None) };
        let id = bytes.try_into();
        id.map(Some)
            .map_err(|_| StoreError::Corrupt(format!("column {column}: {} bytes, not 16", bytes.len())))
    }

    /// An instant.
    fn instant(&self, column: usize) -> Result<Timestamp, StoreError> {
        instant(self.int(column)?)
    }

    /// An instant, if it has one.
    fn maybe_instant(&self, column: usize) -> Result<Option<Timestamp>, StoreError> {
        self.maybe_int(column)?.map(instant).transpose()
    }

    /// The enum at that place among all of them.
    fn one_of<T: Copy>(&self, all: &[T], column: usize) -> Result<T, StoreError> {
        at_place(all, self.int(column)?)
    }
}

fn missing(column: usize) -> StoreError {
    StoreError::Corrupt(format!("column {column}: nothing stands there"))
}

fn unread(column: usize) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| StoreError::Corrupt(format!("column {column}: {error}"))
}

impl Columns for SqliteRow {
    fn maybe_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        self.try_get(column).map_err(unread(column))
    }

    fn maybe_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        self.try_get(column).map_err(unread(column))
    }

    fn maybe_bytes(&self, column: usize) -> Result<Option<&[u8]>, StoreError> {
        self.try_get(column).map_err(unread(column))
    }
}

impl Columns for PgRow {
    fn maybe_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        let Some(bytes) = self.maybe_bytes(column)? else { return Ok(None) };
        let number = match *bytes {
            [a] => i64::from(a),
            [a, b] => i64::from(i16::from_be_bytes([a, b])),
            [a, b, c, d] => i64::from(i32::from_be_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => i64::from_be_bytes([a, b, c, d, e, f, g, h]),
            _ => return Err(StoreError::Corrupt(format!("column {column}: no integer"))),
        };
        Ok(Some(number))
    }

    fn maybe_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        let Some(bytes) = self.maybe_bytes(column)? else { return Ok(None) };
        let text = std::str::from_utf8(bytes);
        text.map(Some).map_err(|_| StoreError::Corrupt(format!("column {column}: no text")))
    }

    /// As the server sends it: every statement of ours is prepared, so what comes is binary.
    fn maybe_bytes(&self, column: usize) -> Result<Option<&[u8]>, StoreError> {
        let value = self.try_get_raw(column).map_err(unread(column))?;
        if value.is_null() {
            return Ok(None);
        }
        value.as_bytes().map(Some).map_err(|error| StoreError::Corrupt(format!("column {column}: {error}")))
    }
}

/// The last instant that stores keep: the calendar's last one doesn't survive the way to microseconds and back.
const LAST_MICROS: i64 = 253_402_207_200_000_000;

/// An instant as stores keep it: microseconds since 1970.
pub(crate) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond().min(LAST_MICROS)
}

/// An instant that a store kept.
pub(crate) fn instant(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros)
        .map_err(|_| StoreError::Corrupt(format!("{micros} is no instant in microseconds")))
}

/// An enum's number in stores: its place among all of them.
pub(crate) fn place<T: PartialEq>(all: &[T], value: &T) -> i64 {
    all.iter().position(|known| known == value).and_then(|place| i64::try_from(place).ok()).unwrap_or(-1)
}

/// The enum that a store's number stands for.
pub(crate) fn at_place<T: Copy>(all: &[T], place: i64) -> Result<T, StoreError> {
    usize::try_from(place)
        .ok()
        .and_then(|place| all.get(place).copied())
        .ok_or_else(|| StoreError::Corrupt(format!("{place} is no known state")))
}

/// A small list that stands in one column, as JSON.
pub(crate) fn list<T: Serialize + ?Sized>(list: &T) -> Result<String, StoreError> {
    serde_json::to_string(list)
        .map_err(|error| StoreError::Corrupt(format!("a row can't be written as JSON: {error}")))
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

/// An id in a row to write: hexadecimal digits in JSON, a `uuid` in PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(pub(crate) Uuid);

impl Id {
    /// Of these bytes.
    pub(crate) const fn of(bytes: &[u8; 16]) -> Self {
        Self(Uuid::from_bytes(*bytes))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.simple().serialize(serializer)
    }
}

/// Bytes in a row to write: hexadecimal digits in JSON, a `bytea` in PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&self.0))
    }
}

/// A column's type in PostgreSQL, and its arrays', as those of what it holds.
macro_rules! transparent {
    ($($type:ident of $held:ty,)+) => {
        $(impl sqlx::Type<Postgres> for $type {
            fn type_info() -> PgTypeInfo {
                <$held as sqlx::Type<Postgres>>::type_info()
            }
        }

        impl PgHasArrayType for $type {
            fn array_type_info() -> PgTypeInfo {
                <$held as PgHasArrayType>::array_type_info()
            }
        }

        impl Encode<'_, Postgres> for $type {
            fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
                <$held as Encode<'_, Postgres>>::encode_by_ref(&self.0, buffer)
            }
        })+
    };
}

transparent! { Id of Uuid, Bytes of Vec<u8>, }

/// Bytes of many rows as one parameter, out of which `substr` cuts each row's again. In JSON they would be twice as many to write and
/// to read, as hexadecimal digits, and as an array they would be copied into one more list.
pub(crate) struct Packed(pub(crate) Vec<u8>);

impl Packed {
    /// Of no row. Never without a byte, which SQLite's driver would bind as NULL.
    pub(crate) fn new() -> Self {
        Self(vec![0])
    }

    /// Adds a row's bytes and gives what `substr` needs: where they begin, counted from 1, and how many they are.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> (usize, usize) {
        let start = self.0.len() + 1;
        self.0.extend_from_slice(bytes);
        (start, bytes.len())
    }

    /// The same in the integers of PostgreSQL's `substr`. No database takes a parameter that they are too small for.
    pub(crate) fn cut(&mut self, bytes: &[u8]) -> (i32, i32) {
        let (start, length) = self.put(bytes);
        (i32::try_from(start).unwrap_or(i32::MAX), i32::try_from(length).unwrap_or(i32::MAX))
    }
}

/// What stands in a column of a row to write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    /// Nothing.
    Null,
    /// A number, or a truth as 1 or 0.
    Number(i64),
    /// A text.
    Text(&'a str),
    /// Bytes, or an id's.
    Bytes(&'a [u8]),
}

/// What a row to write may have in a column.
pub(crate) trait Field {
    /// As it stands there.
    fn cell(&self) -> Cell<'_>;
}

macro_rules! numbers {
    ($($type:ty)+) => {
        $(impl Field for $type {
            fn cell(&self) -> Cell<'_> {
                Cell::Number((*self).into())
            }
        })+
    };
}
numbers!(i64 i32 i16 bool);

impl Field for &str {
    fn cell(&self) -> Cell<'_> {
        Cell::Text(self)
    }
}

impl Field for String {
    fn cell(&self) -> Cell<'_> {
        Cell::Text(self)
    }
}

impl Field for Id {
    fn cell(&self) -> Cell<'_> {
        Cell::Bytes(self.0.as_bytes())
    }
}

impl Field for Bytes {
    fn cell(&self) -> Cell<'_> {
        Cell::Bytes(&self.0)
    }
}

impl<T: Field> Field for Option<T> {
    fn cell(&self) -> Cell<'_> {
        self.as_ref().map_or(Cell::Null, T::cell)
    }
}

/// A row to write in bulk.
pub(crate) trait BulkRow: Serialize + Sized {
    /// How each of its fields is read.
    fn fields() -> Vec<for<'r> fn(&'r Self) -> Cell<'r>>;

    /// Binds one array for each field, in their order, behind what is bound already.
    fn bind<'q>(query: Query<'q, Postgres, PgArguments>, rows: &[Self]) -> Query<'q, Postgres, PgArguments>;
}

/// Declares rows to write in bulk. They have no `Debug`, because they may be personal.
macro_rules! bulk_rows {
    ($($(#[$about:meta])* $name:ident $(<$life:lifetime>)? { $($field:ident: $type:ty,)+ })+) => {
        $(
            $(#[$about])*
            #[derive(Clone, PartialEq, Eq)]
            pub(crate) struct $name $(<$life>)? {
                $(pub(crate) $field: $type,)+
            }

            impl $(<$life>)? serde::Serialize for $name $(<$life>)? {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    use serde::ser::SerializeTuple as _;
                    let mut tuple = serializer.serialize_tuple([$(stringify!($field)),+].len())?;
                    $(tuple.serialize_element(&self.$field)?;)+
                    tuple.end()
                }
            }

            impl $(<$life>)? crate::row::BulkRow for $name $(<$life>)? {
                fn fields() -> Vec<for<'r> fn(&'r Self) -> crate::row::Cell<'r>> {
                    vec![$(|row| crate::row::Field::cell(&row.$field)),+]
                }

                fn bind<'q>(
                    query: sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>,
                    rows: &[Self],
                ) -> sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments> {
                    use sqlx::postgres::PgBindIterExt as _;
                    query$(.bind(rows.iter().map(|row| &row.$field).bind_iter()))+
                }
            }
        )+
    };
}
pub(crate) use bulk_rows;

#[cfg(test)]
mod tests {
    use super::*;

    bulk_rows! {
        /// A row of all kinds.
        Sample<'a> { text: &'a str, id: Id, other: Option<Id>, bytes: Bytes, number: i64, truth: bool, }
    }

    #[test]
    fn a_row_is_a_line_of_json() {
        let id = Id::of(&[7; 16]);
        let row =
            Sample { text: "は", id, other: None, bytes: Bytes(vec![0, 255]), number: -1, truth: true };
        let line = format!(r#"["は","{}",null,"00ff",-1,true]"#, "07".repeat(16));
        assert_eq!(serde_json::to_string(&row).unwrap(), line);
    }

    #[test]
    fn the_last_instants_read_back() {
        for time in [Timestamp::MAX, Timestamp::UNIX_EPOCH, Timestamp::MIN] {
            let kept = micros(time);
            assert_eq!(micros(instant(kept).unwrap()), kept);
        }
    }
}
