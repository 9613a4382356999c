//! Who looks: a session's token in a cookie, and the calls that it opens.
//!
//! The cookie holds what `musubi session begin` writes into a file, and is good for as long. Surprising: its name has the company's, because cookies don't tell ports
//! apart, and two companies' consoles may stand on one machine.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use musubi_domain::{
    Error, ErrorKind,
    sign_in::{Token, TokenKind},
};
use musubi_proto::{
    company::v1::{
        WhoAmIRequest, audit_service_client::AuditServiceClient,
        customer_service_client::CustomerServiceClient, operator_service_client::OperatorServiceClient,
        session_service_client::SessionServiceClient, sign_in_service_client::SignInServiceClient,
    },
    convert::people,
    information::v1::{
        account_service_client::AccountServiceClient, approval_service_client::ApprovalServiceClient,
        audit_service_client::AuditServiceClient as InformationAuditClient,
        distribution_service_client::DistributionServiceClient,
        follower_service_client::FollowerServiceClient, review_service_client::ReviewServiceClient,
    },
};
use musubi_runtime::grpc::{MAX_MESSAGE_BYTES, door::Inside};

use super::{
    Console,
    failure::Failure,
    language::Language,
    shell::{Shell, done},
};
use crate::proxy::UPLOAD_DEADLINE;

/// A person who has signed in.
pub(super) struct Visitor {
    console: Console,
    token: Arc<Token>,
    /// The frame of the page.
    pub(super) s: Shell,
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|header| header.to_str().ok());
    cookies.flat_map(|header| header.split(';')).find_map(|pair| {
        let (found, value) = pair.trim().split_once('=')?;
        (found == name).then_some(value)
    })
}

fn cookie_name(console: &Console) -> String {
    let prefix = if console.0.is_secure { "__Host-" } else { "" };
    format!("{prefix}musubi-session-{}", console.0.company)
}

/// The header that gives a browser its session. It ends with the browser, or when the session does.
pub(super) fn remembered(console: &Console, token: &str) -> HeaderValue {
    cookie_header(&cookie_name(console), token, console, "; HttpOnly")
}

/// The header that takes it away.
pub(super) fn forgotten(console: &Console) -> HeaderValue {
    cookie_header(&cookie_name(console), "", console, "; HttpOnly; Max-Age=0")
}

/// The header of a cookie, for this site's own pages alone.
pub(super) fn cookie_header(name: &str, value: &str, console: &Console, more: &str) -> HeaderValue {
    let secure = if console.0.is_secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; SameSite=Strict{secure}{more}");
    let mut header = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}

/// A text as the value of a query.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// The value of a parameter in an address whose values are plain words.
pub(super) fn parameter<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    let pairs = parts.uri.query().unwrap_or_default().split('&');
    pairs.filter_map(|pair| pair.split_once('=')).find_map(|(found, value)| (found == name).then_some(value))
}

/// The frame of a page of somebody who is not known.
pub(super) fn strangers(console: &Console, parts: &Parts) -> Shell {
    let language = Language::asked(&parts.headers);
    Shell {
        language,
        company: console.0.company.to_string(),
        name: String::new(),
        roles: Vec::new(),
        path: parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        done: parameter(parts, "done").and_then(|code| done(code, language)),
    }
}

/// Whose session this is, for a browser that shows it first.
pub(super) async fn who(
    console: &Console,
    token: &Token,
) -> Result<(String, Vec<musubi_domain::caller::Role>), Failure> {
    if token.kind() != TokenKind::Session {
        return Err(nobody().into());
    }
    let mut calls = SignInServiceClient::new(console.0.door.inside(Some(token)));
    let who = calls.who_am_i(WhoAmIRequest {}).await?.into_inner();
    Ok((who.name, people::roles(&who.roles)?))
}

fn nobody() -> Error {
    Error::new(ErrorKind::Unauthenticated, "nobody has signed in", "sign in")
}

impl FromRequestParts<Console> for Visitor {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Failure> {
        let kept = cookie(&parts.headers, &cookie_name(console));
        let token: Token = kept.and_then(|kept| kept.parse().ok()).ok_or_else(nobody)?;
        let (name, roles) = who(console, &token).await?;
        let s = Shell { name, roles, ..strangers(console, parts) };
        Ok(Self { console: console.clone(), token: Arc::new(token), s })
    }
}

/// Whoever comes, known or not.
pub(super) struct Stranger(pub(super) Shell);

impl FromRequestParts<Console> for Stranger {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Self::Rejection> {
        Ok(Self(strangers(console, parts)))
    }
}

macro_rules! clients {
    ($($name:ident: $client:ident,)+) => {
        $(
            pub(super) fn $name(&self) -> $client<Inside> {
                $client::new(self.inside()).max_decoding_message_size(MAX_MESSAGE_BYTES)
            }
        )+
    };
}

/// The calls of this server, as the visitor's.
impl Visitor {
    /// Whether people may come from the company's provider of OpenID Connect.
    pub(super) fn has_openid(&self) -> bool {
        self.console.0.has_openid
    }

    fn inside(&self) -> Inside {
        self.console.0.door.inside(Some(&self.token))
    }

    clients! {
        accounts: AccountServiceClient,
        approvals: ApprovalServiceClient,
        audit: AuditServiceClient,
        customers: CustomerServiceClient,
        distributions: DistributionServiceClient,
        followers: FollowerServiceClient,
        information_audit: InformationAuditClient,
        operators: OperatorServiceClient,
        reviews: ReviewServiceClient,
        session: SignInServiceClient,
        sessions: SessionServiceClient,
    }

    /// With time for a file.
    pub(super) fn uploads(&self) -> DistributionServiceClient<Inside> {
        DistributionServiceClient::new(self.inside().with_deadline(UPLOAD_DEADLINE))
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// With time for a file.
    pub(super) fn imports(&self) -> CustomerServiceClient<Inside> {
        CustomerServiceClient::new(self.inside().with_deadline(UPLOAD_DEADLINE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("xa=1; a=2;b=3"));
        headers.append(header::COOKIE, HeaderValue::from_static("c=4=5"));
        let found = |name| cookie(&headers, name);
        assert_eq!(
            (found("a"), found("b"), found("c"), found("x")),
            (Some("2"), Some("3"), Some("4=5"), None)
        );
    }

    #[test]
    fn what_stands_in_an_address_is_one_value() {
        assert_eq!(encoded("/reviews?a=b&c=d#e 山"), "%2Freviews%3Fa%3Db%26c%3Dd%23e%20%E5%B1%B1");
    }
}
