//! The files that a distribution is made of: texts, and values for each customer.
//!
//! Everything is checked before anything is sent: the templates by the very rules that the server has, and every value of the
//! file. Surprising: what a values file has to be is the company server's to know, whose console takes the same.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    str::FromStr,
};

use musubi_company_server::values::Values;
use musubi_domain::{
    Error,
    error::shape,
    template::{Template, Variable, VariableKind},
};

use super::unreadable;

/// A variable as the command line writes it: `name:kind`.
#[derive(Clone, Debug)]
pub(super) struct VariableArg(pub(super) Variable);

impl FromStr for VariableArg {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let kind = |kind| match kind {
            "text" => Some(VariableKind::Text),
            "integer" => Some(VariableKind::Integer),
            "yen" => Some(VariableKind::Yen),
            "date" => Some(VariableKind::Date),
            _ => None,
        };
        let parsed = text.split_once(':').and_then(|(name, word)| Some((name.to_owned(), kind(word)?)));
        let (name, kind) = parsed.ok_or_else(|| {
            let problem = format!("{} is no variable", shape(text));
            Error::invalid(
                "--variable",
                problem,
                "write name:kind with text, integer, yen or date, as points:integer",
            )
        })?;
        Ok(Self(Variable { name, kind }))
    }
}

/// A text from a file, or from standard input for `-`, without its last line break.
pub(super) fn text(argument: &str, path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => io::stdin().read_to_string(&mut text).map(drop),
        Some(_) | None => std::fs::read_to_string(path).map(|read| text = read),
    };
    read.map_err(|error| unreadable(argument, &error))?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    Ok(text.to_owned())
}

/// The values file of the command line.
pub(super) fn open_values(path: &Path, template: &Template) -> Result<Values, Error> {
    let file = File::open(path).map_err(|error| unreadable("--values", &error))?;
    Values::open(file, template).map_err(|error| {
        let field = format!("--values: {}", error.field);
        error.at(field)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_a_name_and_a_kind() {
        for wrong in ["points", "points:number", ":", ""] {
            assert!(wrong.parse::<VariableArg>().is_err(), "{wrong}");
        }
    }
}
