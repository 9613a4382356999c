//! Who may call this server without a certificate: people who sign in, machines with keys.
//!
//! Whoever has a certificate needs none of this, and the first administrator has one. What is said here of a name is said in the log and in the audit, never
//! a password, code or token. Surprising: a wrong name, a wrong password, a wrong code and a try that has to wait get the same
//! answer, after the same work.

mod openid;
mod operators;
mod password;
mod sign_in;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    Error,
    caller::{Caller, Role},
    id::{CompanyId, OperatorName},
    session::SessionWay,
    sign_in::{Token, TokenKind},
};
use musubi_runtime::{
    Clock,
    grpc::{auth::Bearers, denials::Denials},
};
use musubi_storage::{
    company::{CompanyStore, Note},
    people::{Known, PeopleStore},
};
use tracing::info;

pub(crate) use self::sign_in::token;

use self::{openid::OpenId, password::Passwords};
use crate::config::{Config, SignInConfig};

/// The services, and whose tokens are whose. Cheap to clone.
#[derive(Clone)]
pub(crate) struct People(Arc<Inner>);

struct Inner {
    store: Arc<dyn PeopleStore>,
    audit: Arc<dyn CompanyStore>,
    clock: Arc<dyn Clock>,
    company: CompanyId,
    config: SignInConfig,
    /// Whom the configuration knows by certificate.
    certified: Vec<(OperatorName, Vec<Role>)>,
    passwords: Passwords,
    /// The company's provider, when it has one.
    openid: Option<OpenId>,
}

impl People {
    pub(crate) fn new(
        store: Arc<dyn PeopleStore>,
        audit: Arc<dyn CompanyStore>,
        clock: Arc<dyn Clock>,
        config: &Config,
        denials: Denials,
    ) -> Result<Self, Error> {
        let openid = config.sign_in.openid.as_ref();
        let openid = openid.map(|it| OpenId::new(it, Arc::clone(&store) as _, denials)).transpose()?;
        Ok(Self(Arc::new(Inner {
            store,
            audit,
            clock,
            company: config.company.clone(),
            config: config.sign_in.clone(),
            certified: config.callers.operators.clone().into_iter().collect(),
            passwords: Passwords::new()?,
            openid,
        })))
    }
}

impl Inner {
    /// The times since which a session has to have begun and been used.
    fn sessions_since(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        let ago = |time: std::time::Duration| now.checked_sub(time).unwrap_or(Timestamp::MIN);
        (ago(self.config.session), ago(self.config.idle))
    }

    /// A session has begun: those that are over are forgotten, what began it is kept, and the audit tells of it. Gives its end.
    async fn welcome(
        &self,
        session: &Token,
        way: SessionWay,
        who: impl fmt::Display + Send,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Error> {
        let (begun_before, used_before) = self.sessions_since(now);
        self.store.forget_sessions(begun_before, used_before).await?;
        self.store.begun_by(&session.digest(), way).await?;
        self.tell("signed_in", who, None).await?;
        Ok(now.checked_add(self.config.session).ok())
    }

    /// Says what was done to whom: in the log, and in the audit, in a transaction behind that which did it and before the answer.
    async fn tell(
        &self,
        action: &'static str,
        who: impl fmt::Display + Send,
        by: Option<&OperatorName>,
    ) -> Result<(), Error> {
        info!(operator = %who, by = by.map(tracing::field::display), "{action}");
        let note = Note::by(action, who, by);
        Ok(self.audit.note(&[note], self.clock.now()).await?)
    }

    /// Whether the configuration knows a person of this name.
    fn is_certified(&self, name: &OperatorName) -> bool {
        self.certified.iter().any(|(certified, _)| certified == name)
    }
}

#[async_trait]
impl Bearers for People {
    async fn find(&self, token: &Token) -> Result<Option<(Caller, Vec<Role>)>, Error> {
        let Inner { store, clock, company, .. } = &*self.0;
        let (now, digest) = (clock.now(), token.digest());
        let (begun, used) = self.0.sessions_since(now);
        let person = |Known { name, roles }| (Caller::CompanyOperator(company.clone(), name), roles);
        let machine = |Known { name, roles }| (Caller::CompanyMachine(company.clone(), name), roles);
        Ok(match token.kind() {
            TokenKind::Session => store.find_session(&digest, begun, used, now).await?.map(person),
            TokenKind::Key => store.find_machine(&digest, now).await?.map(machine),
            TokenKind::Invitation => None,
        })
    }
}
