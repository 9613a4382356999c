//! The company server's own audit: its lines from the newest back, as a file, and whether its seals are good.
//!
//! Surprising: the file is a page of the same call, written out, and says in itself where the next one begins.

use askama::Template;
use axum::{
    Router,
    extract::Query,
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use musubi_proto::company::v1::{
    AuditLine, ListAuditLinesRequest, ListAuditLinesResponse, VerifyAuditRequest, VerifyAuditResponse,
};
use serde::Deserialize;
use serde_json::json;

use super::{Console, failure::Failure, shell::Shell, visitor::Visitor};

/// Lines of a page, and of a file.
const PAGE: (u32, u32) = (100, 1_000);

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/audit", get(page))
        .route("/audit/lines.jsonl", get(file))
        .route("/audit/verify", post(verify))
}

#[derive(Clone, Default, Deserialize)]
struct Choice {
    #[serde(default)]
    action: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    page: String,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Page {
    s: Shell,
    choice: Choice,
    lines: Vec<AuditLine>,
    next: String,
    verdict: Option<VerifyAuditResponse>,
}

async fn read(visitor: &Visitor, choice: &Choice, page_size: u32) -> Result<ListAuditLinesResponse, Failure> {
    let Choice { action, text, page } = choice.clone();
    let request =
        ListAuditLinesRequest { action: action.trim().to_owned(), text, page_size, page_token: page };
    Ok(visitor.audit().list_audit_lines(request).await?.into_inner())
}

async fn page(visitor: Visitor, Query(choice): Query<Choice>) -> Result<Html<String>, Failure> {
    let read = read(&visitor, &choice, PAGE.0).await?;
    let page = Page { s: visitor.s, choice, lines: read.lines, next: read.next_page_token, verdict: None };
    Ok(Html(page.render()?))
}

async fn verify(visitor: Visitor) -> Result<Html<String>, Failure> {
    let verdict = visitor.audit().verify_audit(VerifyAuditRequest {}).await?.into_inner();
    let choice = Choice::default();
    let read = read(&visitor, &choice, PAGE.0).await?;
    let (lines, next, verdict) = (read.lines, read.next_page_token, Some(verdict));
    Ok(Html(Page { s: visitor.s, choice, lines, next, verdict }.render()?))
}

async fn file(visitor: Visitor, Query(choice): Query<Choice>) -> Result<Response, Failure> {
    let read = read(&visitor, &choice, PAGE.1).await?;
    let mut text = String::new();
    for line in &read.lines {
        let time = visitor.s.time(&line.write_time);
        let line =
            json!({ "audit_id": line.audit_id, "time": time, "action": line.action, "detail": line.detail });
        text.push_str(&line.to_string());
        text.push('\n');
    }
    if !read.next_page_token.is_empty() {
        text.push_str(&json!({ "next": read.next_page_token }).to_string());
        text.push('\n');
    }
    let kind = HeaderValue::from_static("application/jsonl; charset=utf-8");
    let name = HeaderValue::from_static("attachment; filename=\"audit.jsonl\"");
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], text).into_response())
}
