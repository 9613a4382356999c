//! How the wire is named and documented. A rule sees descriptors only, and speaks of the line in the `.proto` file.

use std::collections::BTreeMap;

use protox::prost_reflect::{
    EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor, MethodDescriptor, Syntax,
};

use super::FOLDER;
use super::comments::{Note, Notes};
use super::wire::{all_enums, all_messages};
use crate::finding::Finding;

const TIMESTAMP: &str = "google.protobuf.Timestamp";
const SAY_IT: &str = "say in a comment what it is for";

/// Every rule on every file.
pub(super) fn check(files: &[FileDescriptor]) -> Vec<Finding> {
    let users = users(files);
    let mut findings = Vec::new();
    for file in files {
        let mut linter = Linter { file, notes: Notes::of(file), findings: &mut findings };
        linter.file();
        for service in file.services() {
            if !service.name().ends_with("Service") {
                let problem = format!("{} is not named as a service", service.name());
                linter.found(service.path(), problem, "end its name in Service");
            }
            linter.documented(service.path(), service.name());
            for method in service.methods() {
                linter.method(&method, &users);
            }
        }
        for message in all_messages(file) {
            linter.message(&message, &users);
        }
        for enumeration in all_enums(file) {
            linter.enumeration(&enumeration);
        }
    }
    findings
}

/// By full name of a message, the RPCs whose request it is and whose response it is.
#[derive(Default)]
struct Users {
    requests: BTreeMap<String, Vec<String>>,
    responses: BTreeMap<String, Vec<String>>,
}

fn users(files: &[FileDescriptor]) -> Users {
    let mut users = Users::default();
    for method in files
        .iter()
        .flat_map(FileDescriptor::services)
        .flat_map(|service| service.methods().collect::<Vec<_>>())
    {
        let name = method.full_name().to_owned();
        users.requests.entry(method.input().full_name().to_owned()).or_default().push(name.clone());
        users.responses.entry(method.output().full_name().to_owned()).or_default().push(name);
    }
    users
}

struct Linter<'a> {
    file: &'a FileDescriptor,
    notes: Notes,
    findings: &'a mut Vec<Finding>,
}

impl Linter<'_> {
    fn found(&mut self, path: &[i32], problem: String, remedy: impl Into<String>) {
        let place = format!("{FOLDER}/{}", self.file.name());
        self.findings.push(Finding::error(place, self.notes.at(path).line, problem, remedy));
    }

    fn documented(&mut self, path: &[i32], name: &str) -> Note {
        let note = self.notes.at(path);
        if note.comment.trim().is_empty() {
            self.found(path, format!("{name} has no comment"), SAY_IT);
        }
        note
    }

    fn file(&mut self) {
        let (file, package) = (self.file, self.file.package_name());
        let folder = file.name().rsplit_once('/').map_or("", |(folder, _)| folder);
        if folder.replace('/', ".") != package {
            let problem = format!("the package {package} is not the folder's, {folder}");
            self.found(&[], problem, "move the file, or name the package after its folder");
        }
        let parts: Vec<&str> = package.split('.').collect();
        let is_ours = matches!(parts.as_slice(), ["musubi", area, version]
            if is_snake_case(area) && super::wire::version_number(version).is_some());
        if !is_ours {
            self.found(
                &[],
                format!("the package {package} is not named as ours"),
                "name it musubi.<area>.v1",
            );
        }
        if file.syntax() != Syntax::Proto3 {
            self.found(&[], "the syntax is not proto3".to_owned(), "open with syntax = \"proto3\";");
        }
    }

    fn method(&mut self, method: &MethodDescriptor, users: &Users) {
        let (name, path) = (method.name(), method.path());
        let note = self.documented(path, name);
        for (word, remedy) in [
            ("Errors:", "add the line `Errors:` with the codes, when each comes, and what the caller does"),
            ("Repeatable:", "add the line `Repeatable:` that says whether a second call changes anything"),
        ] {
            if !note.has_line(word) {
                self.found(path, format!("{name} does not say `{word}`"), remedy);
            }
        }
        for (message, ending) in [(method.input(), "Request"), (method.output(), "Response")] {
            let expected = format!("{name}{ending}");
            if message.name() != expected || message.package_name() != self.file.package_name() {
                let problem = format!("{name} has {} where {expected} belongs", message.full_name());
                self.found(
                    path,
                    problem,
                    "give each RPC a request and a response of its own, in its package",
                );
            }
            let count =
                |users: &BTreeMap<String, Vec<String>>| users.get(message.full_name()).map_or(0, Vec::len);
            if count(&users.requests) + count(&users.responses) > 1 {
                let problem = format!("{} serves more than one RPC", message.name());
                self.found(
                    path,
                    problem,
                    "give each RPC a request and a response of its own, in its package",
                );
            }
        }
    }

    fn message(&mut self, message: &MessageDescriptor, users: &Users) {
        self.documented(message.path(), message.name());
        let is_request = users.requests.contains_key(message.full_name());
        for field in message.fields() {
            self.field(&field, &format!("{}.{}", message.name(), field.name()), is_request);
        }
    }

    fn field(&mut self, field: &FieldDescriptor, name: &str, of_request: bool) {
        let path = field.path();
        let note = self.notes.at(path);
        if of_request {
            self.documented(path, name);
        }
        if !is_snake_case(field.name()) {
            self.found(path, format!("{name} is not in snake_case"), "rename it before the wire is accepted");
        }
        let is_timestamp = matches!(field.kind(), Kind::Message(message) if message.full_name() == TIMESTAMP);
        if is_timestamp && !field.name().ends_with("_time") {
            self.found(
                path,
                format!("{name} is an instant by type and not by name"),
                "end its name in _time",
            );
        }
        if (field.is_list() || field.is_map()) && !note.has_cap() {
            self.found(path, format!("{name} does not say how many"), "say `at most N` in its comment");
        }
    }

    fn enumeration(&mut self, enumeration: &EnumDescriptor) {
        self.documented(enumeration.path(), enumeration.name());
        let prefix = upper_snake_case(enumeration.name());
        let zero = format!("{prefix}_UNSPECIFIED");
        for value in enumeration.values() {
            if value.number() == 0 && value.name() != zero {
                let problem = format!("{} is the zero of {}", value.name(), enumeration.name());
                self.found(
                    value.path(),
                    problem,
                    format!("name it {zero}; a value that means something is not 0"),
                );
            } else if !value.name().starts_with(&format!("{prefix}_")) {
                let problem = format!("{} does not begin with its enum", value.name());
                self.found(value.path(), problem, format!("name it {prefix}_{}", value.name()));
            }
        }
    }
}

