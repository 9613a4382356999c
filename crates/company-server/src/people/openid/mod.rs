//! Signing in at the company's provider of OpenID Connect (Core 1.0): the authorization code flow, with PKCE (RFC 7636), state and nonce.
//!
//! The provider says who somebody is; whether they may sign in, and what they may do then, is Musubi's own matter: they have to have been invited by what the
//! provider calls them. Surprising: nothing is kept while a person is there. All that their coming back is held against travels with their browser in a
//! sealed ticket, so that nobody fills a table by beginning.

mod id_token;
mod provider;
mod ticket;

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use musubi_domain::{
    Error, ErrorKind,
    session::SessionWay,
    sign_in::{Token, TokenKind},
};
use musubi_proto::{
    company::v1::{BeginOpenIdResponse, FinishOpenIdRequest, FinishOpenIdResponse},
    convert::{content::timestamp, people::wire_roles},
};
use musubi_runtime::{
    entropy,
    grpc::denials::{Denial, Denials},
};
use musubi_storage::openid::{Arrival, Arrived, NewByOpenId, OpenIdStore};
use sha2::{Digest as _, Sha256};

use self::{
    id_token::Expected,
    provider::{Provider, Refusal},
    ticket::Ticket,
};
use super::Inner;
use crate::config::OpenIdConfig;

/// The longest ticket, state and code that are read, in characters.
const LONGEST: (usize, usize, usize) = (1_000, 128, 2_048);
/// The longest that a provider may call somebody.
const LONGEST_NAME: usize = 255;

/// The provider, and who was invited to come from there.
pub(super) struct OpenId {
    config: OpenIdConfig,
    provider: Provider,
    store: Arc<dyn OpenIdStore>,
    denials: Denials,
}

impl OpenId {
    /// Asks the provider nothing yet.
    ///
    /// # Errors
    /// Names the key of `[sign_in.openid]` that can't be used.
    pub(super) fn new(
        config: &OpenIdConfig,
        store: Arc<dyn OpenIdStore>,
        denials: Denials,
    ) -> Result<Self, Error> {
        Ok(Self { provider: Provider::new(config)?, config: config.clone(), store, denials })
    }

    /// Somebody whom nobody knows; an attacker chooses how often, so it is counted.
    fn refuse(&self) -> Error {
        self.denials.count(Denial::NotKnown { address: None });
        refused()
    }
}

impl Inner {
    fn openid(&self) -> Result<&OpenId, Error> {
        self.openid.as_ref().ok_or_else(|| {
            let problem = "no provider of OpenID Connect is configured here";
            Error::new(ErrorKind::FailedPrecondition, problem, "sign in with a password")
        })
    }

    pub(super) async fn begin_openid(&self) -> Result<BeginOpenIdResponse, Error> {
        let openid = self.openid()?;
        let ticket = Ticket::new(self.clock.now());
        let url = openid.provider.way(&ticket, ticket.begin).await?;
        let sealed = openid.store.seal_ticket(&ticket.to_bytes())?;
        Ok(BeginOpenIdResponse {
            url,
            ticket: URL_SAFE_NO_PAD.encode(sealed),
            end_time: Some(timestamp(ticket.end())),
        })
    }

    pub(super) async fn finish_openid(
        &self,
        request: FinishOpenIdRequest,
    ) -> Result<FinishOpenIdResponse, Error> {
        let openid = self.openid()?;
        let FinishOpenIdRequest { ticket, state, code } = request;
        within("ticket", &ticket, LONGEST.0)?;
        within("state", &state, LONGEST.1)?;
        within("code", &code, LONGEST.2)?;
        let Ok(sealed) = URL_SAFE_NO_PAD.decode(&ticket) else {
            return Err(Error::invalid("ticket", "it is none", "give it as BeginOpenId did"));
        };
        let now = self.clock.now();
        let ticket = openid.store.open_ticket(&sealed).and_then(|bytes| Ticket::from_bytes(&bytes));
        let Some(ticket) = ticket.filter(|ticket| now < ticket.end() && ticket.is_of(&state)) else {
            return Err(openid.refuse());
        };
        let said = match openid.provider.redeem(&code, &ticket, now).await {
            Ok(said) => said,
            Err(Refusal::Code) => return Err(openid.refuse()),
            Err(Refusal::Other(error)) => return Err(error),
        };
        let expected = Expected { config: &openid.config, nonce: &ticket.nonce, now };
        let who = match openid.provider.read(&said, &expected).await {
            Ok(who) => who,
            Err(id_token::Refusal::Fault(fault)) => {
                // Whoever comes so far has the provider's word for a code; an attacker can't do it at will.
                self.tell("openid_refused", format!("the provider's word: {fault}"), None).await?;
                return Err(refused());
            }
            Err(id_token::Refusal::Other(error)) => return Err(error),
        };
        let session = Token::new(TokenKind::Session, &entropy::bytes());
        let arrival = Arrival {
            openid: &who.openid,
            subject: &who.subject,
            ticket: &Sha256::digest(&sealed).into(),
            ticket_end_time: ticket.end(),
            session: &session.digest(),
            now,
        };
        let known = match openid.store.arrive(&arrival).await? {
            Arrived::Begun(known) => known,
            Arrived::Used => return Err(openid.refuse()),
            Arrived::Unknown => {
                self.tell("openid_unknown", format!("account {}", who.tag(&openid.config)), None).await?;
                return Err(uninvited());
            }
            Arrived::Refused(name) => {
                let what = format!(
                    "{name}: the invitation has ended, or was for another account than {}",
                    who.tag(&openid.config)
                );
                self.tell("openid_refused", what, None).await?;
                return Err(uninvited());
            }
        };
        let who = format!("{} by OpenID Connect", known.name);
        let end_time = self.welcome(&session, SessionWay::Console, who, now).await?;
        Ok(FinishOpenIdResponse {
            token: session.expose().to_owned(),
            end_time: end_time.map(timestamp),
            roles: wire_roles(&known.roles),
        })
    }

    /// Invites a person who will sign in at the provider.
    pub(super) async fn invite_by_openid(&self, person: NewByOpenId<'_>) -> Result<(), Error> {
        let openid = self.openid().map_err(|error| error.at("openid"))?;
        within("openid", person.openid, LONGEST_NAME)?;
        Ok(openid.store.invite_by_openid(&person).await?)
    }
}

fn within(field: &str, text: &str, most: usize) -> Result<(), Error> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    match text.is_empty() || text.len() > most || !is_plain {
        false => Ok(()),
        true => {
            let problem = format!("it is empty, longer than {most} characters, or not plain ASCII");
            Err(Error::invalid(field, problem, "give it as it was given"))
        }
    }
}

fn refused() -> Error {
    let problem = "the provider does not stand by this sign-in, or it has ended or was used";
    Error::new(ErrorKind::Unauthenticated, problem, "begin again")
}

fn uninvited() -> Error {
    let problem = "the provider knows the person, and nobody has invited them here";
    let remedy = "ask an administrator for `musubi operators invite NAME --openid WHO`";
    Error::new(ErrorKind::PermissionDenied, problem, remedy)
}
