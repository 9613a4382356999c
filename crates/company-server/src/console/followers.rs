//! Followers: pages of them by outcome, one found by number, customer or id, and one's timeline.
//!
//! Numbers come masked; that one was shown whole is a line of its own in the audit. No number stands in an address: who is looked for is sent in a form, and shown under
//! the follower's id, which is a keyed hash. Surprising: a timeline is put together from what is held now; what was forgotten is not in it, and messages of
//! the dialogue are shown by the texts that the account has now.

use askama::Template;
use axum::{
    Form, Router,
    extract::{Path, Query},
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use musubi_domain::{
    Error,
    id::{FollowerId, OfficialAccountId},
};
use musubi_proto::information::v1::{
    DialogueMessage, EraseFollowersRequest, ExportFollowerRequest, Follower, FollowerOutcome,
    GetFollowerRequest, GetFollowerResponse, GetFunnelRequest, ListAccountsRequest, ListFollowersRequest,
    Person, ReleaseListRequest, SuspendFollowerRequest, UnlockFollowerRequest, UntieFollowerRequest,
    person::Who,
};
use prost_types::Timestamp;
use serde::Deserialize;

use super::{
    Console,
    distributions::Bubble,
    failure::Failure,
    language::Language,
    shell::Shell,
    visitor::{Visitor, encoded},
};
use crate::person_file::person_file;

/// Followers of a page.
const PAGE: u32 = 100;
/// Events of a timeline, the newest.
const EVENTS: usize = 200;

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/followers", get(list))
        .route("/followers/find", post(find))
        .route("/followers/{account}/{id}", get(show))
        .route("/followers/{account}/{id}/reveal", post(reveal))
        .route("/followers/{account}/{id}/unlock", post(unlock))
        .route("/followers/{account}/{id}/untie", post(untie))
        .route("/followers/{account}/{id}/suspend", post(suspend))
        .route("/followers/{account}/{id}/release", post(release_one))
        .route("/followers/{account}/{id}/erase", post(erase))
        .route("/followers/{account}/{id}/export", post(export))
        .route("/lists/{account}/{carrier}/release", post(release))
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    account: String,
    #[serde(default)]
    outcome: i32,
    #[serde(default)]
    page: String,
}

#[derive(Template)]
#[template(path = "followers.html")]
struct ListPage {
    s: Shell,
    accounts: Vec<String>,
    account: String,
    outcome: i32,
    outcomes: Vec<(i32, &'static str)>,
    /// None: the visitor may look for one, and not through all.
    followers: Option<Vec<Follower>>,
    next: String,
    /// Nobody was found.
    failed: Option<Error>,
}

async fn list(visitor: Visitor, Query(choice): Query<Choice>) -> Result<Html<String>, Failure> {
    Ok(Html(list_page(visitor, choice, None).await?.render()?))
}

async fn list_page(visitor: Visitor, choice: Choice, failed: Option<Error>) -> Result<ListPage, Failure> {
    let funnel = visitor.followers().get_funnel(GetFunnelRequest::default()).await?.into_inner();
    let mut accounts: Vec<_> = funnel.funnels.into_iter().map(|funnel| funnel.official_account).collect();
    accounts.sort();
    accounts.dedup();
    let Choice { mut account, outcome, page } = choice;
    if account.is_empty() {
        account = accounts.first().cloned().unwrap_or_default();
    }
    let (mut followers, mut next) = (None, String::new());
    if visitor.s.may("ListFollowers") && failed.is_none() && !account.is_empty() {
        let request = ListFollowersRequest {
            official_account: account.clone(),
            outcome,
            page_size: PAGE,
            page_token: page,
            operator: String::new(),
            masked: true,
        };
        let listed = visitor.followers().list_followers(request).await?.into_inner();
        (followers, next) = (Some(listed.followers), listed.next_page_token);
    }
    let known = (0..).map_while(|number| FollowerOutcome::try_from(number).ok());
    let outcomes = known.map(|it| (it.into(), visitor.s.language.outcome(it).text)).collect();
    Ok(ListPage { s: visitor.s, accounts, account, outcome, outcomes, followers, next, failed })
}

#[derive(Deserialize)]
struct Wanted {
    account: String,
    by: String,
    value: String,
}

async fn find(visitor: Visitor, Form(wanted): Form<Wanted>) -> Result<Response, Failure> {
    let value = wanted.value.trim().to_owned();
    let who = match wanted.by.as_str() {
        "number" => Who::PhoneNumber(e164(&value)),
        "customer" => Who::CustomerId(value),
        _ => Who::FollowerId(value),
    };
    let request = GetFollowerRequest {
        official_account: wanted.account.clone(),
        person: Some(Person { who: Some(who) }),
        reveal: false,
        operator: String::new(),
    };
    match visitor.followers().get_follower(request).await {
        Ok(found) => {
            let id = found.into_inner().follower.unwrap_or_default().follower_id;
            Ok(Redirect::to(&format!("/followers/{}/{}", encoded(&wanted.account), encoded(&id)))
                .into_response())
        }
        Err(status) => {
            let failure = Failure::from(status);
            let kind = failure.error().kind;
            if !matches!(kind, musubi_domain::ErrorKind::NotFound | musubi_domain::ErrorKind::InvalidArgument)
            {
                return Err(failure);
            }
            let choice = Choice { account: wanted.account, outcome: 0, page: String::new() };
            let page = list_page(visitor, choice, Some(failure.error().clone())).await?;
            Ok((super::failure::code(kind), Html(page.render()?)).into_response())
        }
    }
}

/// A number as people in Japan write it, in E.164; what is none goes on as it is and is refused.
fn e164(typed: &str) -> String {
    let digits: String = typed.chars().filter(|c| !matches!(c, '-' | ' ' | '(' | ')' | '‐' | '－')).collect();
    match digits.strip_prefix('0') {
        Some(rest) if !rest.starts_with('0') => format!("+81{rest}"),
        Some(_) | None => digits,
    }
}

/// A follower in an address.
#[derive(Clone, Deserialize)]
struct Place {
    account: String,
    id: String,
}

impl Place {
    /// # Errors
    /// `NotFound`, when the address names nobody who can be.
    fn check(self) -> Result<Self, Failure> {
        let good = self.account.parse::<OfficialAccountId>().is_ok() && self.id.parse::<FollowerId>().is_ok();
        let missing = || {
            Error::new(musubi_domain::ErrorKind::NotFound, "there is no such follower", "look in the list")
        };
        if good { Ok(self) } else { Err(missing().into()) }
    }

