//! The only place that makes a `tonic::Status`, and the one table between our kinds of error and gRPC's codes.
//!
//! Field, problem and remedy travel as `google.rpc.ErrorInfo`, so that [`from_status`] gives back the error that [`to_status`]
//! took; a field also travels as `google.rpc.BadRequest`, which other people's tools show. Surprising: the text of an internal
//! error never goes out. It is logged under a random id, and the id goes out.
#![expect(clippy::disallowed_methods, reason = "the only place that makes a tonic::Status")]

use std::collections::HashMap;

use musubi_domain::{Error, ErrorKind};
use tonic::{Code, Status};
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
    let error = match error.kind {
        ErrorKind::Internal => conceal(&error),
        ErrorKind::InvalidArgument
        | ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::FailedPrecondition
        | ErrorKind::Unauthenticated
        | ErrorKind::PermissionDenied
        | ErrorKind::ResourceExhausted
        | ErrorKind::Unavailable => error,
    };
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

/// The call took longer than its deadline.
pub(crate) fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("the call took longer than its deadline; repeat it, or give it more time")
}

fn conceal(error: &Error) -> Error {
    let id: String = entropy::bytes::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
    error!(error_id = %id, %error, "internal error {id}");
    Error::new(ErrorKind::Internal, format!("internal error {id}"), "give this id to the operator")
}
