//! Who calls: bearer tokens into callers, and what a handler asks about its caller.
//!
//! A handler never reads a caller out of a message. How a caller is found stands in one place, `Authenticator::identify`.
//! Surprising: a token is compared with every known one, always, so that the time taken tells nothing.

use std::{fmt, sync::Arc};

use http::{HeaderMap, header::AUTHORIZATION};
use musubi_domain::{
    Error, ErrorKind,
    id::{CarrierId, CompanyId, OperatorName},
};
use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};
use tonic::{Request, Status};
use tracing::warn;

use super::status::to_status;
use crate::config::Secret;

/// The fewest characters of a token.
const SHORTEST_TOKEN: usize = 16;

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A company's server, or its people.
    Company(CompanyId),
    /// A carrier.
    Carrier(CarrierId),
    /// The information-management server.
    Information,
    /// An operator of the called node, by name.
    Operator(OperatorName),
    /// A consumer's terminal.
    Terminal,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Company(id) => write!(f, "company {id}"),
            Self::Carrier(id) => write!(f, "carrier {id}"),
            Self::Information => f.write_str("information"),
            Self::Operator(name) => write!(f, "operator {name}"),
            Self::Terminal => f.write_str("terminal"),
        }
    }
}

/// Finds the caller of a request. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator(Arc<[([u8; 32], Caller)]>);

impl Authenticator {
    /// Knows these tokens. A caller may have several, so that they can be rotated.
    ///
    /// # Errors
    /// When a token is shorter than 16 characters, can't stand in a header, or belongs to two callers; `field` is `token`.
    pub fn new(tokens: Vec<(Secret, Caller)>) -> Result<Self, Error> {
        let mut known: Vec<([u8; 32], Caller)> = Vec::with_capacity(tokens.len());
        for (token, caller) in tokens {
            check_token(&token, "token")
                .map_err(|error| Error { problem: format!("{caller}: {}", error.problem), ..error })?;
            let digest = digest(token.expose().as_bytes());
            if let Some((_, other)) = known.iter().find(|(known, other)| *known == digest && *other != caller)
            {
                let problem = format!("{caller} and {other} have the same token");
                return Err(Error::invalid("token", problem, "give each its own"));
            }
            known.push((digest, caller));
        }
        Ok(Self(known.into()))
    }

    /// The caller, by the `authorization` header.
    ///
    /// # Errors
    /// `Unauthenticated` when there is no bearer token, or it isn't known.
    pub(crate) fn identify(&self, headers: &HeaderMap) -> Result<Caller, Error> {
        let refused = |problem| {
            Error::new(ErrorKind::Unauthenticated, problem, "send authorization: Bearer and a known token")
        };
        let header = headers.get(AUTHORIZATION).ok_or_else(|| refused("no authorization"))?;
        let token =
            bearer(header.as_bytes()).ok_or_else(|| refused("the authorization is no bearer token"))?;
        let digest = digest(token);
        let mut found = u32::MAX;
        for (index, (known, _)) in (0_u32..).zip(self.0.iter()) {
            found.conditional_assign(&index, known.ct_eq(&digest));
        }
        let caller = usize::try_from(found).ok().and_then(|found| self.0.get(found));
        caller.map(|(_, caller)| caller.clone()).ok_or_else(|| refused("the token is not known"))
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authenticator({} tokens)", self.0.len())
    }
}

