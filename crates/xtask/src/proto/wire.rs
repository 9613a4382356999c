//! The wire as a sorted list of lines, one for each thing that a peer depends on: what `proto/baseline.txt` holds.
//! Comments, file names and the order of declarations are no part of it, so only a change that a peer can see changes
//! a line. The text is the format: [`Wire`] reads exactly what it writes.
//!
//! ```text
//! musubi.carrier.v1.MessageService = service
//! musubi.carrier.v1.MessageService rpc SendMessages = (musubi…) returns (musubi…)
//! musubi.carrier.v1.OutgoingMessage = message
//! musubi.carrier.v1.OutgoingMessage 1 = string message_id
//! musubi.carrier.v1.OutgoingMessage reserved 4 to 5
//! musubi.carrier.v1.OutgoingMessage reserved "priority"
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use anyhow::Context as _;
use protox::prost_reflect::{EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};

const HEAD: &str = "# The wire as accepted: `cargo xtask proto --accept` writes this file, nobody edits it.";

/// What a line is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// The full name of a message, enum or service.
    pub(super) owner: String,
    pub(super) item: Item,
}

/// The part of the owner that a line is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    /// The owner: its value is `message`, `enum` or `service`.
    Itself,
    /// A field or an enum value: its value is type and name, or the name.
    Number(i64),
    /// Its value is the types of request and response.
    Rpc(String),
    /// Numbers that no field or value may take, both ends included; no value.
    Reserved(i64, i64),
    /// A name that no field or value may take; no value.
    ReservedName(String),
}

/// Every line of the wire, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wire(BTreeMap<Key, String>);

impl Wire {
    pub(super) fn of(files: &[FileDescriptor]) -> Self {
        let mut wire = Self::default();
        for file in files {
            for service in file.services() {
                wire.put(service.full_name(), Item::Itself, "service".to_owned());
                for method in service.methods() {
                    let stream = |is_stream| if is_stream { "stream " } else { "" };
                    let (input, output) = (method.input(), method.output());
                    let value = format!(
                        "({}{}) returns ({}{})",
                        stream(method.is_client_streaming()),
                        input.full_name(),
                        stream(method.is_server_streaming()),
                        output.full_name()
                    );
                    wire.put(service.full_name(), Item::Rpc(method.name().to_owned()), value);
                }
            }
            all_messages(file).iter().for_each(|message| wire.put_message(message));
            all_enums(file).iter().for_each(|enumeration| wire.put_enum(enumeration));
        }
        wire
    }

    fn put_message(&mut self, message: &MessageDescriptor) {
        let owner = message.full_name();
        self.put(owner, Item::Itself, "message".to_owned());
        for field in message.fields() {
            self.put(owner, Item::Number(field.number().into()), field_line(&field));
        }
        for range in message.reserved_ranges() {
            self.put(owner, Item::Reserved(range.start.into(), i64::from(range.end) - 1), String::new());
        }
        for name in message.reserved_names() {
            self.put(owner, Item::ReservedName(name.to_owned()), String::new());
        }
    }

    fn put_enum(&mut self, enumeration: &EnumDescriptor) {
        let owner = enumeration.full_name();
        self.put(owner, Item::Itself, "enum".to_owned());
        // The descriptor sorts its values; the declaration keeps an alias behind the name that it stands for.
        for value in &enumeration.enum_descriptor_proto().value {
            self.put(owner, Item::Number(value.number().into()), value.name().to_owned());
        }
        for range in enumeration.reserved_ranges() {
            let item = Item::Reserved((*range.start()).into(), (*range.end()).into());
            self.put(owner, item, String::new());
        }
        for name in enumeration.reserved_names() {
            self.put(owner, Item::ReservedName(name.to_owned()), String::new());
        }
    }

    /// An alias, a second name for one number of an enum, shares the line.
    fn put(&mut self, owner: &str, item: Item, value: String) {
        let key = Key { owner: owner.to_owned(), item };
        self.0.entry(key).and_modify(|other| *other = format!("{other}, {value}")).or_insert(value);
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = (&Key, &str)> {
        self.0.iter().map(|(key, value)| (key, value.as_str()))
    }

    pub(super) fn get(&self, key: &Key) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The line, from 1, of `key` in the text.
    pub(super) fn line_of(&self, key: &Key) -> usize {
        self.0.range(..key).count() + 2
    }
}

/// `repeated string message_ids`, `optional int32 age`, `map<string, string> values`, `string text in body`.
fn field_line(field: &FieldDescriptor) -> String {
    let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
    let place = oneof.as_ref().map(|oneof| format!(" in {}", oneof.name())).unwrap_or_default();
    let kind = field.kind();
    let kind = match kind.as_message().filter(|entry| entry.is_map_entry()) {
        Some(entry) => {
            let (key, value) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
            format!("map<{}, {}>", kind_name(&key), kind_name(&value))
        }
        None => kind_name(&kind),
    };
    let is_optional = field.field_descriptor_proto().proto3_optional();
    let label = match (field.is_list(), is_optional) {
        (true, _) => "repeated ",
        (false, true) => "optional ",
        (false, false) => "",
    };
    format!("{label}{kind} {}{place}", field.name())
}

/// `string`, `uint32`, `musubi.type.v1.Content`.
fn kind_name(kind: &Kind) -> String {
    let message = kind.as_message().map(|message| message.full_name().to_owned());
    let declared = message.or_else(|| kind.as_enum().map(|enumeration| enumeration.full_name().to_owned()));
    declared.unwrap_or_else(|| format!("{kind:?}").to_lowercase())
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        for (key, value) in self.lines() {
            let equals = if value.is_empty() { "" } else { " = " };
            writeln!(f, "{key}{equals}{value}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, item } = self;
        match item {
            Item::Itself => write!(f, "{owner}"),
            Item::Number(number) => write!(f, "{owner} {number}"),
            Item::Rpc(name) => write!(f, "{owner} rpc {name}"),
            Item::Reserved(first, last) => write!(f, "{owner} reserved {first} to {last}"),
            Item::ReservedName(name) => write!(f, "{owner} reserved \"{name}\""),
        }
    }
}

impl FromStr for Wire {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut wire = Self::default();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
            let (key, value) = line.split_once(" = ").unwrap_or((line, ""));
            let key = key
                .parse()
                .with_context(|| format!("line {}; restore the file from git, nobody edits it", index + 1))?;
            wire.0.insert(key, value.to_owned());
        }
        Ok(wire)
    }
}

