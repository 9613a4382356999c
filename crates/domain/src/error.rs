//! The one error that crosses a node's border: a kind, the field at fault, what is wrong, and the remedy.
//!
//! Modules have enums of their own and turn them into this at their door. A personal value never stands in any of its texts:
//! say the shape of what came ("12 characters with letters"), not the thing.

use std::fmt;

/// What sort of failure it is; decides the gRPC code, and whether repeating helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong by itself; repeating it is in vain.
    InvalidArgument,
    /// What it names doesn't exist, or isn't the caller's.
    NotFound,
    /// What it would make exists, and is another.
    AlreadyExists,
    /// It isn't possible in the present state.
    FailedPrecondition,
    /// The caller isn't known.
    Unauthenticated,
    /// The caller is known and may not do this.
    PermissionDenied,
    /// Too much at once: slow down and repeat.
    ResourceExhausted,
    /// Something that is needed doesn't answer; nothing was acknowledged. Repeat.
    Unavailable,
    /// A fault of ours.
    Internal,
}

/// An error as a caller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What sort of failure.
    pub kind: ErrorKind,
    /// The field at fault, as the request or file names it; empty when there is none.
    pub field: String,
    /// What is wrong: lowercase, no full stop, no personal value.
    pub problem: String,
    /// What the caller can do; empty when nothing.
    pub remedy: String,
}

impl Error {
    /// An error about one field.
    pub fn invalid(field: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::InvalidArgument,
            field: field.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// An error of another kind, about no field.
    pub fn new(kind: ErrorKind, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, field: String::new(), problem: problem.into(), remedy: remedy.into() }
    }

    /// The same error, about this field.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = field.into();
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.problem)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// The shape of a value that may be personal, for errors: its length and what it is made of, never the value.
#[must_use]
pub fn shape(value: &str) -> String {
    if value.is_empty() {
        return "empty".to_owned();
    }
    let count = value.chars().count();
    let mut kinds = Vec::new();
    let mut note = |present: bool, name: &'static str| {
        if present {
            kinds.push(name);
        }
    };
    note(value.chars().any(|c| c.is_ascii_digit()), "digits");
    note(value.chars().any(|c| c.is_ascii_alphabetic()), "Latin letters");
    note(value.chars().any(|c| c.is_alphanumeric() && !c.is_ascii()), "other letters");
    note(value.chars().any(char::is_control), "control characters");
    note(value.chars().any(|c| !c.is_alphanumeric() && !c.is_control()), "signs or spaces");
    format!("{count} character{} ({})", if count == 1 { "" } else { "s" }, kinds.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_names_what_a_value_is_made_of_and_not_the_value() {
        assert_eq!(shape(""), "empty");
        assert_eq!(shape("7"), "1 character (digits)");
        assert_eq!(shape("090-1234"), "8 characters (digits, signs or spaces)");
        assert_eq!(shape("山田A"), "3 characters (Latin letters, other letters)");
    }

    #[test]
    fn display_reads_field_problem_remedy() {
        let error = Error::invalid("phone_number", "not E.164", "write +81 and the number");
        assert_eq!(error.to_string(), "phone_number: not E.164; write +81 and the number");
    }
}
