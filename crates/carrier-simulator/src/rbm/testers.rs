//! `testers`: who may try an agent before it is launched.
//!
//! Surprising: the invitation is answered as pending and counts as accepted at once, because nobody's phone here asks its owner.

use axum::{Json, extract::State};
use musubi_storage::carrier::{Invited, TESTERS, TESTERS_A_DAY};
use serde_json::{Value, json};

use super::{
    Face, Named, Query,
    error::{ApiError, Code},
    number, unreachable,
};

/// `POST /v1/phones/{number}/testers`: with any body, or none.
pub(crate) async fn create(
    State(face): State<Face>,
    Named(phone): Named<String>,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    let agent = face.speaker(query.agent_id.as_deref())?;
    let number = number(&phone)?;
    face.adopt(&[number]).await?;
    if face.reachable(&[number]).await? != [true] {
        return Err(unreachable());
    }
    match face.store.put_tester(&agent.account, number, face.clock.now()).await? {
        Invited::Yes => {
            let name = format!("phones/{}/testers", number.as_str());
            Ok(Json(json!({ "name": name, "inviteStatus": "PENDING" })))
        }
        Invited::TooMany => {
            let message = format!("an agent invites {TESTERS_A_DAY} testers a day, and {TESTERS} in all");
            Err(ApiError::new(Code::ResourceExhausted, message))
        }
    }
}
