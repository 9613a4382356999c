//! What is held about a person as the file that the person is given: one object of JSON.
//!
//! The command line and the console write the same. Surprising: it leaves nothing out that the call gave, so whoever writes it has to be sure to whom.

use jiff::tz::offset;
use musubi_proto::information::v1::ExportFollowerResponse;
use prost_types::Timestamp;
use serde_json::{Value, json};

/// All of it as one object of JSON; times in Japanese time, to the second.
#[must_use]
pub fn person_file(export: &ExportFollowerResponse) -> Value {
    let time = |time: &Option<Timestamp>| json!(japanese_time(time.as_ref()));
    let follower = export.follower.clone().unwrap_or_default();
    let tie = export.tie_time.as_ref().map(|_| {
        json!({
            "customer_id": follower.customer_id,
            "method": word(export.tie_method().as_str_name(), "IDENTITY_METHOD_"),
            "tie_time": time(&export.tie_time),
            "expire_time": time(&export.tie_expire_time),
            "suspended": follower.suspended,
        })
    });
    let lists = export.lists.iter().map(|list| {
        json!({ "carrier": list.carrier, "following": list.following, "change_time": time(&list.change_time) })
    });
    let waiting = export.subject.as_ref().map(|subject| {
        json!({
            "account_number": subject.account_number,
            "branch_number": subject.branch_number,
            "name": subject.name,
            "name_kana": subject.name_kana,
            "birth_date": subject.birth_date,
            "address": subject.address,
        })
    });
    let consents = export.consents.iter().map(|consent| {
        json!({
            "kind": consent.kind,
            "text": consent.text,
            "text_sha256": consent.text_digest,
            "carrier": consent.carrier,
            "dialogue_id": consent.dialogue_id,
            "give_time": time(&consent.give_time),
        })
    });
    let messages = export.messages.iter().map(|message| {
        json!({
            "message_id": message.message_id,
            "distribution_id": message.distribution_id,
            "purpose": message.purpose,
            "state": message.state,
            "change_time": time(&message.change_time),
        })
    });
    let reviews = export.reviews.iter().map(|review| {
        json!({
            "review_id": review.review_id,
            "customer_id": review.customer_id,
            "reasons": review.reasons,
            "state": word(review.state().as_str_name(), "REVIEW_STATE_"),
            "open_time": time(&review.open_time),
            "close_time": time(&review.close_time),
        })
    });
    json!({
        "follower_id": follower.follower_id,
        "phone_number": follower.phone_number,
        "carrier": follower.carrier,
        "outcome": word(follower.outcome().as_str_name(), "FOLLOWER_OUTCOME_"),
        "reasons": follower.reasons,
        "follow_time": time(&follower.follow_time),
        "outcome_time": time(&follower.outcome_time),
        "lists": lists.collect::<Vec<_>>(),
        "tie": tie,
        "former_customer_id": export.former_customer_id,
        "wrong_guesses": export.wrong_guesses,
        "waiting_to_be_decided": waiting,
        "consents": consents.collect::<Vec<_>>(),
        "messages": messages.collect::<Vec<_>>(),
        "reviews": reviews.collect::<Vec<_>>(),
    })
}

/// A value of an enum as people read it.
fn word(name: &str, front: &str) -> String {
    name.trim_start_matches(front).to_ascii_lowercase()
}

/// An instant of the wire in Japanese time, to the second; none when there is none.
pub(crate) fn japanese_time(time: Option<&Timestamp>) -> Option<String> {
    let time = time.and_then(|time| jiff::Timestamp::new(time.seconds, time.nanos).ok())?;
    Some(offset(9).to_datetime(time).strftime("%Y-%m-%d %H:%M:%S").to_string())
}
