//! A server's door as this very process enters it: for pages that people look at, which call what a gRPC client calls.
//!
//! Nothing of admission is left out: the caller is known by a token, the table of callers decides, refusals are counted, places and deadlines hold, a
//! draining server says so. Surprising: messages are encoded and decoded although they never leave the process. That costs microseconds, and so
//! no page can do what no call does.

use std::{
    convert::Infallible,
    fmt,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use musubi_domain::sign_in::Token;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tower::Service;

use super::{
    admission::Admission,
    client::{TIMEOUT, timeout},
    denials::Denials,
};

/// What a server serves, behind its admission. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    pub(super) admission: Admission,
    /// Calls under way, from wherever they came.
    pub(super) calls: TaskTracker,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

impl Door {
    /// Where it counts what it refused; whoever lets people in by another way counts there, too.
    #[must_use]
    pub fn denials(&self) -> Denials {
        self.admission.denials()
    }

    /// The way in for whoever has this token; without one as a stranger, who may call what is anybody's. Give it to a generated client.
    #[must_use]
    pub fn inside(&self, token: Option<&Token>) -> Inside {
        let authorization = token.and_then(|token| {
            let mut header = HeaderValue::try_from(format!("Bearer {}", token.expose())).ok()?;
            header.set_sensitive(true);
            Some(header)
        });
        Inside { admission: self.admission.clone(), authorization, deadline: None }
    }
}

/// Calls a server of this process, through its door. Cheap to clone.
#[derive(Clone)]
pub struct Inside {
    admission: Admission,
    authorization: Option<HeaderValue>,
    deadline: Option<Duration>,
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inside").finish_non_exhaustive()
    }
}

impl Inside {
    /// The same, for calls that have this long: uploads.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline: Some(deadline), ..self }
    }
}

impl Service<Request<Body>> for Inside {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.admission.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let headers = request.headers_mut();
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        if let Some(deadline) = self.deadline {
            headers.insert(TIMEOUT, timeout(deadline));
        }
        self.admission.call(request)
    }
}
