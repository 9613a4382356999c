//! The final distribution of one official account: what it says, the values of each customer, and whose a shown text is.
//!
//! The texts are rendered here by the same rules as on the server, so that a talk room can be read back exactly. Surprising:
//! each individual text holds the customer's number and so is unique; without that nobody could say whose message was shown.

use std::collections::HashMap;

use musubi_domain::{
    Error,
    content::{Action, Card, Suggestion},
    id::CustomerId,
    template::{self, Template, VALUE_LIMIT},
};
use musubi_proto::{company::v1::Customer, information::v1 as wire};

use super::judge::Text;

/// The title of the individual message, which makes it a card.
const TITLE: &str = "お客さまへのご案内";
/// The variables of the individual message, in the order of their values.
const VARIABLES: [(&str, template::VariableKind, wire::VariableKind); 4] = [
    ("name", template::VariableKind::Text, wire::VariableKind::Text),
    ("customer_number", template::VariableKind::Text, wire::VariableKind::Text),
    ("due_date", template::VariableKind::Date, wire::VariableKind::Date),
    ("amount", template::VariableKind::Yen, wire::VariableKind::Yen),
];
const INDIVIDUAL: &str = "{name} 様\n\nいつもご利用いただきありがとうございます。\nお客様番号 {customer_number}\n\
    {due_date}のお引き落とし予定額は {amount} です。";
const DETAILS: &str = "明細を見る";

/// The final distribution of one official account.
pub(super) struct Notice {
    seed: u64,
    uniform: String,
    individual: Template,
    /// Whose each individual text is.
    owners: HashMap<Box<str>, CustomerId>,
}

impl Notice {
    /// The notice of an account that shows this name; `seed` varies the amounts.
    ///
    /// # Errors
    /// When the name makes a text that no message may have.
    pub(super) fn new(official_account: &str, display_name: &str, seed: u64) -> Result<Self, Error> {
        let variables = VARIABLES
            .into_iter()
            .map(|(name, kind, _)| template::Variable { name: name.to_owned(), kind })
            .collect();
        let details = Suggestion {
            label: DETAILS.to_owned(),
            postback: "details".to_owned(),
            action: Some(Action::OpenUrl {
                url: format!("https://{official_account}.example/statement"),
                webview: true,
            }),
        };
        let uniform = format!(
            "【{display_name}からのお知らせ】\n年末年始もアプリとATMをご利用いただけます。\n\
             ご本人様の確認がお済みの方には、お一人ずつのご案内をお届けしています。"
        );
        let card = Card { title: Some(TITLE.to_owned()), image_url: None };
        let individual = Template::parse(INDIVIDUAL, vec![details], variables)?.with_card(Some(card))?;
        Ok(Self { seed, uniform, individual, owners: HashMap::new() })
    }

    /// Both sides as a company asks for them: uniform, individual.
    pub(super) fn templates(&self) -> (wire::Template, wire::Template) {
        let variables = VARIABLES
            .into_iter()
            .map(|(name, _, kind)| wire::Variable { name: name.to_owned(), kind: kind.into() })
            .collect();
        let uniform = self.uniform.replace('{', "{{").replace('}', "}}");
        (
            wire::Template { text: uniform, ..wire::Template::default() },
            wire::Template {
                card: self.individual.card().cloned().map(Into::into),
                text: self.individual.text().to_owned(),
                suggestions: self.individual.suggestions().iter().cloned().map(Into::into).collect(),
                variables,
            },
        )
    }

    /// The values of a customer, whose text is known from now on.
    ///
    /// # Errors
    /// When the customer's id can't be one, or another customer has the same text.
    pub(super) fn values(&mut self, customer: &Customer) -> Result<wire::CustomerValues, Error> {
        let id: CustomerId = customer.customer_id.parse()?;
        let number = self.owners.len() as u64;
        let values = vec![
            presentable(&customer.name),
            customer.customer_id.clone(),
            format!("2026-12-{:02}", 1 + number % 28),
            (1_000 + number.wrapping_mul(7_919).wrapping_add(self.seed) % 90_000).to_string(),
        ];
        let text = self.individual.render(&values)?.text.into_boxed_str();
        if self.owners.insert(text, id).is_some() {
            let problem = "two customers have the same individual text";
            return Err(Error::invalid("customer_id", problem, "name each customer once"));
        }
        Ok(wire::CustomerValues { customer_id: customer.customer_id.clone(), values })
    }

    /// How many customers have values.
    pub(super) fn customers(&self) -> u64 {
        self.owners.len() as u64
    }

    /// What a shown text is.
    pub(super) fn recognise(&self, text: &str) -> Text<'_> {
        match self.owners.get(text) {
            Some(owner) => Text::Individual(owner.as_str()),
            None if text == self.uniform => Text::Uniform,
            None => Text::Unknown,
        }
    }
}

/// The name as a value may be: not empty, not too long, of characters that can be shown.
fn presentable(name: &str) -> String {
    let shown = |c: &char| {
        !c.is_control()
            && !matches!(*c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
    };
    let name: String = name.chars().filter(shown).take(VALUE_LIMIT).collect();
    if name.is_empty() { "お客".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(id: &str, name: &str) -> Customer {
        Customer { customer_id: id.to_owned(), name: name.to_owned(), ..Customer::default() }
    }

    fn notice() -> Notice {
        Notice::new("aoba-bank", "青葉{銀行}", 1).unwrap()
    }

    #[test]
    fn each_text_leads_back_to_its_customer_though_names_are_the_same() {
        let mut notice = notice();
        let texts: Vec<String> = ["A1", "A2", "A3"]
            .into_iter()
            .map(|id| {
                let values = notice.values(&customer(id, "山田 太郎")).unwrap().values;
                notice.individual.render(&values).unwrap().text
            })
            .collect();
        for (text, id) in texts.iter().zip(["A1", "A2", "A3"]) {
            assert_eq!(notice.recognise(text), Text::Individual(id));
        }
        assert_eq!(notice.customers(), 3);
        assert_eq!(notice.recognise("こんにちは"), Text::Unknown);
    }

    #[test]
    fn both_sides_are_templates_that_a_server_takes_and_shows_as_they_are_known_here() {
        let notice = notice();
        let (uniform, individual) = notice.templates();
        let shown = Template::parse(&uniform.text, vec![], vec![]).unwrap().render(&[]).unwrap();
        assert_eq!(notice.recognise(&shown.text), Text::Uniform);
        let names: Vec<&str> = individual.variables.iter().map(|variable| variable.name.as_str()).collect();
        assert_eq!(names, ["name", "customer_number", "due_date", "amount"]);
    }

    #[test]
    fn any_name_of_a_master_makes_a_value() {
        let mut notice = notice();
        for (id, name) in [("A1", ""), ("A2", "山\u{202e}田\u{7}"), ("A3", &*"あ".repeat(300))] {
            notice.values(&customer(id, name)).unwrap();
        }
    }
}
