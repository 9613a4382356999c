//! In which language a page speaks: Japanese or English, as its visitor chose, or as the browser asks.
//!
//! Texts stand where they are said, in both languages, so that none can be missing. Surprising: without any sign it is Japanese.

use axum::http::{HeaderMap, header::ACCEPT_LANGUAGE};

use super::visitor::cookie;

/// The cookie of a choice.
pub(super) const COOKIE: &str = "musubi-language";

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// 日本語
    Japanese,
    /// English
    English,
}

impl Language {
    /// What it is called in `lang` and in cookies.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Japanese => "ja",
            Self::English => "en",
        }
    }

    /// The language of this code.
    pub(super) fn of(code: &str) -> Option<Self> {
        [Self::Japanese, Self::English].into_iter().find(|language| language.code() == code)
    }

    /// One of the two texts.
    pub(super) const fn say(self, japanese: &'static str, english: &'static str) -> &'static str {
        match self {
            Self::Japanese => japanese,
            Self::English => english,
        }
    }

    /// Chosen, else the first of the browser's that there is.
    pub(super) fn asked(headers: &HeaderMap) -> Self {
        let chosen = cookie(headers, COOKIE).and_then(Self::of);
        let accepted = || {
            let header = headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?;
            header.split(',').find_map(|range| Self::of(range.trim().get(..2)?))
        };
        chosen.or_else(accepted).unwrap_or(Self::Japanese)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};

    use super::*;

    #[test]
    fn a_choice_comes_before_what_the_browser_asks_for() {
        let asked = |accepted: &'static str, cookies: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(accepted));
            headers.insert(header::COOKIE, HeaderValue::from_static(cookies));
            Language::asked(&headers)
        };
        assert_eq!(asked("de-DE, en;q=0.8, ja;q=0.5", ""), Language::English);
        assert_eq!(asked("ja-JP,en", ""), Language::Japanese);
        assert_eq!(asked("en", "a=b; musubi-language=ja"), Language::Japanese);
        assert_eq!(asked("en", "musubi-language=xx"), Language::English);
        for nothing in ["", "de", "d", ",,"] {
            assert_eq!(asked(nothing, ""), Language::Japanese, "{nothing}");
        }
    }
}
