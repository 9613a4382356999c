//! What the contracts ask for, read from their descriptors.
//!
//! Surprising: some fields can't be wrong, and need no probe: a bool is one or the other, and an empty message says nothing but
//! its name.

use std::collections::BTreeSet;

use musubi_proto::DESCRIPTORS;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

/// Fields of which every value is right.
const FREE: [&str; 1] = ["CreateDistribution: messages_per_second"];

/// A method of a service.
#[derive(Clone, Debug)]
pub(crate) struct Method {
    /// For example `musubi.carrier.v1.HandsetService`.
    pub(crate) service: String,
    /// For example `SubmitActions`.
    pub(crate) name: String,
    /// Its request.
    pub(super) request: MessageDescriptor,
}

/// Every method of every service.
pub(crate) fn methods() -> Vec<Method> {
    let mut methods = Vec::new();
    for service in DescriptorPool::decode(DESCRIPTORS).unwrap().services() {
        methods.extend(service.methods().map(|method| Method {
            service: service.full_name().to_owned(),
            name: method.name().to_owned(),
            request: method.input(),
        }));
    }
    assert!(methods.len() > 25, "the descriptors hold {} methods", methods.len());
    methods
}

/// Every field of every request that can be wrong, as `Method: path`; a `oneof` stands under its own name too.
pub(super) fn fields() -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for method in methods() {
        walk(&method.request, "", &mut |path, field| {
            let is_free = |field: &FieldDescriptor| {
                !field.is_list() && (field.kind() == Kind::Bool || ours(field).is_some())
            };
            if !field.is_some_and(is_free) {
                fields.insert(format!("{}: {path}", method.name));
            }
        });
    }
    for free in FREE {
        assert!(fields.remove(free), "{free} is no field any more");
    }
    fields
}

/// Tells every field of a message and of what stands in it, by its path, and every `oneof`, which is no field.
pub(super) fn walk(
    message: &MessageDescriptor,
    under: &str,
    found: &mut dyn FnMut(&str, Option<&FieldDescriptor>),
) {
    for oneof in message.oneofs() {
        // A suggestion without an action is a plain reply.
        if message.full_name() != "musubi.type.v1.Suggestion" {
            found(&format!("{under}{}", oneof.name()), None);
        }
    }
    for field in message.fields() {
        let path = format!("{under}{}", field.name());
        found(&path, Some(&field));
        if let Some(inner) = ours(&field) {
            walk(&inner, &format!("{path}."), found);
        }
    }
}

/// The message of our own that a field holds.
fn ours(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    field.kind().as_message().filter(|inner| inner.package_name().starts_with("musubi.")).cloned()
}
