//! Templates of distributions: a text with typed variables.
//!
//! Rendered in one pass: values are never scanned again, so a value that looks like a variable stays text. Checked when made:
//! a template that was accepted can't fail to render values that were accepted.

use std::fmt::Write as _;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{
    Error,
    content::{CARD_TEXT_LIMIT, Card, Content, Suggestion, TEXT_LIMIT},
    error::shape,
};

/// The most variables of one template.
pub const VARIABLES_LIMIT: usize = 50;
/// The longest text value, in characters.
pub const VALUE_LIMIT: usize = 200;

/// What values a variable takes, and how they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VariableKind {
    /// 1 to [`VALUE_LIMIT`] characters without control characters; shown as it is.
    Text,
    /// A whole number; shown with thousands separators.
    Integer,
    /// Yen, a whole number; shown as 1,234円.
    Yen,
    /// `YYYY-MM-DD`; shown as 2026年11月23日.
    Date,
}

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// 1 to 40 of a-z, 0-9 and underscore.
    pub name: String,
    /// Its kind.
    pub kind: VariableKind,
}

/// A template that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
    suggestions: Vec<Suggestion>,
    variables: Vec<Variable>,
    card: Option<Card>,
    /// The most characters that the text is shown with.
    longest: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(usize),
}

impl Template {
    /// Checks a template.
    ///
    /// # Errors
    /// Names `text`, `variables[i]…` or `suggestions[i]…`.
    pub fn parse(text: &str, suggestions: Vec<Suggestion>, variables: Vec<Variable>) -> Result<Self, Error> {
        check_variables(&variables)?;
        let parts = split(text, &variables)?;
        if let Some(index) = (0..variables.len()).find(|index| !parts.contains(&Part::Variable(*index))) {
            return Err(Error::invalid(
                format!("variables[{index}].name"),
                "the text does not use this variable",
                "use it in the text as {name}, or leave it out",
            ));
        }
        let content = Content { text: text.to_owned(), suggestions, card: None };
        content.check()?;
        let longest = parts.iter().map(|part| match part {
            Part::Text(text) => text.chars().count(),
            Part::Variable(index) => variables[*index].kind.longest(),
        });
        let longest: usize = longest.sum();
        check_length(longest, TEXT_LIMIT)?;
        let Content { text, suggestions, card } = content;
        Ok(Self { text, parts, suggestions, variables, card, longest })
    }

    /// The same as a card; its title and address hold no variables.
    ///
    /// # Errors
    /// Names `card…`, or `text` when it is too long for a card.
    pub fn with_card(self, card: Option<Card>) -> Result<Self, Error> {
        if let Some(card) = &card {
            let content = Content { text: "a".to_owned(), suggestions: Vec::new(), card: Some(card.clone()) };
            content.check()?;
            check_length(self.longest, CARD_TEXT_LIMIT)?;
        }
        Ok(Self { card, ..self })
    }

    /// What makes it a card.
    #[must_use]
    pub const fn card(&self) -> Option<&Card> {
        self.card.as_ref()
    }

    /// The text as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The buttons.
    #[must_use]
    pub fn suggestions(&self) -> &[Suggestion] {
        &self.suggestions
    }

    /// The variables, in the order in which values are given.
    #[must_use]
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Checks one customer's values, in the order of the variables.
    ///
    /// # Errors
    /// Names `values` or `values[name]`, with the value's shape.
    pub fn check_values(&self, values: &[String]) -> Result<(), Error> {
        if values.len() != self.variables.len() {
            return Err(Error::invalid(
                "values",
                format!("{} values for {} variables", values.len(), self.variables.len()),
                "give one value for each variable, in the template's order",
            ));
        }
        self.variables.iter().zip(values).try_for_each(|(variable, value)| {
            variable.kind.show(value, &mut String::new()).map_err(|(problem, remedy)| {
                Error::invalid(format!("values[{}]", variable.name), problem, remedy)
            })
        })
    }

    /// The message with these values.
    ///
    /// # Errors
    /// As [`Self::check_values`]: never for values that it accepted.
    pub fn render(&self, values: &[String]) -> Result<Content, Error> {
        self.check_values(values)?;
        let mut text = String::with_capacity(self.text.len() * 2);
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Variable(index) => {
                    let _ = self.variables[*index].kind.show(&values[*index], &mut text);
                }
            }
        }
        Ok(Content { text, suggestions: self.suggestions.clone(), card: self.card.clone() })
    }
}

fn check_length(longest: usize, limit: usize) -> Result<(), Error> {
    if longest <= limit {
        return Ok(());
    }
    Err(Error::invalid(
        "text",
        format!("up to {longest} characters with the longest values"),
        format!("shorten it so that it stays within {limit} characters"),
    ))
}

impl VariableKind {
    /// The most characters that a value is shown with.
    const fn longest(self) -> usize {
        match self {
            Self::Text => VALUE_LIMIT,
            Self::Integer => 26,
            Self::Yen => 27,
            Self::Date => 11,
        }
    }

