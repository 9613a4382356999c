//! `AccountService`: a company is shown its own accounts as this server is configured.
//!
//! Nothing is decided or changed here. Surprising: what an account says is made by the very code that makes it for a follower, of a dialogue that there isn't;
//! so what the buttons of that dialogue would carry is taken off.

use std::sync::Arc;

use musubi_domain::{
    content::{Content, Suggestion},
    delivery::Purpose,
    id::{CompanyId, DialogueId},
    postback::TokenKey,
};
use musubi_proto::information::v1::{self as wire, account_service_server::AccountService};
use musubi_runtime::grpc::auth;
use tonic::{Request, Response, Status};

use crate::{
    confirmation::verifier::Verifiers,
    directory::{Account, Company, Directory},
    request::messages::{RequestMessages, Step},
};

/// What is said in a dialogue, in its order.
const SAID: [Purpose; 10] = [
    Purpose::Question,
    Purpose::Account,
    Purpose::AccountAgain,
    Purpose::Identity,
    Purpose::Confirmed,
    Purpose::NotConfirmed,
    Purpose::ReviewRejected,
    Purpose::Renewal,
    Purpose::EraseAsked,
    Purpose::Erasing,
];

/// What companies ask of their accounts.
pub struct Accounts {
    directory: Arc<Directory>,
    messages: RequestMessages,
    verifiers: Verifiers,
}

impl Accounts {
    /// Shows the companies of this directory their accounts.
    #[must_use]
    pub fn new(directory: Arc<Directory>, tokens: &TokenKey) -> Self {
        let verifiers = Verifiers::over("", tokens);
        Self { directory, messages: RequestMessages::new(tokens.clone()), verifiers }
    }

    fn list(&self, id: &CompanyId) -> wire::ListAccountsResponse {
        let Some(company) = self.directory.company(id) else { return wire::ListAccountsResponse::default() };
        let accounts = self.directory.accounts_of(id);
        wire::ListAccountsResponse {
            official_accounts: accounts.into_iter().map(|account| self.show(account, company)).collect(),
            second_person_above: company.second_person.distribution_above,
            link_hosts: company.link_hosts.names().map(str::to_owned).collect(),
        }
    }

    fn show(&self, account: &Account, company: &Company) -> wire::OfficialAccount {
        let step = Step { account, company, dialogue: DialogueId::from_bytes([0; 16]), step: 0 };
        let messages = SAID.into_iter().filter_map(|purpose| {
            let content = self.messages.content(purpose, step, &self.verifiers)?;
            let content = Some(without_dialogue(content, purpose).into());
            Some(wire::DialogueMessage { purpose: purpose.as_str().to_owned(), content })
        });
        let seconds = |time: jiff::SignedDuration| u64::try_from(time.as_secs()).unwrap_or_default();
        let rules = &account.rules;
        let settings = wire::DialogueSettings {
            remind_after_seconds: seconds(rules.remind_after),
            reminders: rules.reminders.into(),
            tries: rules.tries.into(),
            unreadable: rules.unreadable.into(),
            ask_again_after_seconds: seconds(rules.ask_again_after),
            declined_for_seconds: seconds(rules.declined_for),
            review_for_seconds: seconds(rules.review_for),
            review_second_person: rules.review_second_person,
            tie_days: account.tie_days,
            erase_unfollowed_after_seconds: seconds(rules.erase_unfollowed_after),
        };
        wire::OfficialAccount {
            official_account: account.id.to_string(),
            display_name: account.display_name.clone(),
            carriers: account.carriers.iter().map(ToString::to_string).collect(),
            messages: messages.collect(),
            settings: Some(settings),
        }
    }
}

/// A content without what only a dialogue has: postbacks, and links to authorities.
fn without_dialogue(content: Content, purpose: Purpose) -> Content {
    let shown = |button: Suggestion| Suggestion {
        postback: String::new(),
        action: button.action.filter(|_| purpose != Purpose::Identity),
        ..button
    };
    Content { suggestions: content.suggestions.into_iter().map(shown).collect(), ..content }
}

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn list_accounts(
        &self,
        request: Request<wire::ListAccountsRequest>,
    ) -> Result<Response<wire::ListAccountsResponse>, Status> {
        Ok(Response::new(self.list(&auth::company(&request)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{World, from};

    #[tokio::test]
    async fn a_company_sees_its_own_accounts_as_they_speak_and_no_dialogues_secrets() {
        let world = World::new().await;
        let service = Accounts::new(Arc::clone(&world.directory), &TokenKey::new(&[7; 32]).unwrap());
        let request = from("bank", wire::ListAccountsRequest {});
        let answer = service.list_accounts(request).await.unwrap().into_inner();
        let [account] = &answer.official_accounts[..] else { panic!("one account") };
        assert_eq!(account.official_account, "bank");
        let said: Vec<_> = account.messages.iter().map(|message| message.purpose.as_str()).collect();
        assert_eq!(said[..4], ["question", "account", "account_again", "identity"]);
        for message in &account.messages {
            let content = message.content.as_ref().unwrap();
            assert!(!content.text.is_empty() && content.suggestions.iter().all(|it| it.postback.is_empty()));
        }
        let identity = account.messages[3].content.as_ref().unwrap();
        assert!(
            !identity.suggestions.is_empty() && identity.suggestions.iter().all(|it| it.action.is_none())
        );
        assert_eq!(account.settings.as_ref().unwrap().tries, 3);
    }
}
