//! Protobuf messages as they come to a door, and their conversions into types.
//!
//! Surprising: the first byte chooses the message, so that what is found about one says nothing about another.

use musubi_domain::{
    blind::{BlindCustomer, DigestKey},
    content::Content,
    customer::MatchDecision,
    template::Template,
};
use musubi_matching::check_digests;
use musubi_proto::{
    carrier::v1 as carrier,
    company::v1 as company,
    convert::{
        company::Inquiry,
        content::{instant, timestamp},
        information::{outcome, review_state},
    },
    information::v1 as information,
    r#type::v1 as word,
};
use prost::Message;

pub(super) fn hold(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else { return };
    match which % 13 {
        0 => information_events(bytes),
        1 => drop(decoded::<information::PushAssertionsRequest>(bytes)),
        2 => drop(decoded::<information::EntrustCustomersRequest>(bytes)),
        3 => drafts(bytes),
        4 => drop(decoded::<information::UploadValuesRequest>(bytes)),
        5 => followers(bytes),
        6 => reviews(bytes),
        7 => inquiries(bytes),
        8 => decisions(bytes),
        9 => drop(decoded::<company::ImportCustomersRequest>(bytes)),
        10 => messages(bytes),
        11 => drop(decoded::<carrier::SubmitActionsRequest>(bytes)),
        _ => digests(bytes),
    }
}

/// The message, which has to survive the way out and in again.
fn decoded<M: Message + Default + PartialEq>(bytes: &[u8]) -> Option<M> {
    let message = M::decode(bytes).ok()?;
    assert!(M::decode(message.encode_to_vec().as_slice()).is_ok_and(|again| again == message));
    Some(message)
}

fn information_events(bytes: &[u8]) {
    let Some(request) = decoded::<information::PushEventsRequest>(bytes) else { return };
    for event in request.events {
        if let Ok(time) = instant(event.event_time.as_ref(), "event_time") {
            assert!(Some(timestamp(time)) == event.event_time);
        }
    }
}

fn digests(bytes: &[u8]) {
    let Some(request) = decoded::<information::EntrustDigestsRequest>(bytes) else { return };
    let _any = DigestKey::parse(&request.digest_key);
    for customer in request.customers {
        if let Ok(read) = BlindCustomer::try_from(customer.clone()) {
            let _any = check_digests(&read.digests);
            assert!(information::BlindCustomer::from(read) == customer);
        }
    }
}

fn drafts(bytes: &[u8]) {
    let Some(request) = decoded::<information::CreateDistributionRequest>(bytes) else { return };
    for template in [request.uniform, request.individual].into_iter().flatten() {
        let text = template.text.clone();
        if let Ok(read) = Template::try_from(template) {
            assert_eq!(read.text(), text);
        }
    }
}

fn followers(bytes: &[u8]) {
    if let Some(request) = decoded::<information::ListFollowersRequest>(bytes) {
        let _any = outcome(request.outcome);
    }
}

fn reviews(bytes: &[u8]) {
    if let Some(request) = decoded::<information::ListReviewsRequest>(bytes) {
        let _any = review_state(request.state);
    }
}

fn inquiries(bytes: &[u8]) {
    let Some(request) = decoded::<company::MatchCustomersRequest>(bytes) else { return };
    for inquiry in request.inquiries {
        if let Ok(inquiry) = Inquiry::try_from(inquiry) {
            assert!(Inquiry::try_from(company::Inquiry::from(inquiry.clone())) == Ok(inquiry));
        }
    }
}

fn decisions(bytes: &[u8]) {
    let Some(response) = decoded::<company::MatchCustomersResponse>(bytes) else { return };
    for decision in response.decisions {
        if let Ok(decision) = MatchDecision::try_from(decision) {
            let wire = company::MatchDecision::from(decision.clone());
            assert!(MatchDecision::try_from(wire) == Ok(decision));
        }
    }
}

fn messages(bytes: &[u8]) {
    let Some(request) = decoded::<carrier::SendMessagesRequest>(bytes) else { return };
    for content in request.messages.into_iter().filter_map(|message| message.content) {
        if let Ok(content) = Content::try_from(content) {
            assert!(Content::try_from(word::Content::from(content.clone())) == Ok(content));
        }
    }
}