fn is_snake_case(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    name.starts_with(|first: char| first.is_ascii_lowercase()) && name.split('_').all(is_part)
}

/// `IdentityMethod` to `IDENTITY_METHOD`, `RCSKind` to `RCS_KIND`.
fn upper_snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut result = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let after_lower = index > 0 && !letters[index - 1].is_ascii_uppercase();
        let before_lower = letters.get(index + 1).is_some_and(char::is_ascii_lowercase);
        if index > 0 && letter.is_ascii_uppercase() && (after_lower || before_lower) {
            result.push('_');
        }
        result.push(letter.to_ascii_uppercase());
    }
    result
}

#[cfg(test)]
mod tests {
    use super::super::compiled;
    use super::*;

    const HEAD: &str = "syntax = \"proto3\"; package musubi.type.v1;";

    /// What is found in `body`, put below the head of a good file.
    fn found(body: &str) -> Vec<String> {
        in_file("musubi/type/v1/a.proto", &format!("{HEAD}{body}"))
    }

    fn in_file(name: &str, source: &str) -> Vec<String> {
        check(&compiled(&[(name, source)])).into_iter().map(|finding| finding.problem).collect()
    }

    fn service(comment: &str, method: &str, messages: &str) -> String {
        format!("\n// S.\nservice AService {{\n{comment}\n{method}\n}}\n{messages}")
    }

    const COMMENT: &str = "// Sends.\n// Errors: none.\n// Repeatable: yes.";
    const PAIR: &str = "// A.\nmessage SendRequest {}\n// A.\nmessage SendResponse {}\n";

    #[test]
    fn good_wire_has_no_finding() {
        let method = "rpc Send(SendRequest) returns (stream SendResponse);";
        assert!(found(&service(COMMENT, method, PAIR)).is_empty());
    }

    #[test]
    fn file_stands_in_the_folder_of_its_package() {
        let source = "syntax = \"proto3\"; package musubi.company.v1;";
        assert!(in_file("musubi/company/v1/a.proto", source).is_empty());
        assert_eq!(
            in_file("musubi/carrier/v1/a.proto", source),
            ["the package musubi.company.v1 is not the folder's, musubi/carrier/v1"]
        );
    }

    #[test]
    fn package_is_ours_and_has_a_version() {
        for (name, package) in [("other/a/v1/a.proto", "other.a.v1"), ("musubi/a/a.proto", "musubi.a")] {
            let source = format!("syntax = \"proto3\"; package {package};");
            assert_eq!(in_file(name, &source), [format!("the package {package} is not named as ours")]);
        }
    }

    #[test]
    fn proto2_is_refused() {
        let source = "syntax = \"proto2\"; package musubi.type.v1;";
        assert_eq!(in_file("musubi/type/v1/a.proto", source), ["the syntax is not proto3"]);
    }

