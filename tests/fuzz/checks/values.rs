//! Templates, and the values file of a distribution.
//!
//! Surprising: the bytes are a template's text, a zero byte and a file. What stands in braces becomes a variable, of a kind that follows
//! from its name, so that templates are good more often than by chance.

use std::{collections::BTreeSet, io::Cursor};

use musubi_company_server::csv_text::CsvRows;
use musubi_domain::{
    content::{Suggestion, TEXT_LIMIT},
    template::{Template, Variable, VariableKind},
};

const KINDS: [VariableKind; 4] =
    [VariableKind::Text, VariableKind::Integer, VariableKind::Yen, VariableKind::Date];

pub(super) fn hold(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let text = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let file = parts.next().unwrap_or_default();
    let named = text.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let names: BTreeSet<&str> = named.collect();
    let variable = |name: &&str| Variable { name: (*name).to_owned(), kind: KINDS[name.len() % KINDS.len()] };
    let label = text.chars().take(20).collect();
    let buttons = vec![Suggestion { label, postback: "p".to_owned(), action: None }];
    let Ok(template) = Template::parse(&text, buttons, names.iter().map(variable).collect()) else { return };
    let columns: Vec<&str> = template.variables().iter().map(|variable| variable.name.as_str()).collect();
    let Ok(mut rows) = CsvRows::open(Cursor::new(file), &columns) else { return };
    while let Ok(Some(row)) = rows.next_row() {
        let Ok(values) = row.values() else { continue };
        let values: Vec<String> = values.map(str::to_owned).collect();
        match (template.check_values(&values), template.render(&values)) {
            (Ok(()), Ok(content)) => {
                assert!(content.text.chars().count() <= TEXT_LIMIT);
                assert_eq!(content.check(), Ok(()), "what was accepted can be sent");
            }
            (Err(refused), rendered) => assert_eq!(rendered, Err(refused)),
            (Ok(()), Err(error)) => panic!("accepted, and not rendered: {error}"),
        }
    }
}
