//! The only place that makes a `tonic::Status`, and the one table between our kinds of error and gRPC's codes.
//!
//! Field, problem and remedy travel as `google.rpc.ErrorInfo`, so that [`from_status`] gives back the error that [`to_status`]
//! took; a field also travels as `google.rpc.BadRequest`, which other people's tools show. Surprising: the text of an internal
//! error never goes out. It is logged under a random id, and the id goes out.
#![expect(clippy::disallowed_methods, reason = "the only place that makes a tonic::Status")]

use std::{collections::HashMap, error::Error as StdError, iter, time::Duration};

use jiff::SignedDuration;
use musubi_domain::{Error, ErrorKind};
use tonic::{Code, Status, TimeoutExpired};
use tonic_types::{ErrorDetails, StatusExt as _};
use tracing::error;

use crate::entropy;

const DOMAIN: &str = "musubi";
const FIELD: &str = "field";
const PROBLEM: &str = "problem";
const REMEDY: &str = "remedy";

/// The gRPC code of a kind, and its name in `ErrorInfo.reason`.
const fn code(kind: ErrorKind) -> (Code, &'static str) {
    match kind {
        ErrorKind::InvalidArgument => (Code::InvalidArgument, "INVALID_ARGUMENT"),
        ErrorKind::NotFound => (Code::NotFound, "NOT_FOUND"),
        ErrorKind::AlreadyExists => (Code::AlreadyExists, "ALREADY_EXISTS"),
        ErrorKind::FailedPrecondition => (Code::FailedPrecondition, "FAILED_PRECONDITION"),
        ErrorKind::Unauthenticated => (Code::Unauthenticated, "UNAUTHENTICATED"),
        ErrorKind::PermissionDenied => (Code::PermissionDenied, "PERMISSION_DENIED"),
        ErrorKind::ResourceExhausted => (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
        ErrorKind::Unavailable => (Code::Unavailable, "UNAVAILABLE"),
        ErrorKind::Internal => (Code::Internal, "INTERNAL"),
    }
}

/// The code of an answer as metrics name it. An answer that streams is `OK` when it begins.
pub(super) fn word<T>(answer: &Result<http::Response<T>, Status>) -> &'static str {
    match code_of(answer) {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

fn code_of<T>(answer: &Result<http::Response<T>, Status>) -> Code {
    match answer {
        Ok(response) => Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code()),
        Err(status) => status.code(),
    }
}

/// The same, when what was asked for is refused. What this node could not do, and may do when it is asked again, is no refusal; that a
/// message can't be read is INTERNAL, as gRPC has it.
pub(super) fn refusal<T>(answer: &Result<http::Response<T>, Status>) -> Option<&'static str> {
    match code_of(answer) {
        Code::Ok | Code::Cancelled | Code::DeadlineExceeded | Code::Unavailable | Code::Aborted => None,
        Code::Unknown
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss
        | Code::Unauthenticated => Some(word(answer)),
    }
}

/// The name of a kind on the wire: what an audit says of one that was refused among others.
#[must_use]
pub const fn reason(kind: ErrorKind) -> &'static str {
    code(kind).1
}

/// The kind of a code; codes that only a library or a network gives take the kind that says whether repeating helps.
const fn kind(code: Code) -> ErrorKind {
    match code {
        Code::InvalidArgument | Code::OutOfRange => ErrorKind::InvalidArgument,
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::FailedPrecondition | Code::Unimplemented => ErrorKind::FailedPrecondition,
        Code::Unauthenticated => ErrorKind::Unauthenticated,
        Code::PermissionDenied => ErrorKind::PermissionDenied,
        Code::ResourceExhausted => ErrorKind::ResourceExhausted,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted => {
            ErrorKind::Unavailable
        }
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => ErrorKind::Internal,
    }
}

/// The status that a handler answers with: `store.get(id).await.map_err(to_status)?`.
///
/// An internal error is logged here, once, under the id that goes out in its place.
pub fn to_status(error: impl Into<Error>) -> Status {
    let error = error.into();
    let error = if error.kind == ErrorKind::Internal { conceal(&error) } else { error };
    let (code, reason) = code(error.kind);
    let message = error.to_string();
    let Error { kind: _, field, problem, remedy } = error;
    let mut details = ErrorDetails::new();
    if !field.is_empty() {
        details.add_bad_request_violation(&field, &problem);
    }
    let texts = [(FIELD, field), (PROBLEM, problem), (REMEDY, remedy)];
    let texts: HashMap<_, _> = texts.map(|(name, text)| (name.to_owned(), text)).into();
    details.set_error_info(reason, DOMAIN, texts);
    Status::with_error_details(code, message, details)
}

/// The error that a status brought. One that isn't ours (a network's, a library's) becomes an error of the nearest kind with
/// the status's message as its problem.
#[must_use]
pub fn from_status(status: &Status) -> Error {
    let kind = kind(status.code());
    match status.get_details_error_info() {
        Some(info) if info.domain == DOMAIN => {
            let mut texts = info.metadata;
            let mut text = |name| texts.remove(name).unwrap_or_default();
            Error { kind, field: text(FIELD), problem: text(PROBLEM), remedy: text(REMEDY) }
        }
        Some(_) | None => Error::new(kind, status.message(), ""),
    }
}

