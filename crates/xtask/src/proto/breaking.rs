//! What a change of the wire does to a peer that was built before it. Rules see two lists of lines and nothing else.
//!
//! A number is taken for ever: a field or value may go only when its number is reserved, and a reservation never goes.
//! A whole package may go when a later version of it exists.

use super::BASELINE;
use super::wire::{Item, Key, Wire, version_number};
use crate::finding::Finding;

/// What was accepted and does not hold any more.
pub(super) fn breaks(accepted: &Wire, now: &Wire) -> Vec<Finding> {
    let gone = |key: &Key| now.get(key).is_none() && !is_superseded(&key.owner, now);
    let owner_is_gone = |key: &Key| now.get(&Key { owner: key.owner.clone(), item: Item::Itself }).is_none();
    let mut findings = Vec::new();
    for (key, was) in accepted.lines() {
        let mut found = |problem: String, remedy: String| {
            findings.push(Finding::error(BASELINE, accepted.line_of(key), problem, remedy));
        };
        match (&key.item, now.get(key)) {
            (_, Some(is)) if is != was => {
                let remedy = "give back the old line, and add a new number, RPC or package version beside it";
                found(format!("{key} was `{was}` and is `{is}`"), remedy.to_owned());
            }
            (_, Some(_)) => {}
            (_, None) if !gone(key) => {}
            (Item::Itself, None) => {
                let remedy = "give it back, or bring the package's next version and drop this one whole";
                found(format!("{key} ({was}) is gone"), remedy.to_owned());
            }
            (_, None) if owner_is_gone(key) => {}
            (Item::Number(number), None) => {
                if !is_reserved(&key.owner, *number, *number, now) {
                    let remedy =
                        format!("write `reserved {number};` where it stood (and its name, in quotes)");
                    found(format!("{key} (`{was}`) is gone"), remedy);
                }
            }
            (Item::Rpc(_), None) => {
                let remedy = "give it back; an RPC goes only with its package's version";
                found(format!("{key} is gone"), remedy.to_owned());
            }
            (Item::Reserved(first, last), None) => {
                if !is_reserved(&key.owner, *first, *last, now) {
                    found(format!("{key} is not reserved any more"), "reserve it again".to_owned());
                }
            }
            (Item::ReservedName(_), None) => {
                found(format!("{key} is not reserved any more"), "reserve it again".to_owned());
            }
        }
    }
    findings
}

/// What changed without breaking anything and is not written down yet.
pub(super) fn stale(accepted: &Wire, now: &Wire) -> Option<Finding> {
    let added = now.lines().filter(|(key, _)| accepted.get(key).is_none());
    let removed = accepted.lines().filter(|(key, _)| now.get(key).is_none());
    let lines = |sign: &str, (key, value): (&Key, &str)| format!("\n    {sign} {key} {value}");
    let mut changes: Vec<String> = added.map(|line| lines("+", line)).collect();
    changes.extend(removed.map(|line| lines("-", line)));
    let problem =
        format!("the wire has changed in {} lines that are not accepted{}", changes.len(), changes.concat());
    let remedy = "`cargo xtask proto --accept` writes them; commit the file with the change";
    (!changes.is_empty()).then(|| Finding::error(BASELINE, 1, problem, remedy))
}

fn is_reserved(owner: &str, first: i64, last: i64, wire: &Wire) -> bool {
    wire.lines().any(|(key, _)| {
        key.owner == owner && matches!(key.item, Item::Reserved(from, to) if from <= first && last <= to)
    })
}

/// Nothing of the owner's package is left, and a later version of the package is there.
fn is_superseded(owner: &str, now: &Wire) -> bool {
    let Some((area, version)) = package(owner) else { return false };
    let mut versions =
        now.lines().filter_map(|(key, _)| package(&key.owner)).filter(|(other, _)| *other == area);
    let mut is_superseded = false;
    let is_left = versions.any(|(_, other)| {
        is_superseded |= other > version;
        other == version
    });
    is_superseded && !is_left
}

