//! `capabilities` and `users:batchGet`: whom an agent reaches, and what their phones can show.
//!
//! Surprising: less than 500 numbers are answered, and the agent may be named behind the question mark, because Google's own helpers
//! ask so; a strict face refuses both.

use std::collections::HashSet;

use axum::{Json, extract::State};
use musubi_domain::phone_number::PhoneNumber;
use serde_json::{Value, json};

use super::{Body, Face, Named, Query, client_id, error::ApiError, number};

/// What every phone of this carrier can show, by the API's names.
const FEATURES: [&str; 10] = [
    "REVOCATION",
    "RICHCARD_STANDALONE",
    "RICHCARD_CAROUSEL",
    "ACTION_CREATE_CALENDAR_EVENT",
    "ACTION_DIAL",
    "ACTION_OPEN_URL",
    "ACTION_SHARE_LOCATION",
    "ACTION_VIEW_LOCATION",
    "ACTION_OPEN_URL_IN_WEBVIEW",
    "PDF_IN_RICH_CARDS",
];

/// How many numbers are asked about at once, at least and at most.
const USERS: (usize, usize) = (500, 10_000);

/// `GET /v1/phones/{number}/capabilities`
pub(crate) async fn get(
    State(face): State<Face>,
    Named(phone): Named<String>,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    let agent = face.speaker(query.agent_id.as_deref())?;
    let number = number(&phone)?;
    if face.strict {
        client_id(query.request_id, "requestId", true)?;
    }
    face.adopt(&[number]).await?;
    face.reach(agent, number).await?;
    let name = format!("phones/{}/capabilities", number.as_str());
    Ok(Json(json!({ "name": name, "features": FEATURES })))
}

/// `POST /v1/users:batchGet`
pub(crate) async fn batch_get(
    State(face): State<Face>,
    query: Query,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let taken = face.discovery.request("BatchGetUsersRequest", &body, face.strict)?;
    let beside = query.agent_id.as_deref().filter(|_| !face.strict);
    let agent = face.speaker(taken["agentId"].as_str().or(beside))?;
    let users = taken["users"].as_array().map(Vec::as_slice).unwrap_or_default();
    let least = if face.strict { USERS.0 } else { 1 };
    if !(least..=USERS.1).contains(&users.len()) {
        let problem = format!("holds {} numbers; give {least} to {}", users.len(), USERS.1);
        return Err(ApiError::invalid("users", problem));
    }
    let mut numbers: Vec<PhoneNumber> = Vec::with_capacity(users.len());
    for (index, user) in users.iter().enumerate() {
        let user = user.as_str().unwrap_or_default();
        let number = user
            .parse()
            .map_err(|error: musubi_domain::Error| ApiError::from(error.at(format!("users[{index}]"))))?;
        numbers.push(number);
    }
    let mut once = HashSet::with_capacity(numbers.len());
    numbers.retain(|number| once.insert(*number));
    if face.strict && numbers.len() < users.len() {
        return Err(ApiError::invalid("users", "holds a number twice; give each once"));
    }
    face.adopt(&numbers).await?;
    let reachable = face.reachable(&numbers).await?;
    // An agent that isn't launched reaches its testers only, who are few.
    let mut reached = Vec::with_capacity(numbers.len());
    for (number, reachable) in numbers.iter().zip(reachable) {
        if reachable && face.may_speak(agent, *number).await.is_ok() {
            reached.push(number.as_str());
        }
    }
    // The sample is of the larger batches, about three quarters of each.
    let of_sample = |count: usize| if numbers.len() < USERS.0 { 0 } else { count * 3 / 4 };
    Ok(Json(json!({
        "reachableUsers": reached,
        "totalRandomSampleUserCount": of_sample(numbers.len()),
        "reachableRandomSampleUserCount": of_sample(reached.len()),
    })))
}