/// How long to wait before repeating, where a status says so.
#[must_use]
pub fn retry_after(status: &Status) -> Option<SignedDuration> {
    let wait = status.get_details_retry_info()?.retry_delay?;
    SignedDuration::try_from(wait).ok().filter(SignedDuration::is_positive)
}

/// Its caller calls too often, and may again after this.
pub(super) fn too_often(wait: Duration) -> Status {
    let problem = "you call more often than you may";
    let remedy = "slow down, and repeat it after the time that is said; batches are one call";
    let status = to_status(Error::new(ErrorKind::ResourceExhausted, problem, remedy));
    let mut details = status.get_error_details();
    details.set_retry_info(Some(wait));
    Status::with_error_details(status.code(), status.message(), details)
}

/// The call took longer than its deadline.
pub(crate) fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("the call took longer than its deadline; repeat it, or give it more time")
}

/// What tonic's transport failed with, as UNAVAILABLE. It says UNKNOWN, INTERNAL or CANCELLED, as it finds, but a peer that
/// died in the middle of a call acknowledged nothing, and repeating helps. Its own timer's end is DEADLINE_EXCEEDED.
pub(crate) fn broken(error: Box<dyn StdError + Send + Sync>) -> Status {
    let first: &(dyn StdError + 'static) = &*error;
    if iter::successors(Some(first), |&error| error.source()).any(|error| error.is::<TimeoutExpired>()) {
        return deadline_exceeded();
    }
    let status = Status::from_error(error);
    if !matches!(status.code(), Code::Unknown | Code::Internal | Code::Cancelled | Code::Unavailable) {
        return status;
    }
    let problem = format!("the peer does not answer: {}", status.message());
    to_status(Error::new(ErrorKind::Unavailable, problem, "repeat it"))
}

fn conceal(error: &Error) -> Error {
    let id: String = entropy::bytes::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
    error!(error_id = %id, %error, "internal error {id}");
    Error::new(ErrorKind::Internal, format!("internal error {id}"), "give this id to the operator")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ErrorKind; 9] = [
        ErrorKind::InvalidArgument,
        ErrorKind::NotFound,
        ErrorKind::AlreadyExists,
        ErrorKind::FailedPrecondition,
        ErrorKind::Unauthenticated,
        ErrorKind::PermissionDenied,
        ErrorKind::ResourceExhausted,
        ErrorKind::Unavailable,
        ErrorKind::Internal,
    ];

    #[test]
    fn every_kind_survives_the_wire_with_its_texts() {
        for kind in KINDS.into_iter().filter(|kind| *kind != ErrorKind::Internal) {
            for field in ["", "carrier[0].名前"] {
                let error =
                    Error { kind, field: field.into(), problem: "悪い".into(), remedy: "mend it".into() };
                let mut response: http::Response<()> = to_status(error.clone()).into_http();
                let status = Status::from_header_map(response.headers_mut()).unwrap();
                assert_eq!(from_status(&status), error);
                assert_eq!(status.message(), error.to_string());
            }
        }
    }

    #[test]
    fn tools_of_others_find_the_field_in_a_bad_request() {
        let status = to_status(Error::invalid("phone_number", "not E.164", "write +81"));
        let violations = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(
            (violations[0].field.as_str(), violations[0].description.as_str()),
            ("phone_number", "not E.164")
        );
    }

    #[test]
    fn a_wait_is_read_where_a_status_has_one() {
        let with = |wait| {
            let details = ErrorDetails::with_retry_info(Some(wait));
            Status::with_error_details(Code::ResourceExhausted, "too much", details)
        };
        let wait = Duration::from_millis(1_500);
        assert_eq!(retry_after(&with(wait)), Some(SignedDuration::from_millis(1_500)));
        assert_eq!(retry_after(&with(Duration::ZERO)), None);
        assert_eq!(retry_after(&Status::new(Code::ResourceExhausted, "too much")), None);
    }

    #[test]
    fn text_of_an_internal_error_stays_inside() {
        let error = Error::new(ErrorKind::Internal, "table followers is corrupt", "restore it").at("shard");
        let status = to_status(error);
        assert_eq!(status.code(), Code::Internal);
        let shown = format!("{} {:?}", status.message(), from_status(&status));
        assert!(
            !shown.contains("followers") && !shown.contains("restore") && !shown.contains("shard"),
            "{shown}"
        );
        let id = from_status(&status).problem.replace("internal error ", "");
        assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    }

    #[test]
    fn status_of_others_keeps_its_message_and_takes_the_nearest_kind() {
        let cases = [
            (Code::DeadlineExceeded, ErrorKind::Unavailable),
            (Code::Cancelled, ErrorKind::Unavailable),
            (Code::Aborted, ErrorKind::Unavailable),
            (Code::OutOfRange, ErrorKind::InvalidArgument),
            (Code::Unimplemented, ErrorKind::FailedPrecondition),
            (Code::Unknown, ErrorKind::Internal),
            (Code::DataLoss, ErrorKind::Internal),
        ];
        for (code, kind) in cases {
            assert_eq!(from_status(&Status::new(code, "theirs")), Error::new(kind, "theirs", ""));
        }
        for kind in KINDS {
            assert_eq!(super::kind(code(kind).0), kind);
        }
    }
}
