//! What the contracts ask for, read from their descriptors.
//!
//! Surprising: some fields can't be wrong, and need no probe: a bool is one or the other, and an empty message says nothing but
//! its name.

use std::collections::{BTreeSet, HashMap};

use musubi_proto::DESCRIPTORS;
use prost::Message as _;
use prost_types::{
    DescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

/// Fields of which every value is right.
const FREE: [&str; 1] = ["CreateDistribution: messages_per_second"];

/// A method of a service.
#[derive(Clone, Debug)]
pub(crate) struct Method {
    /// For example `musubi.carrier.v1.HandsetService`.
    pub(crate) service: String,
    /// For example `SubmitActions`.
    pub(crate) name: String,
    /// Its request's type, for example `.musubi.carrier.v1.SubmitActionsRequest`.
    request: String,
}

fn descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(DESCRIPTORS).unwrap()
}

/// Every method of every service.
pub(crate) fn methods() -> Vec<Method> {
    let mut methods = Vec::new();
    for file in descriptors().file {
        for service in &file.service {
            let full = format!("{}.{}", file.package(), service.name());
            methods.extend(service.method.iter().map(|method| Method {
                service: full.clone(),
                name: method.name().to_owned(),
                request: method.input_type().to_owned(),
            }));
        }
    }
    assert!(methods.len() > 25, "the descriptors hold {} methods", methods.len());
    methods
}

/// Every field of every request that can be wrong, as `Method: path`; a `oneof` stands under its own name too.
pub(super) fn fields() -> BTreeSet<String> {
    let messages: HashMap<String, DescriptorProto> = descriptors()
        .file
        .into_iter()
        .flat_map(|file| {
            let package = file.package().to_owned();
            file.message_type
                .into_iter()
                .map(move |message| (format!(".{package}.{}", message.name()), message))
        })
        .collect();
    let mut fields = BTreeSet::new();
    for method in methods() {
        walk(&messages, &method.request, "", &mut |path| {
            fields.insert(format!("{}: {path}", method.name));
        });
    }
    for free in FREE {
        assert!(fields.remove(free), "{free} is no field any more");
    }
    fields
}

fn walk(messages: &HashMap<String, DescriptorProto>, of: &str, under: &str, found: &mut dyn FnMut(&str)) {
    let message = &messages[of];
    for oneof in &message.oneof_decl {
        // A suggestion without an action is a plain reply.
        if of != ".musubi.type.v1.Suggestion" {
            found(&format!("{under}{}", oneof.name()));
        }
    }
    for field in &message.field {
        let path = format!("{under}{}", field.name());
        let inner = field.type_name().starts_with(".musubi.") && field.r#type() == Type::Message;
        if field.label() == Label::Repeated || !(inner || field.r#type() == Type::Bool) {
            found(&path);
        }
        if inner {
            walk(messages, field.type_name(), &format!("{path}."), found);
        }
    }
}
