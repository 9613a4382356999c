//! Errors as Google's APIs write them, and as OAuth's token endpoint does.
//!
//! Their texts name the field and the value's shape, never the value. Surprising: a field at fault is also in the details, as a
//! `google.rpc.BadRequest`, because generic clients show it from there.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use musubi_domain::{Error, ErrorKind};
use musubi_storage::StoreError;
use serde_json::{Value, json};

/// What can go wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidArgument,
    Unauthenticated,
    PermissionDenied,
    NotFound,
    AlreadyExists,
    ResourceExhausted,
    Internal,
    Unavailable,
}

impl Code {
    const fn status(self) -> (StatusCode, &'static str) {
        match self {
            Self::InvalidArgument => (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
            Self::PermissionDenied => (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
            Self::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Self::AlreadyExists => (StatusCode::CONFLICT, "ALREADY_EXISTS"),
            Self::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        }
    }
}

/// A call's error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) code: Code,
    pub(crate) message: String,
    /// The field at fault, by its path in the request; empty when there is none.
    pub(crate) field: String,
}

impl ApiError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: String::new() }
    }

    /// About a field of the request.
    pub(crate) fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { code: Code::InvalidArgument, message: problem.into(), field: field.into() }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let code = match error.kind {
            ErrorKind::InvalidArgument | ErrorKind::FailedPrecondition => Code::InvalidArgument,
            ErrorKind::NotFound => Code::NotFound,
            ErrorKind::AlreadyExists => Code::AlreadyExists,
            ErrorKind::Unauthenticated => Code::Unauthenticated,
            ErrorKind::PermissionDenied => Code::PermissionDenied,
            ErrorKind::ResourceExhausted => Code::ResourceExhausted,
            ErrorKind::Unavailable => Code::Unavailable,
            ErrorKind::Internal => Code::Internal,
        };
        let Error { problem, remedy, field, .. } = error;
        let message = if remedy.is_empty() { problem } else { format!("{problem}; {remedy}") };
        Self { code, message, field }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Error::from(error).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { code, message, field } = self;
        let (status, name) = code.status();
        let mut error = json!({ "code": status.as_u16(), "message": &message, "status": name });
        if !field.is_empty() {
            error["message"] = format!("{field}: {message}").into();
            error["details"] = json!([{
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{ "field": field, "description": message }],
            }]);
        }
        let mut response = (status, Json(json!({ "error": error }))).into_response();
        match code {
            Code::Unauthenticated => {
                let ask = HeaderValue::from_static("Bearer realm=\"https://accounts.google.com/\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
            }
            Code::ResourceExhausted => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Code::InvalidArgument
            | Code::PermissionDenied
            | Code::NotFound
            | Code::AlreadyExists
            | Code::Internal
            | Code::Unavailable => {}
        }
        response
    }
}

/// An error of the token endpoint (RFC 6749, 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenError(pub(crate) &'static str, pub(crate) &'static str);

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let body: Value = json!({ "error": self.0, "error_description": self.1 });
        (StatusCode::BAD_REQUEST, Json(body)).into_response()
    }
}
