//! The audits: the company server's own, and what the information-management server wrote down about the company and its followers. Lines from the newest back, as a
//! file, and whether the seals are good.
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
use musubi_proto::{company::v1 as company, information::v1 as information};
use prost_types::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{
    Console,
    failure::Failure,
    shell::Shell,
    visitor::{Visitor, encoded},
};

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
    /// `company`: the company server's own lines; else the information-management server's.
    #[serde(default)]
    node: String,
    /// Lines about followers of this account; empty: of none.
    #[serde(default)]
    account: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    page: String,
}

impl Choice {
    fn is_company(&self) -> bool {
        self.node != "information"
    }
}

/// A line of either.
struct Line {
    audit_id: i64,
    write_time: Option<Timestamp>,
    follower_id: String,
    action: String,
    detail: String,
}

/// What the seals are found to be.
struct Verdict {
    broken: String,
    is_late: bool,
    head: String,
    /// Lines, seals and lines that wait; of the server that has other companies' lines, too, it is not told.
    counts: Option<(u64, u64, u64)>,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Page {
    s: Shell,
    choice: Choice,
    accounts: Vec<String>,
    lines: Vec<Line>,
    next: String,
    verdict: Option<Verdict>,
}

impl Page {
    /// Whose lines, for the addresses of other pages.
    fn query(&self) -> String {
        let node = if self.choice.is_company() { "company" } else { "information" };
        format!("node={node}&account={}", encoded(&self.choice.account))
    }
}

async fn read(visitor: &Visitor, choice: &Choice, page_size: u32) -> Result<(Vec<Line>, String), Failure> {
    let Choice { account: official_account, action, text, page: page_token, .. } = choice.clone();
    let action = action.trim().to_owned();
    if choice.is_company() {
        let request = company::ListAuditLinesRequest { action, text, page_size, page_token };
        let read = visitor.audit().list_audit_lines(request).await?.into_inner();
        let line = |it: company::AuditLine| Line {
            audit_id: it.audit_id,
            write_time: it.write_time,
            follower_id: String::new(),
            action: it.action,
            detail: it.detail,
        };
        return Ok((read.lines.into_iter().map(line).collect(), read.next_page_token));
    }
    let request = information::ListInformationAuditLinesRequest {
        official_account,
        action,
        text,
        page_size,
        page_token,
    };
    let read = visitor.information_audit().list_information_audit_lines(request).await?.into_inner();
    let line = |it: information::AuditLine| Line {
        audit_id: it.audit_id,
        write_time: it.write_time,
        follower_id: it.follower_id,
        action: it.action,
        detail: it.detail,
    };
    Ok((read.lines.into_iter().map(line).collect(), read.next_page_token))
}

async fn page(visitor: Visitor, Query(choice): Query<Choice>) -> Result<Html<String>, Failure> {
    shown(visitor, choice, None).await
}

async fn shown(visitor: Visitor, choice: Choice, verdict: Option<Verdict>) -> Result<Html<String>, Failure> {
    let (lines, next) = read(&visitor, &choice, PAGE.0).await?;
    let mut accounts = Vec::new();
    if !choice.is_company() {
        let request = information::ListAccountsRequest {};
        let listed = visitor.accounts().list_accounts(request).await?.into_inner().official_accounts;
        accounts.extend(listed.into_iter().map(|it| it.official_account));
    }
    Ok(Html(Page { s: visitor.s, choice, accounts, lines, next, verdict }.render()?))
}

async fn verify(visitor: Visitor, Query(choice): Query<Choice>) -> Result<Html<String>, Failure> {
    let choice = Choice { page: String::new(), ..choice };
    let verdict = if choice.is_company() {
        let it = visitor.audit().verify_audit(company::VerifyAuditRequest {}).await?.into_inner();
        let counts = Some((it.lines, it.seals, it.unsealed));
        Verdict { broken: it.broken, is_late: it.is_late, head: it.head, counts }
    } else {
        let request = information::VerifyInformationAuditRequest {};
        let it = visitor.information_audit().verify_information_audit(request).await?.into_inner();
        Verdict { broken: it.broken, is_late: it.is_late, head: it.head, counts: None }
    };
    shown(visitor, choice, Some(verdict)).await
}

async fn file(visitor: Visitor, Query(choice): Query<Choice>) -> Result<Response, Failure> {
    let (lines, next) = read(&visitor, &choice, PAGE.1).await?;
    let mut text = String::new();
    for line in &lines {
        let time = visitor.s.time(&line.write_time);
        let mut line_of =
            json!({ "audit_id": line.audit_id, "time": time, "action": line.action, "detail": line.detail });
        if !line.follower_id.is_empty() {
            line_of["follower"] = line.follower_id.clone().into();
        }
        text.push_str(&line_of.to_string());
        text.push('\n');
    }
    if !next.is_empty() {
        text.push_str(&json!({ "next": next }).to_string());
        text.push('\n');
    }
    let kind = HeaderValue::from_static("application/jsonl; charset=utf-8");
    let name = HeaderValue::from_static("attachment; filename=\"audit.jsonl\"");
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], text).into_response())
}
