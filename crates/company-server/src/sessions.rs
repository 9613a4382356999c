//! `SessionService`: people see where they are signed in, and end it; administrators see and end everybody's.
//!
//! Surprising: what ends is told in the audit only when something did, so that a repetition tells nothing twice.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use jiff::Timestamp;
use musubi_domain::{
    Error,
    id::OperatorName,
    session::{SessionId, SessionWay},
    sign_in::{TokenDigest, TokenKind},
};
use musubi_proto::{
    company::v1::{self as wire, session_service_server::SessionService},
    convert::content::timestamp,
};
use musubi_runtime::{
    Clock,
    grpc::{auth, status::to_status},
};
use musubi_storage::{
    company::{CompanyStore, Note},
    people::{Operator, PeopleStore},
    sessions::{Session, Which},
};
use tonic::{Request, Response, Status};
use tracing::info;

use crate::{config::SignInConfig, people::token};

/// The service.
pub(crate) struct Sessions {
    store: Arc<dyn PeopleStore>,
    audit: Arc<dyn CompanyStore>,
    clock: Arc<dyn Clock>,
    config: SignInConfig,
}

impl Sessions {
    pub(crate) fn new(
        store: Arc<dyn PeopleStore>,
        audit: Arc<dyn CompanyStore>,
        clock: Arc<dyn Clock>,
        config: SignInConfig,
    ) -> Self {
        Self { store, audit, clock, config }
    }

    /// The sessions of one, or of all, as they are shown to who calls with this session.
    async fn list(
        &self,
        name: Option<&OperatorName>,
        caller: Option<TokenDigest>,
    ) -> Result<Vec<wire::Session>, Error> {
        let now = self.clock.now();
        let ago = |time: Duration| now.checked_sub(time).unwrap_or(Timestamp::MIN);
        let found = self.store.list_sessions(name, ago(self.config.session), ago(self.config.idle)).await?;
        let caller = caller.as_ref().map(SessionId::of);
        Ok(found.into_iter().map(|it| self.shown(it, caller)).collect())
    }

    fn shown(&self, session: Session, caller: Option<SessionId>) -> wire::Session {
        let way = match session.way {
            SessionWay::Unknown => wire::SessionWay::Unspecified,
            SessionWay::Console => wire::SessionWay::Console,
            SessionWay::CommandLine => wire::SessionWay::CommandLine,
        };
        wire::Session {
            name: session.name.to_string(),
            session_id: session.id.to_string(),
            way: way.into(),
            begin_time: Some(timestamp(session.begin_time)),
            use_time: Some(timestamp(session.use_time)),
            end_time: session.begin_time.checked_add(self.config.session).ok().map(timestamp),
            is_caller: caller == Some(session.id),
        }
    }

    async fn list_all(&self, caller: Option<TokenDigest>) -> Result<Vec<wire::Session>, Error> {
        let mut sessions = self.list(None, caller).await?;
        let now = self.clock.now();
        let operators = self.store.list_operators().await?.into_iter();
        sessions
            .extend(operators.filter(|it| it.token_end_time.is_some_and(|end| now < end)).filter_map(key));
        let used = |session: &wire::Session| session.use_time.map(|time| (time.seconds, time.nanos));
        sessions.sort_by_key(|session| Reverse(used(session)));
        Ok(sessions)
    }

    async fn end(&self, name: &OperatorName, which: Which, by: &OperatorName) -> Result<u64, Error> {
        let ended = self.store.end_sessions(name, which).await?;
        if ended > 0 {
            info!(operator = %name, %by, ended, "sessions_ended");
            let note = Note::by("sessions_ended", format!("{name}, {ended} sessions"), Some(by));
            self.audit.note(&[note], self.clock.now()).await?;
        }
        Ok(ended)
    }
}

/// A machine's key as it stands among sessions.
fn key(operator: Operator) -> Option<wire::Session> {
    operator.is_machine.then(|| wire::Session {
        name: operator.name.to_string(),
        session_id: String::new(),
        way: wire::SessionWay::Key.into(),
        begin_time: Some(timestamp(operator.create_time)),
        use_time: operator.sign_in_time.map(timestamp),
        end_time: operator.token_end_time.map(timestamp),
        is_caller: false,
    })
}

/// The session that calls; none: a certificate does.
fn caller<T>(request: &Request<T>) -> Option<TokenDigest> {
    token(request).filter(|token| token.kind() == TokenKind::Session).map(|token| token.digest())
}

#[tonic::async_trait]
impl SessionService for Sessions {
    async fn list_own_sessions(
        &self,
        request: Request<wire::ListOwnSessionsRequest>,
    ) -> Result<Response<wire::ListOwnSessionsResponse>, Status> {
        let name = auth::operator(&request)?;
        let sessions = self.list(Some(&name), caller(&request)).await.map_err(to_status)?;
        Ok(Response::new(wire::ListOwnSessionsResponse { sessions }))
    }

    async fn end_own_sessions(
        &self,
        request: Request<wire::EndOwnSessionsRequest>,
    ) -> Result<Response<wire::EndOwnSessionsResponse>, Status> {
        let name = auth::operator(&request)?;
        let which = match (request.get_ref().session_id.as_str(), caller(&request)) {
            ("", Some(own)) => Which::Others(own),
            ("", None) => Which::All,
            (id, _) => Which::One(id.parse().map_err(to_status)?),
        };
        let ended = self.end(&name, which, &name).await.map_err(to_status)?;
        Ok(Response::new(wire::EndOwnSessionsResponse { ended }))
    }

    async fn list_sessions(
        &self,
        request: Request<wire::ListSessionsRequest>,
    ) -> Result<Response<wire::ListSessionsResponse>, Status> {
        let sessions = self.list_all(caller(&request)).await.map_err(to_status)?;
        Ok(Response::new(wire::ListSessionsResponse { sessions }))
    }

    async fn end_sessions(
        &self,
        request: Request<wire::EndSessionsRequest>,
    ) -> Result<Response<wire::EndSessionsResponse>, Status> {
        let by = auth::operator(&request)?;
        let wire::EndSessionsRequest { name, session_id } = request.into_inner();
        let name: OperatorName = name.parse().map_err(|error: Error| to_status(error.at("name")))?;
        let which = match session_id.as_str() {
            "" => Which::All,
            id => Which::One(id.parse().map_err(to_status)?),
        };
        let ended = self.end(&name, which, &by).await.map_err(to_status)?;
        Ok(Response::new(wire::EndSessionsResponse { ended }))
    }
}
