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

/// What a value is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// 0 to 9.
    Digits,
    /// A to z.
    Latin,
    /// Any others.
    Letters,
    /// What has no shape on paper.
    Controls,
    /// Signs or spaces.
    Signs,
}

impl Made {
    const ALL: [Self; 5] = [Self::Digits, Self::Latin, Self::Letters, Self::Controls, Self::Signs];

    const fn word(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Latin => "Latin letters",
            Self::Letters => "other letters",
            Self::Controls => "control characters",
            Self::Signs => "signs or spaces",
        }
    }

    fn of(c: char) -> Self {
        match c {
            '0'..='9' => Self::Digits,
            'a'..='z' | 'A'..='Z' => Self::Latin,
            c if c.is_alphanumeric() => Self::Letters,
            c if c.is_control() => Self::Controls,
            _ => Self::Signs,
        }
    }
}

/// The shape of a value that may be personal: how many characters, and what it is made of; of nothing: none. Never the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(Option<(usize, Vec<Made>)>);

impl Shape {
    /// Of this value.
    #[must_use]
    pub fn of(value: &str) -> Self {
        if value.is_empty() {
            return Self(None);
        }
        let made = Made::ALL.into_iter().filter(|made| value.chars().any(|c| Made::of(c) == *made));
        Self(Some((value.chars().count(), made.collect())))
    }

    /// How many characters, and of what; none: it is empty.
    #[must_use]
    pub fn parts(&self) -> Option<(usize, &[Made])> {
        self.0.as_ref().map(|(count, made)| (*count, made.as_slice()))
    }

    /// The shape that a problem begins with, as [`shape`] wrote it.
    #[must_use]
    pub fn within(problem: &str) -> Option<Self> {
        if problem == "empty" || problem.starts_with("empty ") {
            return Some(Self(None));
        }
        let (count, rest) = problem.split_once(" character")?;
        let (made, _) = rest.strip_prefix("s (").or_else(|| rest.strip_prefix(" ("))?.split_once(')')?;
        let made = made.split(", ").map(|word| Made::ALL.into_iter().find(|made| made.word() == word));
        Some(Self(Some((count.parse().ok()?, made.collect::<Option<_>>()?))))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((count, made)) = &self.0 else { return f.write_str("empty") };
        let made: Vec<_> = made.iter().map(|made| made.word()).collect();
        write!(f, "{count} character{} ({})", if *count == 1 { "" } else { "s" }, made.join(", "))
    }
}

/// The shape of a value, for errors.
#[must_use]
pub fn shape(value: &str) -> String {
    Shape::of(value).to_string()
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
    fn a_shape_is_read_back_from_what_was_said_of_it() {
        for value in ["", "7", "090-1234", "山田A", "\t?", "１"] {
            let said = [shape(value), format!("{} is no number (1 to 9)", shape(value))];
            said.iter().for_each(|said| assert_eq!(Shape::within(said), Some(Shape::of(value)), "{said}"));
        }
        for other in ["2 rows", "a character (of mine)", "2 characters (green)", "many characters (digits)"] {
            assert_eq!(Shape::within(other), None, "{other}");
        }
    }

    #[test]
    fn display_reads_field_problem_remedy() {
        let error = Error::invalid("phone_number", "not E.164", "write +81 and the number");
        assert_eq!(error.to_string(), "phone_number: not E.164; write +81 and the number");
    }
}