    fn show(self, value: &str, into: &mut String) -> Result<(), (String, &'static str)> {
        let wrong = |remedy| (shape(value), remedy);
        match self {
            Self::Text => {
                let length = value.chars().count();
                let unfit = |c: char| c.is_control() && c != '\n' || is_bidi_control(c);
                if length == 0 || length > VALUE_LIMIT || value.chars().any(unfit) {
                    return Err(wrong("write 1 to 200 characters without control characters"));
                }
                into.push_str(value);
            }
            Self::Integer | Self::Yen => {
                let number: i64 = value
                    .trim()
                    .parse()
                    .map_err(|_| wrong("write a whole number in digits, without separators"))?;
                push_grouped(number, into);
                if self == Self::Yen {
                    into.push('円');
                }
            }
            Self::Date => {
                let date: Date = value.trim().parse().map_err(|_| wrong("write a date as YYYY-MM-DD"))?;
                let _ = write!(into, "{}年{}月{}日", date.year(), date.month(), date.day());
            }
        }
        Ok(())
    }
}

/// Characters that reorder text around them.
const fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

fn push_grouped(number: i64, into: &mut String) {
    if number < 0 {
        into.push('-');
    }
    let digits = number.unsigned_abs().to_string();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            into.push(',');
        }
        into.push(digit);
    }
}

fn check_variables(variables: &[Variable]) -> Result<(), Error> {
    if variables.len() > VARIABLES_LIMIT {
        return Err(Error::invalid(
            "variables",
            format!("{} variables", variables.len()),
            format!("give at most {VARIABLES_LIMIT}"),
        ));
    }
    for (index, variable) in variables.iter().enumerate() {
        let name = &variable.name;
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let field = || format!("variables[{index}].name");
        if name.is_empty() || name.len() > 40 || !name.bytes().all(fits) {
            return Err(Error::invalid(field(), shape(name), "write 1 to 40 of a-z, 0-9 and underscore"));
        }
        if variables[..index].iter().any(|earlier| earlier.name == *name) {
            return Err(Error::invalid(field(), "the name stands twice", "name each variable once"));
        }
    }
    Ok(())
}

/// Takes a text apart: `{name}` is a variable, `{{` and `}}` are braces.
fn split(text: &str, variables: &[Variable]) -> Result<Vec<Part>, Error> {
    let wrong = |problem: &str| {
        Error::invalid("text", problem, "write {name} for a variable and {{ or }} for a brace")
    };
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(place) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(place);
        literal.push_str(before);
        if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
            literal.push_str(&brace[..1]);
            rest = after;
            continue;
        }
        let inside = brace.strip_prefix('{').ok_or_else(|| wrong("a closing brace stands alone"))?;
        let (name, after) = inside.split_once('}').ok_or_else(|| wrong("an opening brace is not closed"))?;
        let index = variables
            .iter()
            .position(|variable| variable.name == name)
            .ok_or_else(|| wrong("it uses a variable that is not declared"))?;
        parts.push(Part::Text(std::mem::take(&mut literal)));
        parts.push(Part::Variable(index));
        rest = after;
    }
    literal.push_str(rest);
    parts.push(Part::Text(literal));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn template(text: &str, variables: &[(&str, VariableKind)]) -> Result<Template, Error> {
        let variables =
            variables.iter().map(|(name, kind)| Variable { name: (*name).to_owned(), kind: *kind }).collect();
        Template::parse(text, vec![], variables)
    }

    fn strings(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn values_are_shown_by_their_kind() {
        let kinds = [
            ("name", VariableKind::Text),
            ("points", VariableKind::Integer),
            ("due", VariableKind::Yen),
            ("day", VariableKind::Date),
        ];
        let template = template("{name}様 {points}点 {due} {day} {{x}}", &kinds).unwrap();
        let content = template.render(&strings(&["山田", "-1234567", "980", "2026-11-03"])).unwrap();
        assert_eq!(content.text, "山田様 -1,234,567点 980円 2026年11月3日 {x}");
    }

    #[test]
    fn bad_templates_name_their_fault() {
        let text = VariableKind::Text;
        for (source, variables, field) in [
            ("{", vec![], "text"),
            ("}", vec![], "text"),
            ("{a}", vec![], "text"),
            ("a", vec![("a", text)], "variables[0].name"),
            ("{a}", vec![("a", text), ("a", text)], "variables[1].name"),
            ("{A}", vec![("A", text)], "variables[0].name"),
            ("", vec![], "text"),
            (&"{a}".repeat(16), vec![("a", text)], "text"),
        ] {
            assert_eq!(template(source, &variables).unwrap_err().field, field, "{source}");
        }
    }

    #[test]
    fn bad_values_name_their_variable_and_not_themselves() {
        for (kind, value) in [
            (VariableKind::Text, ""),
            (VariableKind::Text, "a\u{202e}b"),
            (VariableKind::Text, "a\u{7}"),
            (VariableKind::Integer, "1,234"),
            (VariableKind::Yen, "９８０円"),
            (VariableKind::Date, "2026-02-30"),
        ] {
            let template = template("{v}", &[("v", kind)]).unwrap();
            let error = template.check_values(&strings(&[value])).unwrap_err();
            assert_eq!(error.field, "values[v]");
            assert!(value.is_empty() || !error.to_string().contains(value));
        }
        assert_eq!(template("a", &[]).unwrap().check_values(&strings(&["x"])).unwrap_err().field, "values");
    }

    proptest! {
        #[test]
        fn values_are_never_scanned_again(value in "[a-z{}]{1,40}") {
            let template = template("<{v}>", &[("v", VariableKind::Text)]).unwrap();
            prop_assert_eq!(template.render(std::slice::from_ref(&value)).unwrap().text, format!("<{value}>"));
        }
    }
}