impl FromStr for Key {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let (owner, item) = match words.as_slice() {
            [owner] => (owner, Item::Itself),
            [owner, number] => (owner, Item::Number(number.parse()?)),
            [owner, "rpc", name] => (owner, Item::Rpc((*name).to_owned())),
            [owner, "reserved", name] => (owner, Item::ReservedName(name.trim_matches('"').to_owned())),
            [owner, "reserved", first, "to", last] => (owner, Item::Reserved(first.parse()?, last.parse()?)),
            _ => anyhow::bail!("`{text}` is not a line of the wire"),
        };
        Ok(Self { owner: (*owner).to_owned(), item })
    }
}

/// The messages of a file, nested ones after their parents; a map's entry is no message of its own.
pub(super) fn all_messages(file: &FileDescriptor) -> Vec<MessageDescriptor> {
    let mut messages: Vec<MessageDescriptor> = file.messages().collect();
    let mut next = 0;
    while let Some(message) = messages.get(next).cloned() {
        messages.extend(message.child_messages().filter(|child| !child.is_map_entry()));
        next += 1;
    }
    messages
}

/// The enums of a file, nested ones too.
pub(super) fn all_enums(file: &FileDescriptor) -> Vec<EnumDescriptor> {
    let messages = all_messages(file);
    let nested = messages.iter().flat_map(|message| message.child_enums().collect::<Vec<_>>());
    file.enums().chain(nested).collect()
}

/// The 2 of `v2`.
pub(super) fn version_number(part: &str) -> Option<u32> {
    part.strip_prefix('v')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::compiled;
    use super::*;

    const SOURCE: &str = "syntax = \"proto3\"; package a.v1;
        service S { rpc Go(M) returns (stream M); }
        message M {
          reserved 4 to 5, 9;
          reserved \"old\";
          repeated E kinds = 1;
          map<string, M> by_name = 2;
          oneof body { string text = 3; }
          optional int32 age = 10;
        }
        enum E { option allow_alias = true; E_UNSPECIFIED = 0; E_OTHER = 0; reserved 7; }";

    const TEXT: &str = "a.v1.E = enum
a.v1.E 0 = E_UNSPECIFIED, E_OTHER
a.v1.E reserved 7 to 7
a.v1.M = message
a.v1.M 1 = repeated a.v1.E kinds
a.v1.M 2 = map<string, a.v1.M> by_name
a.v1.M 3 = string text in body
a.v1.M 10 = optional int32 age
a.v1.M reserved 4 to 5
a.v1.M reserved 9 to 9
a.v1.M reserved \"old\"
a.v1.S = service
a.v1.S rpc Go = (a.v1.M) returns (stream a.v1.M)
";

    #[test]
    fn each_thing_a_peer_depends_on_is_one_line() {
        assert_eq!(Wire::of(&compiled(&[("a.proto", SOURCE)])).to_string(), format!("{HEAD}\n{TEXT}"));
    }

    #[test]
    fn text_is_read_as_it_was_written() {
        let wire = Wire::of(&compiled(&[("a.proto", SOURCE)]));
        assert_eq!(wire.to_string().parse::<Wire>().unwrap(), wire);
    }

    #[test]
    fn line_of_a_key_is_its_line_in_the_text() {
        let wire: Wire = TEXT.parse().unwrap();
        let text = wire.to_string();
        for (key, _) in wire.lines() {
            let line = text.lines().nth(wire.line_of(key) - 1).unwrap();
            assert!(line.starts_with(&key.to_string()), "{line}");
        }
    }

    #[test]
    fn line_that_is_not_the_wires_is_told() {
        let error = format!("{:#}", format!("{HEAD}\na.v1.E zero").parse::<Wire>().unwrap_err());
        assert!(error.starts_with("line 2; restore the file from git"), "{error}");
    }
}
