//! `SignInService`: invitations are taken, sessions begin and end.

use std::time::Duration;

use musubi_domain::{
    Error, ErrorKind,
    caller::CallerKind,
    id::OperatorName,
    session::SessionWay,
    sign_in::{Token, TokenKind},
};
use musubi_proto::{
    company::v1::{
        AcceptInvitationRequest, AcceptInvitationResponse, BeginOpenIdRequest, BeginOpenIdResponse,
        FinishOpenIdRequest, FinishOpenIdResponse, SessionWay as WireWay, SignInRequest, SignInResponse,
        SignOutRequest, SignOutResponse, WhoAmIRequest, WhoAmIResponse,
        sign_in_service_server::SignInService,
    },
    convert::{content::timestamp, people::wire_roles},
};
use musubi_runtime::{
    entropy,
    grpc::{auth, status::to_status},
};
use musubi_storage::people::{Credential, Try};
use tokio::time::sleep;
use tonic::{Request, Response, Status};
use tracing::warn;

use super::{
    Inner, People,
    password::{Password, authenticator_uri, parse_code, step_of},
};

/// How long every failure takes, so that its time does not tell what failed, or that there is such a name.
const FAILURES_TAKE: Duration = Duration::from_millis(500);

impl Inner {
    async fn accept(&self, request: AcceptInvitationRequest) -> Result<AcceptInvitationResponse, Error> {
        let void = || {
            let remedy = "copy it whole, or have an administrator invite you anew";
            Error::invalid("invitation", "it is none, has ended, or was used", remedy)
        };
        let invitation: Token = request.invitation.parse().map_err(|_| void())?;
        let password = Password::parse(request.password)?;
        let now = self.clock.now();
        let name = self.store.find_invited(&invitation.digest(), now).await?.ok_or_else(void)?;
        let password_hash = self.passwords.hash(password, self.company.clone(), name.clone()).await?;
        let credential = Credential { password_hash, secret: entropy::bytes() };
        if !self.store.accept(&name, &invitation.digest(), &credential, now).await? {
            return Err(void());
        }
        self.tell("invitation_taken", &name, None).await?;
        let authenticator_uri = authenticator_uri(&credential.secret, &self.company, &name)?;
        Ok(AcceptInvitationResponse { name: name.to_string(), authenticator_uri })
    }

    async fn sign_in(&self, request: SignInRequest) -> Result<SignInResponse, Error> {
        let name: OperatorName = request.name.parse().map_err(|error: Error| error.at("name"))?;
        let way = session_way(request.way)?;
        let password = Password::parse(request.password)?;
        let code = parse_code(&request.code)?;
        let (now, answered) = (self.clock.now(), sleep(FAILURES_TAKE));
        let credential = match self.store.begin_try(&name, now).await? {
            Try::Charged(credential) => Some(credential),
            Try::Refused(guard) => {
                warn!(operator = %name, ?guard, "a try to sign in was not taken");
                None
            }
        };
        // Of names that anybody may make up nothing is kept.
        let is_charged = credential.is_some();
        let hash = credential.as_ref().map(|credential| credential.password_hash.clone());
        let right = self.passwords.verify(password, hash).await?;
        let step = credential.filter(|_| right).and_then(|it| step_of(&it.secret, &code, now));
        let session = Token::new(TokenKind::Session, &entropy::bytes());
        let begun = match step {
            Some(step) => self.store.sign_in(&name, step, &session.digest(), now).await?,
            None => None,
        };
        let Some(roles) = begun else {
            if is_charged {
                self.tell("sign_in_failed", &name, None).await?;
            }
            answered.await;
            let problem = "the name, the password or the code is wrong, or the next try has to wait";
            let remedy = "try again with the next code; after five wrong tries wait half a minute, after each further one twice as long";
            return Err(Error::new(ErrorKind::Unauthenticated, problem, remedy));
        };
        let end_time = self.welcome(&session, way, &name, now).await?;
        Ok(SignInResponse {
            token: session.expose().to_owned(),
            end_time: end_time.map(timestamp),
            roles: wire_roles(&roles),
        })
    }
}

fn session_way(said: i32) -> Result<SessionWay, Error> {
    match WireWay::try_from(said) {
        Ok(WireWay::Unspecified) => Ok(SessionWay::Unknown),
        Ok(WireWay::Console) => Ok(SessionWay::Console),
        Ok(WireWay::CommandLine) => Ok(SessionWay::CommandLine),
        Ok(WireWay::Key) | Err(_) => {
            let remedy = "say console or command line, or nothing";
            Err(Error::invalid("way", "no session begins so", remedy))
        }
    }
}

/// The token that a call brings.
pub(crate) fn token<T>(request: &Request<T>) -> Option<Token> {
    request.metadata().get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")?.parse().ok()
}

#[tonic::async_trait]
impl SignInService for People {
    async fn accept_invitation(
        &self,
        request: Request<AcceptInvitationRequest>,
    ) -> Result<Response<AcceptInvitationResponse>, Status> {
        self.0.accept(request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn sign_in(&self, request: Request<SignInRequest>) -> Result<Response<SignInResponse>, Status> {
        self.0.sign_in(request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn begin_open_id(
        &self,
        _request: Request<BeginOpenIdRequest>,
    ) -> Result<Response<BeginOpenIdResponse>, Status> {
        self.0.begin_openid().await.map(Response::new).map_err(to_status)
    }

    async fn finish_open_id(
        &self,
        request: Request<FinishOpenIdRequest>,
    ) -> Result<Response<FinishOpenIdResponse>, Status> {
        self.0.finish_openid(request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn sign_out(&self, request: Request<SignOutRequest>) -> Result<Response<SignOutResponse>, Status> {
        let name = auth::operator(&request)?;
        if let Some(session) = token(&request).filter(|token| token.kind() == TokenKind::Session) {
            self.0.store.sign_out(&session.digest()).await.map_err(to_status)?;
            self.0.tell("signed_out", &name, None).await.map_err(to_status)?;
        }
        Ok(Response::new(SignOutResponse {}))
    }

    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Result<Response<WhoAmIResponse>, Status> {
        let caller = auth::caller(&request)?;
        let answer = WhoAmIResponse {
            name: auth::operator(&request)?.to_string(),
            is_machine: caller.kind() == CallerKind::Machine,
            roles: wire_roles(&auth::roles(&request)?),
        };
        Ok(Response::new(answer))
    }
}
