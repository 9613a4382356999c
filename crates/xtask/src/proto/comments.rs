//! The line and the comment of every declaration of one file. Protobuf keeps both beside the descriptors, keyed by a
//! path of numbers; a declaration counts as documented by a comment above it or behind it.

use std::collections::BTreeMap;

use protox::prost_reflect::FileDescriptor;

/// Where a declaration stands and what is written about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Note {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) comment: String,
}

impl Note {
    /// The comment has a line that starts with `word`.
    pub(crate) fn has_line(&self, word: &str) -> bool {
        self.comment.lines().any(|line| line.trim_start().starts_with(word))
    }

    /// The comment names a bound: "at most 1,000", "up to 11", "the first 100".
    pub(crate) fn has_cap(&self) -> bool {
        let comment = self.comment.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        ["at most ", "up to ", "the first "].iter().any(|words| {
            comment.match_indices(words).any(|(index, _)| {
                comment[index + words.len()..].starts_with(|first: char| first.is_ascii_digit())
            })
        })
    }
}

/// The notes of one file.
pub(crate) struct Notes(BTreeMap<Vec<i32>, Note>);

impl Notes {
    pub(crate) fn of(file: &FileDescriptor) -> Self {
        let info = file.file_descriptor_proto().source_code_info.as_ref();
        let locations = info.into_iter().flat_map(|info| &info.location);
        let note = |(path, span, comment): (&Vec<i32>, &Vec<i32>, String)| {
            let line = span.first().and_then(|&line| usize::try_from(line).ok()).unwrap_or_default() + 1;
            (path.clone(), Note { line, comment })
        };
        let comments = locations.map(|location| {
            let comment = [location.leading_comments(), location.trailing_comments()].join("\n");
            (&location.path, &location.span, comment)
        });
        Self(comments.map(note).collect())
    }

    /// The note of the declaration at this descriptor path.
    pub(crate) fn at(&self, path: &[i32]) -> Note {
        self.0.get(path).cloned().unwrap_or(Note { line: 1, comment: String::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::compiled;
    use super::*;

    fn note(comment: &str) -> Note {
        Note { line: 1, comment: comment.to_owned() }
    }

    #[test]
    fn comment_above_and_behind_both_count() {
        let source = "syntax = \"proto3\";\n// Above.\nmessage A {\n  string b = 1; // Behind.\n}\n";
        let file = &compiled(&[("a.proto", source)])[0];
        let (notes, message) = (Notes::of(file), file.messages().next().unwrap());
        assert_eq!(notes.at(message.path()).line, 3);
        assert_eq!(notes.at(message.path()).comment.trim(), "Above.");
        assert_eq!(notes.at(message.get_field(1).unwrap().path()).comment.trim(), "Behind.");
    }

    #[test]
    fn cap_is_a_number_after_at_most() {
        for comment in
            ["At most 1,000.", "the names,\n at most\n 10", "Up to 3 of them", "Bad rows, the first 100."]
        {
            assert!(note(comment).has_cap(), "{comment}");
        }
        for comment in ["At most once.", "1,000 names.", ""] {
            assert!(!note(comment).has_cap(), "{comment}");
        }
    }

    #[test]
    fn word_counts_only_at_the_start_of_a_line() {
        assert!(note(" Sends.\n\n Errors: NOT_FOUND.").has_line("Errors:"));
        assert!(!note(" Sends. Errors: NOT_FOUND.").has_line("Errors:"));
    }
}