    fn person(&self) -> Option<Person> {
        Some(Person { who: Some(Who::FollowerId(self.id.clone())) })
    }

    fn page(&self, done: &str) -> Redirect {
        Redirect::to(&format!("/followers/{}/{}?done={done}", self.account, self.id))
    }
}

#[derive(Template)]
#[template(path = "follower.html")]
struct ShowPage {
    s: Shell,
    place: Place,
    follower: Follower,
    answer: GetFollowerResponse,
    is_revealed: bool,
    events: Vec<Event>,
}

/// Something that happened.
struct Event {
    time: Option<Timestamp>,
    /// follow, consent, message, review, tie.
    class: &'static str,
    text: String,
    detail: String,
    /// What the person saw.
    shown: Option<Bubble>,
}

async fn show(visitor: Visitor, Path(place): Path<Place>) -> Result<Html<String>, Failure> {
    page(visitor, place.check()?, false).await
}

async fn reveal(visitor: Visitor, Path(place): Path<Place>) -> Result<Html<String>, Failure> {
    page(visitor, place.check()?, true).await
}

async fn page(visitor: Visitor, place: Place, reveal: bool) -> Result<Html<String>, Failure> {
    let request = GetFollowerRequest {
        official_account: place.account.clone(),
        person: place.person(),
        reveal,
        operator: String::new(),
    };
    let answer = visitor.followers().get_follower(request).await?.into_inner();
    let follower = answer.follower.clone().unwrap_or_default();
    let said = said(&visitor, &place.account).await?;
    let events = timeline(&answer, &follower, &said, visitor.s.language);
    Ok(Html(ShowPage { s: visitor.s, place, follower, answer, is_revealed: reveal, events }.render()?))
}

/// What the account says in its dialogue; nothing for whoever may not see that.
async fn said(visitor: &Visitor, account: &str) -> Result<Vec<DialogueMessage>, Failure> {
    if !visitor.s.may("ListAccounts") {
        return Ok(Vec::new());
    }
    let answer = visitor.accounts().list_accounts(ListAccountsRequest {}).await?.into_inner();
    let account = answer.official_accounts.into_iter().find(|it| it.official_account == account);
    Ok(account.map(|it| it.messages).unwrap_or_default())
}

/// What happened, the newest first.
fn timeline(
    answer: &GetFollowerResponse,
    follower: &Follower,
    said: &[DialogueMessage],
    language: Language,
) -> Vec<Event> {
    let say = |japanese: &'static str, english: &'static str| language.say(japanese, english).to_owned();
    let event = |time: &Option<Timestamp>, class, text, detail| Event {
        time: *time,
        class,
        text,
        detail,
        shown: None,
    };
    let mut events = Vec::new();
    for list in &answer.lists {
        let text = match list.following {
            true => say("フォロー", "follows"),
            false => say("フォロー解除", "follows no more"),
        };
        events.push(event(&list.change_time, "follow", text, list.carrier.clone()));
    }
    for consent in &answer.consents {
        events.push(event(
            &consent.give_time,
            "consent",
            language.consent(&consent.kind),
            consent.text.clone(),
        ));
    }
    for message in &answer.messages {
        let text = format!("{}: {}", language.purpose(&message.purpose), language.delivery(&message.state));
        let content = said.iter().find(|it| it.purpose == message.purpose).and_then(|it| it.content.as_ref());
        let event = event(&message.change_time, "message", text, message.distribution_id.clone());
        events.push(Event { shown: content.map(Bubble::of), ..event });
    }
    for review in &answer.reviews {
        events.push(event(
            &review.open_time,
            "review",
            say("審査の開始", "a review began"),
            review.review_id.clone(),
        ));
        if review.close_time.is_some() {
            let text = format!(
                "{}: {}",
                language.say("審査の終了", "the review ended"),
                language.review(review.state()).text
            );
            events.push(event(&review.close_time, "review", text, review.review_id.clone()));
        }
    }
    if answer.tie_time.is_some() {
        let text = say("お客さまとの紐づけ", "tied to the customer");
        let detail = format!("{} · {}", follower.customer_id, language.method(answer.tie_method()));
        events.push(event(&answer.tie_time, "tie", text, detail));
    }
    events.sort_by_key(|event| std::cmp::Reverse(event.time.map(|time| (time.seconds, time.nanos))));
    events.truncate(EVENTS);
    events
}

async fn unlock(visitor: Visitor, Path(place): Path<Place>) -> Result<Redirect, Failure> {
    let place = place.check()?;
    let request = UnlockFollowerRequest {
        official_account: place.account.clone(),
        person: place.person(),
        operator: String::new(),
    };
    let unlocked = visitor.followers().unlock_follower(request).await?.into_inner().unlocked;
    Ok(place.page(if unlocked { "unlocked" } else { "nothing-to-unlock" }))
}

async fn untie(visitor: Visitor, Path(place): Path<Place>) -> Result<Redirect, Failure> {
    let place = place.check()?;
    let request = UntieFollowerRequest {
        official_account: place.account.clone(),
        person: place.person(),
        operator: String::new(),
    };
    let untied = visitor.followers().untie_follower(request).await?.into_inner().untied;
    Ok(place.page(if untied { "untied" } else { "nothing-to-untie" }))
}

async fn suspend(visitor: Visitor, Path(place): Path<Place>) -> Result<Redirect, Failure> {
    hold(visitor, place, false, "suspended").await
}

async fn release_one(visitor: Visitor, Path(place): Path<Place>) -> Result<Redirect, Failure> {
    hold(visitor, place, true, "released-follower").await
}

async fn hold(
    visitor: Visitor,
    place: Place,
    release: bool,
    done: &'static str,
) -> Result<Redirect, Failure> {
    let place = place.check()?;
    let request = SuspendFollowerRequest {
        official_account: place.account.clone(),
        person: place.person(),
        release,
        operator: String::new(),
    };
    let changed = visitor.followers().suspend_follower(request).await?.into_inner().changed;
    Ok(place.page(if changed { done } else { "nothing-changed" }))
}

async fn erase(visitor: Visitor, Path(place): Path<Place>) -> Result<Redirect, Failure> {
    let place = place.check()?;
    let request = EraseFollowersRequest {
        official_account: place.account.clone(),
        people: place.person().into_iter().collect(),
        operator: String::new(),
    };
    let answer = visitor.followers().erase_followers(request).await?.into_inner();
    Ok(match answer.approval {
        Some(approval) => Redirect::to(&format!("/approvals/{}?done=waits", encoded(&approval.approval_id))),
        None if answer.erasures.is_empty() => Redirect::to("/followers?done=nobody"),
        None => Redirect::to("/followers?done=erasing"),
    })
}

/// Everything about a follower as a file for the person, or what waits for a second person first.
async fn export(visitor: Visitor, Path(place): Path<Place>) -> Result<Response, Failure> {
    let place = place.check()?;
    let request = ExportFollowerRequest {
        official_account: place.account.clone(),
        person: place.person(),
        operator: String::new(),
    };
    let answer = visitor.followers().export_follower(request).await?.into_inner();
    if let Some(approval) = &answer.approval {
        let page = format!("/approvals/{}?done=waits", encoded(&approval.approval_id));
        return Ok(Redirect::to(&page).into_response());
    }
    let name = format!("attachment; filename=\"{}.json\"", place.id);
    let name = HeaderValue::try_from(name).unwrap_or(HeaderValue::from_static("attachment"));
    let kind = HeaderValue::from_static("application/json");
    Ok((
        [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)],
        format!("{:#}", person_file(&answer)),
    )
        .into_response())
}

/// Has a quarantined list believed, or asks a second person.
async fn release(
    visitor: Visitor,
    Path((account, carrier)): Path<(String, String)>,
) -> Result<Redirect, Failure> {
    let request = ReleaseListRequest { official_account: account, carrier, operator: String::new() };
    let answer = visitor.followers().release_list(request).await?.into_inner();
    Ok(match answer.approval {
        Some(approval) => Redirect::to(&format!("/approvals/{}?done=waits", encoded(&approval.approval_id))),
        None => Redirect::to("/?done=released"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_people_write_it() {
        for typed in
            ["090-1234-5678", "09012345678", " 090 1234 5678".trim(), "+819012345678", "090－1234－5678"]
        {
            assert_eq!(e164(typed), "+819012345678", "{typed}");
        }
        assert_eq!(e164("00819012345678"), "00819012345678");
        assert_eq!(e164("abc"), "abc");
    }
}
