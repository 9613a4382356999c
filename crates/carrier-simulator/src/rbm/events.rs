//! `agentEvents`: the agent types, or has read. Phones here show neither; what is wrong is told all the same.

use axum::{Json, extract::State};
use serde_json::Value;

use super::{Body, Face, Named, Query, client_id, error::ApiError, messages::instant, number};

/// `POST /v1/phones/{number}/agentEvents`
pub(crate) async fn create(
    State(face): State<Face>,
    Named(phone): Named<String>,
    query: Query,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let agent = face.speaker(query.agent_id.as_deref())?;
    let number = number(&phone)?;
    let event_id = client_id(query.event_id, "eventId", face.strict)?;
    let mut event = face.discovery.request("AgentEvent", &body, face.strict)?;
    match event["eventType"].as_str() {
        Some("IS_TYPING") => {}
        Some("READ") => {
            client_id(event["messageId"].as_str().map(str::to_owned), "messageId", false)?;
        }
        Some(_) | None => return Err(ApiError::invalid("eventType", "is absent; write IS_TYPING or READ")),
    }
    face.adopt(&[number]).await?;
    face.reach(agent, number).await?;
    event["name"] = format!("phones/{}/agentEvents/{event_id}", number.as_str()).into();
    event["sendTime"] = instant(face.clock.now()).into();
    Ok(Json(event))
}
