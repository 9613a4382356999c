//! `musubi.company.v1` for who signs in and who keeps the operators, asked in every wrong way. That a try is wrong though nothing in it
//! is malformed is [`crate::sign_in`]'s matter.

use jsonwebtoken::Algorithm;
use musubi_domain::ErrorKind::{AlreadyExists, InvalidArgument, NotFound};
use musubi_proto::company::v1::{
    AcceptInvitationRequest, BeginOpenIdRequest, CreateMachineRequest, EndOwnSessionsRequest,
    EndSessionsRequest, FinishOpenIdRequest, InviteOperatorRequest, OperatorRole, RemoveOperatorRequest,
    SignInRequest, UnlockOperatorRequest, operator_service_client::OperatorServiceClient,
    session_service_client::SessionServiceClient, sign_in_service_client::SignInServiceClient,
};
use musubi_runtime::{Clock as _, SystemClock};
use musubi_tests::openid::{Back, PERSON, SigningKey};
use totp_rs::Totp;

use super::{
    probe::{PERSONAL, Probes, Wrong, long, whole},
    world::{BANK, World},
};

const PASSWORD: &str = "kirin 87 bridge umbrella";

pub(super) async fn probe(world: &World, probes: &mut Probes) {
    operators(world, probes).await;
    sessions(world, probes).await;
    sign_in(world, probes).await;
    openid(world, probes).await;
}

/// Somebody whom nobody has invited is refused although nothing is malformed, so the good request is doi's.
async fn openid(world: &World, probes: &mut Probes) {
    let client = SignInServiceClient::new(world.system.channel(BANK));
    let key = SigningKey::new("ec", Algorithm::ES256);
    world.provider.publish(&[&key]);
    let begun = client.clone().begin_open_id(BeginOpenIdRequest {}).await.unwrap().into_inner();
    let Back { state, code } = world.provider.let_in(&begun.url, &key, |_| {});
    let good = FinishOpenIdRequest { ticket: begun.ticket, state, code };
    let call = async |request| whole(client.clone().finish_open_id(request).await);
    let table: [Wrong<FinishOpenIdRequest>; 9] = [
        ("ticket", InvalidArgument, |it| it.ticket.clear()),
        ("ticket", InvalidArgument, |it| it.ticket = long(3)),
        ("ticket", InvalidArgument, |it| it.ticket = "a".repeat(1_001)),
        ("ticket", InvalidArgument, |it| it.ticket.push('=')),
        ("state", InvalidArgument, |it| it.state.clear()),
        ("state", InvalidArgument, |it| it.state = "a".repeat(129)),
        ("code", InvalidArgument, |it| it.code.clear()),
        ("code", InvalidArgument, |it| it.code = long(3)),
        ("code", InvalidArgument, |it| it.code = "a".repeat(2_049)),
    ];
    probes.ask(world, "FinishOpenId", &good, call, &table).await;
}

async fn sessions(world: &World, probes: &mut Probes) {
    let client = SessionServiceClient::new(world.system.channel(BANK));
    let call = async |request| whole(client.clone().end_own_sessions(request).await);
    let table: [Wrong<EndOwnSessionsRequest>; 2] = [
        ("session_id", InvalidArgument, |it| it.session_id = long(9_000)),
        ("session_id", InvalidArgument, |it| it.session_id = "ses_000707070707070G".to_owned()),
    ];
    probes.ask(world, "EndOwnSessions", &EndOwnSessionsRequest::default(), call, &table).await;

    let good = EndSessionsRequest { name: "mori".to_owned(), session_id: String::new() };
    let call = async |request| whole(client.clone().end_sessions(request).await);
    let table: [Wrong<EndSessionsRequest>; 4] = [
        ("name", InvalidArgument, |it| it.name.clear()),
        ("name", InvalidArgument, |it| it.name = long(9_000)),
        ("session_id", InvalidArgument, |it| it.session_id = long(20)),
        ("session_id", InvalidArgument, |it| it.session_id = "ses_".to_owned()),
    ];
    probes.ask(world, "EndSessions", &good, call, &table).await;
}

