//! What one person asked for and another has to approve; and the distributions that were submitted, which are approved on their own pages.
//!
//! Surprising: one's own requests stand here, too, because taking one back is a rejection of one's own.

use askama::Template;
use axum::{
    Form, Router,
    extract::{Path, Query},
    response::{Html, Redirect},
    routing::{get, post},
};
use musubi_proto::information::v1::{
    Approval, ApprovalState, Distribution, DistributionState, GetApprovalRequest, GrantApprovalRequest,
    ListApprovalsRequest, ListDistributionsRequest, RejectApprovalRequest,
};
use serde::Deserialize;
use tonic::Status;

use super::{Console, failure::Failure, shell::Shell, visitor::Visitor};

/// Requests of a page.
const PAGE: u32 = 50;

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/approvals", get(list))
        .route("/approvals/{id}", get(show))
        .route("/approvals/{id}/decision", post(decide))
}

#[derive(Deserialize)]
struct Choice {
    state: Option<i32>,
    #[serde(default)]
    page: String,
}

#[derive(Template)]
#[template(path = "approvals.html")]
struct ListPage {
    s: Shell,
    state: i32,
    states: Vec<(i32, &'static str)>,
    /// Distributions that wait, on the first page of what waits.
    submitted: Vec<Distribution>,
    approvals: Vec<Approval>,
    next: String,
}

async fn list(visitor: Visitor, Query(choice): Query<Choice>) -> Result<Html<String>, Failure> {
    let state = choice.state.unwrap_or(ApprovalState::Waiting.into());
    let shows_waiting = [ApprovalState::Unspecified, ApprovalState::Waiting].map(i32::from).contains(&state);
    let is_first = choice.page.is_empty();
    let submitted = if shows_waiting && is_first { submitted(&visitor).await? } else { Vec::new() };
    let request = ListApprovalsRequest { state, page_size: PAGE, page_token: choice.page };
    let page = visitor.approvals().list_approvals(request).await?.into_inner();
    let known = (1..).map_while(|number| ApprovalState::try_from(number).ok());
    let states = known.map(|state| (state.into(), visitor.s.language.approval(state).text)).collect();
    let (approvals, next) = (page.approvals, page.next_page_token);
    Ok(Html(ListPage { s: visitor.s, state, states, submitted, approvals, next }.render()?))
}

/// The distributions that were submitted and not started yet, newest first.
pub(super) async fn submitted(visitor: &Visitor) -> Result<Vec<Distribution>, Status> {
    let state = DistributionState::Submitted.into();
    let request = ListDistributionsRequest { state, ..Default::default() };
    Ok(visitor.distributions().list_distributions(request).await?.into_inner().distributions)
}

#[derive(Template)]
#[template(path = "approval.html")]
struct ShowPage {
    s: Shell,
    approval: Approval,
    is_open: bool,
    is_own: bool,
}

async fn show(visitor: Visitor, Path(id): Path<String>) -> Result<Html<String>, Failure> {
    let answer = visitor.approvals().get_approval(GetApprovalRequest { approval_id: id }).await?.into_inner();
    let approval = answer.approval.unwrap_or_default();
    let is_own = approval.asked_by == visitor.s.name;
    let is_open = [ApprovalState::Waiting, ApprovalState::Approved].contains(&approval.state());
    Ok(Html(ShowPage { s: visitor.s, approval, is_open, is_own }.render()?))
}

#[derive(Deserialize)]
struct Decision {
    verdict: String,
}

async fn decide(
    visitor: Visitor,
    Path(id): Path<String>,
    Form(decision): Form<Decision>,
) -> Result<Redirect, Failure> {
    let operator = String::new();
    let done = if decision.verdict == "approve" {
        visitor.approvals().grant_approval(GrantApprovalRequest { approval_id: id, operator }).await?;
        "granted"
    } else {
        visitor.approvals().reject_approval(RejectApprovalRequest { approval_id: id, operator }).await?;
        "rejected"
    };
    Ok(Redirect::to(&format!("/approvals?done={done}")))
}
