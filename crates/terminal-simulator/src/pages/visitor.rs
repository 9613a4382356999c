//! Who looks at a page: in which language, and whether the browser asks for a whole page or for a part of one.
//!
//! Nothing of it is remembered here but in a cookie that holds the language. Surprising: a part is asked for by a header that only
//! our own pages' script sends, and each part's address gives a whole page to whoever follows it without a script.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    response::{Html, IntoResponse as _, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode, Uri,
    header::{ACCEPT_LANGUAGE, COOKIE, SET_COOKIE},
    request::Parts,
};
use musubi_domain::{Error, ErrorKind};

use super::{
    assets,
    words::{Language, Words},
};

/// Names the language, in the query and in the cookie.
const LANGUAGE: &str = "lang";

/// Somebody at a page.
pub(super) struct Visitor {
    /// Their language.
    pub(super) language: Language,
    /// They have just chosen it.
    chose: bool,
    /// The browser puts the answer into a page that it has.
    pub(super) partial: bool,
    /// That page shows one phone, and its address follows what the phone shows.
    pub(super) alone: bool,
    uri: Uri,
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers, parts.uri.clone()))
    }
}

impl Visitor {
    fn of(headers: &HeaderMap, uri: Uri) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let partial = text("hx-request-type") == "partial";
        let page = if partial { path_of(text("hx-current-url")) } else { uri.path() };
        let alone = page.starts_with("/phones/");
        let query = uri.query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("lang="));
        let chosen = query.and_then(Language::of_tag);
        let cookies = text(COOKIE.as_str()).split(';');
        let kept = cookies
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(name, value)| (name == LANGUAGE).then(|| Language::of_tag(value)).flatten());
        // Browsers write the preferred one first.
        let preferred = text(ACCEPT_LANGUAGE.as_str()).split(',').find_map(Language::of_tag);
        let language = chosen.or(kept).or(preferred).unwrap_or(Language::Japanese);
        Self { language, chose: chosen.is_some(), partial, alone, uri }
    }

    /// The words of the language.
    pub(super) const fn words(&self) -> &'static Words {
        self.language.words()
    }

    /// What every whole page has around it.
    pub(super) fn frame(&self) -> Frame {
        let rest = self.uri.query().unwrap_or_default().split('&');
        let rest: Vec<&str> = rest.filter(|pair| !pair.is_empty() && !pair.starts_with("lang=")).collect();
        let other = self.language.other();
        let separator = if rest.is_empty() { "" } else { "&" };
        Frame {
            words: self.words(),
            language: self.language.tag(),
            other,
            switch: format!("{}?{}{separator}{LANGUAGE}={}", self.uri.path(), rest.join("&"), other.tag()),
            files: assets::addresses(),
        }
    }

    /// A page or a part of one.
    pub(super) fn show(&self, page: &impl askama::Template) -> Response {
        self.show_with(StatusCode::OK, page)
    }

    fn show_with(&self, status: StatusCode, page: &impl askama::Template) -> Response {
        let Ok(text) = page.render() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
        let mut response = (status, Html(text)).into_response();
        if self.chose {
            let cookie = format!(
                "{LANGUAGE}={}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly",
                self.language.tag()
            );
            if let Ok(cookie) = HeaderValue::from_str(&cookie) {
                response.headers_mut().insert(SET_COOKIE, cookie);
            }
        }
        response
    }

    /// What went wrong, in the person's words: a sentence for a part, a page for whoever asked for one.
    pub(super) fn refuse(&self, error: &Error) -> Response {
        let status = match error.kind {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::InvalidArgument => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::AlreadyExists | ErrorKind::FailedPrecondition => StatusCode::CONFLICT,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Unauthenticated
            | ErrorKind::PermissionDenied
            | ErrorKind::ResourceExhausted
            | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let sentence = self.words().error(error);
        if self.partial {
            return (status, sentence).into_response();
        }
        self.show_with(status, &Trouble { frame: self.frame(), sentence })
    }
}

/// The path of an address.
fn path_of(address: &str) -> &str {
    let behind = address.split_once("://").map_or(address, |(_, behind)| behind);
    let path = behind.find('/').map_or("", |at| &behind[at..]);
    path.split(['?', '#']).next().unwrap_or_default()
}

/// What every whole page has around it.
pub(super) struct Frame {
    pub(super) words: &'static Words,
    pub(super) language: &'static str,
    pub(super) other: Language,
    /// The same page in the other language.
    pub(super) switch: String,
    pub(super) files: &'static assets::Addresses,
}

#[derive(askama::Template)]
#[template(path = "trouble.html")]
struct Trouble {
    frame: Frame,
    sentence: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitor(uri: &str, headers: &[(&'static str, &str)]) -> Visitor {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Visitor::of(&headers, uri.parse().unwrap())
    }

    #[test]
    fn the_language_is_the_chosen_one_then_the_kept_one_then_the_browsers() {
        for (uri, cookie, accepted, language) in [
            ("/", "", "", Language::Japanese),
            ("/", "", "fr-FR, en-GB;q=0.7, ja;q=0.2", Language::English),
            ("/", "", "ja-JP,ja", Language::Japanese),
            ("/", "other=1; lang=en", "ja", Language::English),
            ("/?lang=ja", "lang=en", "en", Language::Japanese),
            ("/?lang=%3Cscript%3E", "lang=\"><script>", "*", Language::Japanese),
        ] {
            let found = visitor(uri, &[("cookie", cookie), ("accept-language", accepted)]).language;
            assert_eq!(found, language, "{uri} {cookie} {accepted}");
        }
    }

    #[test]
    fn the_switch_keeps_the_page() {
        let frame = visitor("/phones?n=8190&lang=en&n=8180", &[]).frame();
        assert_eq!(frame.switch, "/phones?n=8190&n=8180&lang=ja");
        assert_eq!(visitor("/", &[("accept-language", "ja")]).frame().switch, "/?lang=en");
    }

    #[test]
    fn only_the_script_asks_for_parts_and_a_phone_may_be_alone() {
        assert!(!visitor("/phones/8190", &[]).partial && visitor("/phones/8190", &[]).alone);
        let part = |page: &str| {
            let page = format!("http://127.0.0.1:7080{page}");
            visitor("/phones/8190", &[("hx-request-type", "partial"), ("hx-current-url", &page)])
        };
        assert!(part("/phones/8190").alone && !part("/phones?n=8190").alone && part("/").partial);
    }
}
