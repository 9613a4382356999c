//! `OperatorService`: administrators keep the people and machines that may call.

use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    Error, ErrorKind,
    caller::Role,
    id::OperatorName,
    sign_in::{Guard, Token, TokenKind},
};
use musubi_proto::{
    company::v1::{
        CreateMachineRequest, CreateMachineResponse, InviteOperatorRequest, InviteOperatorResponse,
        ListOperatorsRequest, ListOperatorsResponse, Operator, RemoveOperatorRequest, RemoveOperatorResponse,
        UnlockOperatorRequest, UnlockOperatorResponse, operator::Way,
        operator_service_server::OperatorService,
    },
    convert::{
        content::timestamp,
        people::{roles, wire_roles},
    },
};
use musubi_runtime::{
    entropy,
    grpc::{auth, status::to_status},
};
use musubi_storage::{
    openid::NewByOpenId,
    people::{self, NewOperator},
};
use tonic::{Request, Response, Status};

use super::{Inner, People};

/// For how many days a machine's key may be good.
const DAYS: std::ops::RangeInclusive<u32> = 1..=366;

impl Inner {
    async fn invite(
        &self,
        by: &OperatorName,
        request: InviteOperatorRequest,
    ) -> Result<InviteOperatorResponse, Error> {
        let (name, roles) = (name(&request.name)?, roles(&request.roles)?);
        let now = self.clock.now();
        let token_end_time = now.checked_add(self.config.invitation).unwrap_or(Timestamp::MAX);
        if !request.openid.is_empty() {
            let (roles, openid) = (&roles[..], request.openid.as_str());
            self.invite_by_openid(NewByOpenId { name: &name, roles, openid, end_time: token_end_time, now })
                .await?;
            self.tell("operator_invited", format!("{name} as {roles:?} by OpenID Connect"), Some(by)).await?;
            let end_time = Some(timestamp(token_end_time));
            return Ok(InviteOperatorResponse { invitation: String::new(), end_time });
        }
        let invitation = Token::new(TokenKind::Invitation, &entropy::bytes());
        let token = invitation.digest();
        let person = NewOperator { name: &name, roles: &roles, token: &token, token_end_time, now };
        self.store.invite(&person).await?;
        self.tell("operator_invited", format!("{name} as {roles:?}"), Some(by)).await?;
        let end_time = Some(timestamp(token_end_time));
        Ok(InviteOperatorResponse { invitation: invitation.expose().to_owned(), end_time })
    }

    async fn create_machine(
        &self,
        by: &OperatorName,
        request: CreateMachineRequest,
    ) -> Result<CreateMachineResponse, Error> {
        let (name, roles) = (name(&request.name)?, roles(&request.roles)?);
        if roles.contains(&Role::Approver) {
            let remedy = "leave approver out; what has to be decided is for people";
            return Err(Error::invalid("roles", "a machine can not be an approver", remedy));
        }
        if !DAYS.contains(&request.days) {
            let problem = "a key is good for 0 days, or for more than 366";
            return Err(Error::invalid("days", problem, "write 1 to 366"));
        }
        if self.is_certified(&name) {
            let problem = "the configuration knows a person by this name";
            return Err(Error::new(ErrorKind::AlreadyExists, problem, "choose another name").at("name"));
        }
        let key = Token::new(TokenKind::Key, &entropy::bytes());
        let now = self.clock.now();
        let days = SignedDuration::from_hours(24) * i32::try_from(request.days).unwrap_or(i32::MAX);
        let token_end_time = now.checked_add(days).unwrap_or(Timestamp::MAX);
        let token = key.digest();
        let machine = NewOperator { name: &name, roles: &roles, token: &token, token_end_time, now };
        self.store.add_machine(&machine).await?;
        self.tell("machine_created", format!("{name} as {roles:?}"), Some(by)).await?;
        let end_time = Some(timestamp(token_end_time));
        Ok(CreateMachineResponse { key: key.expose().to_owned(), end_time })
    }

    async fn list(&self) -> Result<ListOperatorsResponse, Error> {
        let now = self.clock.now();
        let kept = self.store.list_operators().await?;
        let certified = self.certified.iter().map(|(name, roles)| Operator {
            name: name.to_string(),
            way: Way::Certificate.into(),
            roles: wire_roles(roles),
            ..Operator::default()
        });
        let mut operators: Vec<_> =
            certified.chain(kept.into_iter().map(|operator| shown(operator, now))).collect();
        operators.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(ListOperatorsResponse { operators })
    }
}

fn shown(operator: people::Operator, now: Timestamp) -> Operator {
    let guard = Guard::after(operator.failures, operator.failure_time, now);
    let way = match (operator.is_machine, operator.is_by_openid) {
        (true, _) => Way::Key,
        (false, true) => Way::Openid,
        (false, false) => Way::Password,
    };
    Operator {
        name: operator.name.to_string(),
        way: way.into(),
        roles: wire_roles(&operator.roles),
        end_time: operator.token_end_time.map(timestamp),
        sign_in_time: operator.sign_in_time.map(timestamp),
        failures: operator.failures,
        wait_end_time: match guard {
            Guard::Waits(until) => Some(timestamp(until)),
            Guard::Open | Guard::Locked => None,
        },
        is_locked: guard == Guard::Locked,
    }
}

fn name(text: &str) -> Result<OperatorName, Error> {
    text.parse().map_err(|error: Error| error.at("name"))
}

fn nobody() -> Error {
    let remedy = "`musubi operators list` shows who is there";
    Error::new(ErrorKind::NotFound, "nobody has this name", remedy).at("name")
}

#[tonic::async_trait]
impl OperatorService for People {
    async fn invite_operator(
        &self,
        request: Request<InviteOperatorRequest>,
    ) -> Result<Response<InviteOperatorResponse>, Status> {
        let by = auth::operator(&request)?;
        self.0.invite(&by, request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn create_machine(
        &self,
        request: Request<CreateMachineRequest>,
    ) -> Result<Response<CreateMachineResponse>, Status> {
        let by = auth::operator(&request)?;
        self.0.create_machine(&by, request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn list_operators(
        &self,
        _request: Request<ListOperatorsRequest>,
    ) -> Result<Response<ListOperatorsResponse>, Status> {
        self.0.list().await.map(Response::new).map_err(to_status)
    }

    async fn unlock_operator(
        &self,
        request: Request<UnlockOperatorRequest>,
    ) -> Result<Response<UnlockOperatorResponse>, Status> {
        let by = auth::operator(&request)?;
        let name = name(&request.into_inner().name).map_err(to_status)?;
        let found = self.0.store.unlock(&name).await.map_err(to_status)?;
        if !found {
            return Err(to_status(nobody()));
        }
        self.0.tell("operator_unlocked", &name, Some(&by)).await.map_err(to_status)?;
        Ok(Response::new(UnlockOperatorResponse {}))
    }

    async fn remove_operator(
        &self,
        request: Request<RemoveOperatorRequest>,
    ) -> Result<Response<RemoveOperatorResponse>, Status> {
        let by = auth::operator(&request)?;
        let name = name(&request.into_inner().name).map_err(to_status)?;
        let found = self.0.store.remove(&name).await.map_err(to_status)?;
        if !found {
            return Err(to_status(nobody()));
        }
        self.0.tell("operator_removed", &name, Some(&by)).await.map_err(to_status)?;
        Ok(Response::new(RemoveOperatorResponse {}))
    }
}