/// Whether a token is long enough and can stand in a header.
///
/// # Errors
/// `InvalidArgument` at `field` when not.
pub fn check_token(token: &Secret, field: &str) -> Result<(), Error> {
    let text = token.expose();
    if text.len() >= SHORTEST_TOKEN && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let problem = format!("a token of {}", musubi_domain::error::shape(text));
    Err(Error::invalid(
        field,
        problem,
        "give at least 16 visible ASCII characters without spaces, best random",
    ))
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

/// Who calls.
///
/// # Errors
/// UNAUTHENTICATED when the request came past the door; that is a fault of ours.
pub fn caller<T>(request: &Request<T>) -> Result<&Caller, Status> {
    let unknown = || to_status(Error::new(ErrorKind::Unauthenticated, "the caller is not known", ""));
    request.extensions().get().ok_or_else(unknown)
}

/// The company that calls.
///
/// # Errors
/// PERMISSION_DENIED when another does.
pub fn company<T>(request: &Request<T>) -> Result<CompanyId, Status> {
    match caller(request)? {
        Caller::Company(id) => Ok(id.clone()),
        other @ (Caller::Carrier(_) | Caller::Information | Caller::Operator(_) | Caller::Terminal) => {
            Err(denied(other, "a company"))
        }
    }
}

/// The carrier that calls.
///
/// # Errors
/// PERMISSION_DENIED when another does.
pub fn carrier<T>(request: &Request<T>) -> Result<CarrierId, Status> {
    match caller(request)? {
        Caller::Carrier(id) => Ok(id.clone()),
        other @ (Caller::Company(_) | Caller::Information | Caller::Operator(_) | Caller::Terminal) => {
            Err(denied(other, "a carrier"))
        }
    }
}

/// Only the information-management server calls.
///
/// # Errors
/// PERMISSION_DENIED when another does.
pub fn information<T>(request: &Request<T>) -> Result<(), Status> {
    only(request, &Caller::Information, "the information-management server")
}

/// The operator who calls.
///
/// # Errors
/// PERMISSION_DENIED when another does.
pub fn operator<T>(request: &Request<T>) -> Result<OperatorName, Status> {
    match caller(request)? {
        Caller::Operator(name) => Ok(name.clone()),
        other @ (Caller::Company(_) | Caller::Carrier(_) | Caller::Information | Caller::Terminal) => {
            Err(denied(other, "an operator"))
        }
    }
}

/// Only a terminal calls.
///
/// # Errors
/// PERMISSION_DENIED when another does.
pub fn terminal<T>(request: &Request<T>) -> Result<(), Status> {
    only(request, &Caller::Terminal, "a terminal")
}

fn only<T>(request: &Request<T>, wanted: &Caller, name: &str) -> Result<(), Status> {
    let caller = caller(request)?;
    if caller == wanted { Ok(()) } else { Err(denied(caller, name)) }
}

fn denied(caller: &Caller, wanted: &str) -> Status {
    let problem = format!("this call is for {wanted} and came from {caller}");
    warn!("refused: {problem}");
    to_status(Error::new(ErrorKind::PermissionDenied, problem, "call with the token of one who may"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator_sato() -> Caller {
        Caller::Operator("sato".parse().unwrap())
    }

    fn known() -> Authenticator {
        let company = || Caller::Company("tf-bank".parse().unwrap());
        let callers = [
            ("token-of-the-bank-old", company()),
            ("token-of-the-bank-new", company()),
            ("token-of-operators", operator_sato()),
        ];
        Authenticator::new(callers.map(|(token, caller)| (Secret::new(token), caller)).into()).unwrap()
    }

    fn identify(authorization: &'static str) -> Result<Caller, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, http::HeaderValue::from_static(authorization));
        known().identify(&headers)
    }

    #[test]
    fn each_token_of_a_caller_finds_it() {
        for token in ["Bearer token-of-the-bank-old", "bearer token-of-the-bank-new"] {
            assert_eq!(identify(token).unwrap(), Caller::Company("tf-bank".parse().unwrap()));
        }
        assert_eq!(identify("Bearer token-of-operators").unwrap(), operator_sato());
        for wrong in
            ["Bearer token-of-operator", "Bearer token-of-operatorss", "Bearer", "token-of-operators"]
        {
            let error = identify(wrong).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unauthenticated);
            assert!(!error.to_string().contains("operators"), "{error}");
        }
    }

    #[test]
    fn token_that_is_short_odd_or_shared_is_refused_without_being_shown() {
        let refused = |tokens: &[(&str, Caller)]| {
            let tokens = tokens.iter().map(|(token, caller)| (Secret::new(*token), caller.clone())).collect();
            let error = Authenticator::new(tokens).unwrap_err();
            assert_eq!(error.field, "token");
            error.to_string()
        };
        for token in ["", "fifteen-letters", "with spaces in it, long", "改行を含むトークンは使えない"]
        {
            let sentence = refused(&[(token, operator_sato())]);
            assert!(
                sentence.starts_with("token: operator sato: a token of ")
                    && (token.is_empty() || !sentence.contains(token))
            );
        }
        let shared = "the-same-for-everyone";
        let sentence = refused(&[(shared, operator_sato()), (shared, Caller::Information)]);
        assert_eq!(sentence, "token: information and operator sato have the same token; give each its own");
        let kato = Caller::Operator("kato".parse().unwrap());
        let sentence = refused(&[(shared, operator_sato()), (shared, kato)]);
        assert!(
            sentence.contains("operator kato and operator sato"),
            "two people are two callers: {sentence}"
        );
    }

    #[test]
    fn each_question_is_answered_only_for_its_caller() {
        let callers = [
            Caller::Company("tf-bank".parse().unwrap()),
            Caller::Carrier("north".parse().unwrap()),
            Caller::Information,
            operator_sato(),
            Caller::Terminal,
        ];
        type Question = fn(&Request<()>) -> Result<(), Status>;
        let questions: [Question; 5] = [
            |request| company(request).map(drop),
            |request| carrier(request).map(drop),
            information,
            |request| operator(request).map(drop),
            terminal,
        ];
        for (who, caller) in callers.iter().enumerate() {
            let mut request = Request::new(());
            request.extensions_mut().insert(caller.clone());
            for (question, ask) in questions.iter().enumerate() {
                let code = ask(&request).map_err(|status| status.code());
                assert_eq!(
                    code,
                    if who == question { Ok(()) } else { Err(tonic::Code::PermissionDenied) },
                    "{caller}"
                );
            }
        }
        assert_eq!(operator(&Request::new(())).unwrap_err().code(), tonic::Code::Unauthenticated);
    }
}