/// `musubi.type` and 1 for `musubi.type.v1.Content`.
fn package(owner: &str) -> Option<(&str, u32)> {
    let mut end = 0;
    for part in owner.split('.') {
        if let Some(version) = version_number(part).filter(|_| end > 0) {
            return Some((&owner[..end - 1], version));
        }
        end += part.len() + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::compiled;
    use super::*;
    use crate::finding::problems;

    fn wire(body: &str) -> Wire {
        Wire::of(&compiled(&[("a.proto", &format!("syntax = \"proto3\"; package musubi.a.v1; {body}"))]))
    }

    fn broken(before: &str, after: &str) -> Vec<String> {
        breaks(&wire(before), &wire(after)).into_iter().map(|finding| finding.problem).collect()
    }

    const MESSAGE: &str = "message M { string b = 1; string c = 2; }";

    #[test]
    fn addition_breaks_nothing_and_makes_the_baseline_stale() {
        let more = "message M { string b = 1; string c = 2; string d = 3; } message N {}";
        assert!(broken(MESSAGE, more).is_empty());
        let finding = stale(&wire(MESSAGE), &wire(more)).unwrap();
        assert!(finding.problem.starts_with("the wire has changed in 2 lines"), "{}", finding.problem);
        assert!(finding.problem.contains("+ musubi.a.v1.M 3 string d"), "{}", finding.problem);
        assert!(finding.remedy.contains("cargo xtask proto --accept"));
        assert_eq!(stale(&wire(MESSAGE), &wire(MESSAGE)), None);
    }

    #[test]
    fn field_goes_only_when_its_number_is_reserved() {
        assert_eq!(broken(MESSAGE, "message M { string b = 1; }"), ["musubi.a.v1.M 2 (`string c`) is gone"]);
        assert!(broken(MESSAGE, "message M { string b = 1; reserved 2; }").is_empty());
        assert!(broken(MESSAGE, "message M { string b = 1; reserved 2 to 7; }").is_empty());
    }

    #[test]
    fn reservation_never_goes() {
        let before = "message M { reserved 2 to 4; reserved \"c\"; }";
        assert_eq!(
            broken(before, "message M { reserved 2 to 3; }"),
            [
                "musubi.a.v1.M reserved 2 to 4 is not reserved any more",
                "musubi.a.v1.M reserved \"c\" is not reserved any more"
            ]
        );
        assert!(broken(before, "message M { reserved 1 to 9; reserved \"c\"; }").is_empty());
    }

    #[test]
    fn renumbered_retyped_renamed_and_relabelled_fields_break() {
        for after in [
            "message M { string b = 1; string c = 3; }",
            "message M { string b = 1; int32 c = 2; }",
            "message M { string b = 1; string d = 2; }",
            "message M { string b = 1; repeated string c = 2; }",
            "message M { string b = 1; oneof o { string c = 2; } }",
        ] {
            assert_eq!(broken(MESSAGE, after).len(), 1, "{after}");
        }
    }

    #[test]
    fn enum_value_goes_only_when_reserved() {
        let before = "enum E { E_UNSPECIFIED = 0; E_A = 1; }";
        assert_eq!(broken(before, "enum E { E_UNSPECIFIED = 0; }"), ["musubi.a.v1.E 1 (`E_A`) is gone"]);
        assert!(broken(before, "enum E { E_UNSPECIFIED = 0; reserved 1; }").is_empty());
    }

    #[test]
    fn rpc_neither_goes_nor_changes_its_stream() {
        let before = "message M {} service S { rpc Go(M) returns (M); }";
        assert_eq!(broken(before, "message M {} service S {}"), ["musubi.a.v1.S rpc Go is gone"]);
        assert_eq!(broken(before, "message M {} service S { rpc Go(M) returns (stream M); }").len(), 1);
    }

    #[test]
    fn message_that_goes_is_told_once() {
        assert_eq!(broken(MESSAGE, ""), ["musubi.a.v1.M (message) is gone"]);
    }

    #[test]
    fn package_goes_whole_when_its_next_version_is_there() {
        let next =
            Wire::of(&compiled(&[("a.proto", "syntax = \"proto3\"; package musubi.a.v2; message N {}")]));
        assert_eq!(breaks(&wire(MESSAGE), &next), []);
        let both = Wire::of(&compiled(&[
            ("a.proto", "syntax = \"proto3\"; package musubi.a.v1; message K {}"),
            ("b.proto", "syntax = \"proto3\"; package musubi.a.v2; message N {}"),
        ]));
        assert_eq!(breaks(&wire(MESSAGE), &both).len(), 1);
    }

    #[test]
    fn finding_points_at_the_accepted_line() {
        let found = breaks(&wire(MESSAGE), &wire("message M { string b = 1; }"));
        assert_eq!(problems(&found), ["proto/baseline.txt:4 musubi.a.v1.M 2 (`string c`) is gone"]);
    }
}
