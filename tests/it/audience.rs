//! A person of a company who wants one customer's message to reach somebody else: values for whoever is no customer, is another company's, was this one's
//! when the values were given, or has this number no longer. Everybody gets their own or what everybody gets.
//!
//! Surprising: values are given early and sent late, since what matters is whose the number is when a message leaves.

use futures::stream;
use musubi_proto::information::v1::{
    CreateDistributionRequest, CustomerValues, DistributionState, GetDistributionRequest,
    StartDistributionRequest, Template, UploadValuesRequest, Variable, VariableKind,
    distribution_service_client::DistributionServiceClient,
};
use musubi_terminal_simulator::story::Story;
use musubi_tests::processes::System;
use serde_json::Value;
use uuid::Uuid;

use crate::people::{shown, shown_to, until};

/// What stands in everything individual, and a value that would be one of somebody else's if values were read as templates.
const MARK: &str = "だけに";
const NESTED: &str = "{whose}{note}";

/// A distribution that somebody prepared.
pub(crate) struct Prepared {
    company: &'static str,
    id: String,
}

fn uniform(company: &str) -> String {
    format!("{company}からみなさまへ")
}

/// What only this customer may be shown.
fn own(company: &str, customer: &str) -> String {
    format!("{company}から{customer}様{MARK} {NESTED}")
}

impl Prepared {
    /// A draft with values for these customers, whoever they are.
    pub(crate) async fn new(system: &System, company: &'static str, customers: &[&str]) -> Self {
        let mut distributions = DistributionServiceClient::new(system.channel(company));
        let variable = |name: &str| Variable { name: name.to_owned(), kind: VariableKind::Text.into() };
        let request = CreateDistributionRequest {
            request_id: Uuid::from_bytes(musubi_runtime::entropy::bytes()).to_string(),
            official_account: company.to_owned(),
            name: "audience".to_owned(),
            uniform: Some(Template { text: uniform(company), ..Template::default() }),
            individual: Some(Template {
                text: format!("{company}から{{whose}}様{MARK} {{note}}"),
                variables: vec![variable("whose"), variable("note")],
                ..Template::default()
            }),
            ..CreateDistributionRequest::default()
        };
        let created = distributions.create_distribution(request).await.unwrap().into_inner();
        let id = created.distribution.unwrap().distribution_id;
        let values = |id: &&str| CustomerValues {
            customer_id: (*id).to_owned(),
            values: vec![(*id).to_owned(), NESTED.to_owned()],
        };
        let customers = customers.iter().map(values).collect();
        let chunk = UploadValuesRequest { distribution_id: id.clone(), customers, ..Default::default() };
        distributions.upload_values(stream::iter([chunk])).await.unwrap();
        Self { company, id }
    }

    /// Sends it, and looks at every phone: whose customer it shows, or none, and nobody is shown anything else.
    pub(crate) async fn send(&self, system: &System, phones: &[(&Story, Option<&str>)]) {
        let mut distributions = DistributionServiceClient::new(system.channel(self.company));
        let start = StartDistributionRequest { distribution_id: self.id.clone(), ..Default::default() };
        distributions.start_distribution(start).await.unwrap();
        for (phone, customer) in phones {
            let text = customer.map_or_else(|| uniform(self.company), |it| own(self.company, it));
            shown(system, &phone.phone_number, &text).await;
        }
        for (phone, customer) in phones {
            let texts = shown_to(system, &phone.phone_number).await;
            let texts = texts.into_iter().filter_map(|message| Some(message.content?.text));
            let front = format!("{}から", self.company);
            let texts: Vec<_> = texts.filter(|text| text.starts_with(&front)).collect();
            let right = customer.map_or_else(|| uniform(self.company), |it| own(self.company, it));
            assert_eq!(texts, [right], "on the phone of a {}", phone.story);
        }
        until("the end of it", async || {
            let request = GetDistributionRequest { distribution_id: self.id.clone() };
            let found = distributions.clone().get_distribution(request).await.unwrap().into_inner();
            (found.distribution.unwrap().state() == DistributionState::Completed).then_some(())
        })
        .await;
    }

    /// Holds the lines of the audit against it: who gave the values, who started it, how many got what, and nothing of what they say.
    pub(crate) fn is_told(&self, lines: &[Value], ends: &str) {
        let of_this = |line: &&Value| line["detail"].as_str().is_some_and(|it| it.contains(&self.id));
        let told: Vec<_> = lines.iter().filter(of_this).collect();
        for action in ["distribution_created", "distribution_values", "distribution_started"] {
            let done = |line: &&&Value| {
                line["action"] == action
                    && line["company"] == self.company
                    && line.to_string().contains("by sato")
            };
            assert!(told.iter().any(|line| done(&line)), "no {action} in {told:#?}");
        }
        let ended = told.iter().find(|line| line["action"] == "distribution_completed").unwrap();
        assert_eq!(ended["detail"], format!("{} {ends}", self.id));
        assert!(lines.iter().all(|line| !line.to_string().contains(MARK)), "{told:#?}");
    }
}
