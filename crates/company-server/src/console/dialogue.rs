//! What each official account says in its dialogue, as a talk room shows it, and by which settings.
//!
//! Nothing is changed here: the information-management server's configuration says it. Surprising: the messages are those that a follower gets, made by the same code.

use askama::Template;
use axum::{Router, response::Html, routing::get};
use musubi_proto::information::v1::{DialogueSettings, ListAccountsRequest, OfficialAccount};

use super::{
    Console, distributions::Bubble, failure::Failure, language::Language, shell::Shell, visitor::Visitor,
};

pub(super) fn router() -> Router<Console> {
    Router::new().route("/dialogue", get(page))
}

#[derive(Template)]
#[template(path = "dialogue.html")]
struct Page {
    s: Shell,
    accounts: Vec<Account>,
    second_person_above: u64,
    link_hosts: Vec<String>,
}

struct Account {
    account: OfficialAccount,
    messages: Vec<(String, Bubble)>,
    settings: Vec<(&'static str, String)>,
}

async fn page(visitor: Visitor) -> Result<Html<String>, Failure> {
    let answer = visitor.accounts().list_accounts(ListAccountsRequest {}).await?.into_inner();
    let language = visitor.s.language;
    let accounts = answer.official_accounts.into_iter().map(|account| {
        let messages = account.messages.iter().map(|message| {
            let bubble = message.content.as_ref().map(Bubble::of);
            (language.purpose(&message.purpose), bubble.unwrap_or_default())
        });
        let messages = messages.collect();
        let settings = account.settings.as_ref().map(|it| settings(it, language)).unwrap_or_default();
        Account { account, messages, settings }
    });
    let page = Page {
        accounts: accounts.collect(),
        s: visitor.s,
        second_person_above: answer.second_person_above,
        link_hosts: answer.link_hosts,
    };
    Ok(Html(page.render()?))
}

fn settings(it: &DialogueSettings, language: Language) -> Vec<(&'static str, String)> {
    let time = |seconds| length(seconds, language);
    let times = |count: u32| match language {
        Language::Japanese => format!("{count}回"),
        Language::English => format!("{count} times"),
    };
    let yes =
        |yes: bool| if yes { language.say("はい", "yes") } else { language.say("いいえ", "no") }.to_owned();
    vec![
        (language.say("催促までの時間", "until a reminder"), time(it.remind_after_seconds)),
        (language.say("催促", "reminders"), times(it.reminders)),
        (language.say("口座番号の入力", "account numbers"), times(it.tries)),
        (language.say("読み取れない入力", "unreadable texts"), times(it.unreadable)),
        (
            language.say("口座なし・未回答の再確認", "asked again who had no account"),
            time(it.ask_again_after_seconds),
        ),
        (language.say("希望しない人の再確認", "asked again who declined"), time(it.declined_for_seconds)),
        (language.say("審査の期限", "a review waits"), time(it.review_for_seconds)),
        (language.say("審査の承認に二人必要", "two people approve a review"), yes(it.review_second_person)),
        (language.say("紐づけの有効期間", "a tie is trusted"), time(u64::from(it.tie_days) * 86_400)),
        (
            language.say("フォロー解除後の削除", "erased after leaving"),
            time(it.erase_unfollowed_after_seconds),
        ),
    ]
}

/// A length of time in its largest whole unit.
fn length(seconds: u64, language: Language) -> String {
    let units = [
        (86_400, language.say("日", " days")),
        (3_600, language.say("時間", " hours")),
        (60, language.say("分", " minutes")),
        (1, language.say("秒", " seconds")),
    ];
    let fits = |(unit, _): &(u64, &str)| seconds >= *unit && seconds.is_multiple_of(*unit);
    let (unit, word) = units.into_iter().find(fits).unwrap_or(units[3]);
    format!("{}{word}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_said_in_its_largest_whole_unit() {
        for (seconds, japanese) in
            [(0, "0秒"), (90, "90秒"), (900, "15分"), (86_400, "1日"), (90_000, "25時間")]
        {
            assert_eq!(length(seconds, Language::Japanese), japanese);
        }
    }
}
