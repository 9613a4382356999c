//! Templates as text in tables: JSON, and checked again when they are read.

use musubi_domain::{
    Error,
    content::{Action, Card, Suggestion},
    template::{Template, Variable},
};
use serde::{Deserialize, Serialize};

use crate::StoreError;

#[derive(Serialize, Deserialize)]
struct StoredTemplate {
    text: String,
    suggestions: Vec<StoredSuggestion>,
    variables: Vec<Variable>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    card: Option<StoredCard>,
}

#[derive(Serialize, Deserialize)]
struct StoredCard {
    title: Option<String>,
    image_url: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredSuggestion {
    label: String,
    postback: String,
    action: Option<StoredAction>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredAction {
    OpenUrl { url: String, webview: bool },
    Dial { phone_number: String },
}

/// A template as a table keeps it.
pub(crate) fn to_text(template: &Template) -> Result<String, StoreError> {
    let suggestions = template.suggestions().iter().map(|suggestion| StoredSuggestion {
        label: suggestion.label.clone(),
        postback: suggestion.postback.clone(),
        action: suggestion.action.as_ref().map(|action| match action {
            Action::OpenUrl { url, webview } => StoredAction::OpenUrl { url: url.clone(), webview: *webview },
            Action::Dial(number) => StoredAction::Dial { phone_number: number.as_str().to_owned() },
        }),
    });
    let stored = StoredTemplate {
        text: template.text().to_owned(),
        suggestions: suggestions.collect(),
        variables: template.variables().to_vec(),
        card: template.card().map(|Card { title, image_url }| StoredCard {
            title: title.clone(),
            image_url: image_url.clone(),
        }),
    };
    serde_json::to_string(&stored)
        .map_err(|error| StoreError::Corrupt(format!("a template can't be written: {error}")))
}

/// A template that a table kept.
pub(crate) fn from_text(text: &str) -> Result<Template, StoreError> {
    let corrupt =
        |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("a template can't be read: {error}"));
    let stored: StoredTemplate = serde_json::from_str(text).map_err(|error| corrupt(&error))?;
    let suggestions = stored.suggestions.into_iter().map(|suggestion| {
        let action = suggestion.action.map(|action| match action {
            StoredAction::OpenUrl { url, webview } => Ok(Action::OpenUrl { url, webview }),
            StoredAction::Dial { phone_number } => phone_number.parse().map(Action::Dial),
        });
        Ok(Suggestion { label: suggestion.label, postback: suggestion.postback, action: action.transpose()? })
    });
    let card = stored.card.map(|StoredCard { title, image_url }| Card { title, image_url });
    let suggestions: Result<_, Error> = suggestions.collect();
    suggestions
        .and_then(|suggestions| Template::parse(&stored.text, suggestions, stored.variables)?.with_card(card))
        .map_err(|error| corrupt(&error))
}

#[cfg(test)]
mod tests {
    use musubi_domain::template::VariableKind;

    use super::*;

    #[test]
    fn a_template_survives_its_table() {
        let button =
            |label: &str, action| Suggestion { label: label.to_owned(), postback: "p".to_owned(), action };
        let suggestions = vec![
            button("はい", None),
            button("開く", Some(Action::OpenUrl { url: "https://a.example/".to_owned(), webview: true })),
            button("電話", Some(Action::Dial("+818012345678".parse().unwrap()))),
        ];
        let variables = vec![Variable { name: "due".to_owned(), kind: VariableKind::Yen }];
        let template = Template::parse("{due} {{x}}", suggestions, variables).unwrap();
        assert_eq!(from_text(&to_text(&template).unwrap()).unwrap(), template);
        let card =
            Card { title: Some("題".to_owned()), image_url: Some("https://a.example/x.png".to_owned()) };
        let template = template.with_card(Some(card)).unwrap();
        assert_eq!(from_text(&to_text(&template).unwrap()).unwrap(), template);
        assert!(from_text("{}").is_err());
    }
}