async fn operators(world: &World, probes: &mut Probes) {
    let client = OperatorServiceClient::new(world.system.channel(BANK));
    let role = InviteOperatorRequest {
        roles: vec![OperatorRole::Approver.into()],
        ..InviteOperatorRequest::default()
    };
    let good = CreateMachineRequest {
        name: "nightly".to_owned(),
        roles: vec![OperatorRole::Administrator.into()],
        days: 90,
    };
    let call = async |request| whole(client.clone().create_machine(request).await);
    let table: [Wrong<CreateMachineRequest>; 12] = [
        ("name", InvalidArgument, |it| it.name.clear()),
        ("name", InvalidArgument, |it| it.name = long(9_000)),
        ("name", InvalidArgument, |it| it.name = "Nightly".to_owned()),
        ("name", AlreadyExists, |it| it.name = "nightly".to_owned()),
        ("name", AlreadyExists, |it| it.name = "sato".to_owned()),
        ("roles", InvalidArgument, |it| it.roles.clear()),
        ("roles", InvalidArgument, |it| it.roles = vec![0]),
        ("roles", InvalidArgument, |it| it.roles.push(99)),
        ("roles", InvalidArgument, |it| it.roles.push(OperatorRole::Approver.into())),
        ("days", InvalidArgument, |it| it.days = 0),
        ("days", InvalidArgument, |it| it.days = 367),
        ("days", InvalidArgument, |it| it.days = u32::MAX),
    ];
    probes.ask(world, "CreateMachine", &good, call, &table).await;

    // What of a person who signs in at the provider.
    let openid = InviteOperatorRequest { name: "doi".to_owned(), openid: PERSON.to_owned(), ..role.clone() };
    whole(client.clone().invite_operator(openid).await).unwrap();
    world.system.quiet().await;
    let good = InviteOperatorRequest { name: "mori".to_owned(), openid: "m@bank.example".to_owned(), ..role };
    let call = async |request| whole(client.clone().invite_operator(request).await);
    let table: [Wrong<InviteOperatorRequest>; 10] = [
        ("openid", AlreadyExists, |it| it.openid = PERSON.to_owned()),
        ("openid", InvalidArgument, |it| it.openid = "a b".to_owned()),
        ("openid", InvalidArgument, |it| it.openid = long(3)),
        ("openid", InvalidArgument, |it| it.openid = "a".repeat(256)),
        ("name", InvalidArgument, |it| it.name.clear()),
        ("name", InvalidArgument, |it| it.name = long(3)),
        ("name", AlreadyExists, |it| {
            (it.name, it.openid) = ("nightly".to_owned(), "n@bank.example".to_owned());
        }),
        ("roles", InvalidArgument, |it| it.roles.clear()),
        ("roles", InvalidArgument, |it| it.roles = vec![-1]),
        ("roles", InvalidArgument, |it| it.roles.push(0)),
    ];
    probes.ask(world, "InviteOperator", &good, call, &table).await;

    macro_rules! of_somebody {
        ($method:literal, $call:ident, $request:ident, $who:literal) => {{
            let good = $request { name: $who.to_owned() };
            let call = async |request| whole(client.clone().$call(request).await);
            let table: [Wrong<$request>; 4] = [
                ("name", InvalidArgument, |it| it.name.clear()),
                ("name", InvalidArgument, |it| it.name = long(9_000)),
                ("name", NotFound, |it| it.name = "nobody".to_owned()),
                // Whom the configuration knows by certificate has nothing here to unlock or to remove.
                ("name", NotFound, |it| it.name = "sato".to_owned()),
            ];
            probes.ask(world, $method, &good, call, &table).await;
        }};
    }
    of_somebody!("UnlockOperator", unlock_operator, UnlockOperatorRequest, "mori");
    of_somebody!("RemoveOperator", remove_operator, RemoveOperatorRequest, "nightly");
}

async fn sign_in(world: &World, probes: &mut Probes) {
    let channel = world.system.channel(BANK);
    let invite = InviteOperatorRequest {
        name: "mori".to_owned(),
        roles: vec![OperatorRole::Viewer.into()],
        ..InviteOperatorRequest::default()
    };
    let mut operators = OperatorServiceClient::new(channel.clone());
    let invitation = operators.invite_operator(invite).await.unwrap().into_inner().invitation;

    let client = SignInServiceClient::new(channel);
    let good = AcceptInvitationRequest { invitation, password: PASSWORD.to_owned() };
    let call = async |request| whole(client.clone().accept_invitation(request).await);
    let table: [Wrong<AcceptInvitationRequest>; 9] = [
        ("invitation", InvalidArgument, |it| it.invitation.clear()),
        ("invitation", InvalidArgument, |it| it.invitation = long(9_000)),
        ("invitation", InvalidArgument, |it| it.invitation.truncate(60)),
        ("invitation", InvalidArgument, |it| it.invitation = it.invitation.replace("invitation", "session")),
        ("invitation", InvalidArgument, |it| it.invitation = format!("musubi-invitation-{}", "A".repeat(43))),
        ("password", InvalidArgument, |it| it.password.clear()),
        ("password", InvalidArgument, |it| it.password = long(129)),
        ("password", InvalidArgument, |it| it.password = long(9_000)),
        ("password", InvalidArgument, |it| it.password = format!("{PERSONAL}morimorimori")),
    ];
    probes.ask(world, "AcceptInvitation", &good, call, &table).await;

    // The last secret counts.
    let taken = client.clone().accept_invitation(good).await.unwrap().into_inner();
    let authenticator = Totp::from_url(taken.authenticator_uri).unwrap();
    let second = SystemClock.now().as_second().try_into().unwrap();
    world.system.quiet().await;
    let code = authenticator.generate(second).to_string();
    let good = SignInRequest { name: "mori".to_owned(), password: PASSWORD.to_owned(), code, way: 0 };
    let call = async |request| whole(client.clone().sign_in(request).await);
    let table: [Wrong<SignInRequest>; 10] = [
        ("name", InvalidArgument, |it| it.name.clear()),
        ("name", InvalidArgument, |it| it.name = long(9_000)),
        ("name", InvalidArgument, |it| it.name = "Mori".to_owned()),
        ("password", InvalidArgument, |it| it.password.clear()),
        ("password", InvalidArgument, |it| it.password = long(129)),
        ("code", InvalidArgument, |it| it.code.clear()),
        ("code", InvalidArgument, |it| it.code = "12345".to_owned()),
        ("code", InvalidArgument, |it| it.code = "１２３４５６".to_owned()),
        ("way", InvalidArgument, |it| it.way = 3),
        ("way", InvalidArgument, |it| it.way = -1),
    ];
    probes.ask(world, "SignIn", &good, call, &table).await;
}