    #[test]
    fn service_is_named_as_one() {
        assert_eq!(found("\n// Sends.\nservice Sender {}"), ["Sender is not named as a service"]);
    }

    #[test]
    fn rpc_says_its_errors_and_whether_it_repeats() {
        let method = "rpc Send(SendRequest) returns (SendResponse);";
        assert_eq!(
            found(&service("// Sends. Errors: none.", method, PAIR)),
            ["Send does not say `Errors:`", "Send does not say `Repeatable:`"]
        );
    }

    #[test]
    fn rpc_has_a_request_and_a_response_named_after_it() {
        let messages = "// A.\nmessage Order {}\n// A.\nmessage SendResponse {}\n";
        let method = "rpc Send(Order) returns (SendResponse);";
        assert_eq!(
            found(&service(COMMENT, method, messages)),
            ["Send has musubi.type.v1.Order where SendRequest belongs"]
        );
    }

    #[test]
    fn two_rpcs_never_share_a_message() {
        let method = "rpc Send(SendRequest) returns (SendResponse);";
        let source = format!(
            "{}\n// T.\nservice BService {{\n{COMMENT}\n{method}\n}}",
            service(COMMENT, method, PAIR)
        );
        let shared = found(&source).iter().filter(|problem| problem.contains("more than one RPC")).count();
        assert_eq!(shared, 4);
    }

    #[test]
    fn declaration_without_a_comment_is_found() {
        assert_eq!(found("\nmessage A {}"), ["A has no comment"]);
        assert_eq!(found("\nenum A { A_UNSPECIFIED = 0; }"), ["A has no comment"]);
        assert_eq!(found("\nservice AService {}"), ["AService has no comment"]);
        let messages =
            "// A.\nmessage SendRequest { string b = 1; }\n// A.\nmessage SendResponse { string c = 1; }\n";
        let method = "rpc Send(SendRequest) returns (SendResponse);";
        assert_eq!(found(&service(COMMENT, method, messages)), ["SendRequest.b has no comment"]);
    }

    #[test]
    fn nested_declarations_are_seen() {
        assert_eq!(found("\n// A.\nmessage A { message B { enum C { C_UNSPECIFIED = 0; } } }").len(), 2);
    }

    #[test]
    fn field_names_are_snake_case() {
        assert_eq!(found("\n// A.\nmessage A { string fullName = 1; }"), ["A.fullName is not in snake_case"]);
        assert_eq!(found("\n// A.\nmessage A { string a__b = 1; }"), ["A.a__b is not in snake_case"]);
    }

    #[test]
    fn instants_end_in_time() {
        let body = "import \"google/protobuf/timestamp.proto\";\n// A.\nmessage A { google.protobuf.Timestamp NAME = 1; }";
        assert_eq!(
            found(&body.replace("NAME", "expires")),
            ["A.expires is an instant by type and not by name"]
        );
        assert!(found(&body.replace("NAME", "expire_time")).is_empty());
    }

    #[test]
    fn repeated_fields_and_maps_say_how_many() {
        assert_eq!(found("\n// A.\nmessage A { repeated string b = 1; }"), ["A.b does not say how many"]);
        assert_eq!(found("\n// A.\nmessage A { map<string, string> b = 1; }"), ["A.b does not say how many"]);
        assert!(found("\n// A.\nmessage A {\n  // At most 1,000.\n  repeated string b = 1;\n}").is_empty());
    }

    #[test]
    fn zero_of_an_enum_means_nothing() {
        assert_eq!(
            found("\n// A.\nenum SendKind { SEND_KIND_FAST = 0; }"),
            ["SEND_KIND_FAST is the zero of SendKind"]
        );
    }

    #[test]
    fn values_begin_with_their_enum() {
        let body = "\n// A.\nenum SendKind { SEND_KIND_UNSPECIFIED = 0; FAST = 1; }";
        assert_eq!(found(body), ["FAST does not begin with its enum"]);
        assert_eq!(upper_snake_case("RCSKind"), "RCS_KIND");
        assert_eq!(upper_snake_case("IdentityMethod"), "IDENTITY_METHOD");
        assert_eq!(upper_snake_case("Sha256Digest"), "SHA256_DIGEST");
    }

    #[test]
    fn finding_names_the_line_of_the_declaration() {
        let source = format!("{HEAD}\n\n// A.\nmessage A {{\n  string fullName = 1;\n}}");
        let found = check(&compiled(&[("musubi/type/v1/a.proto", &source)]));
        assert_eq!((found[0].path.as_str(), found[0].line), ("proto/musubi/type/v1/a.proto", 5));
    }
}
