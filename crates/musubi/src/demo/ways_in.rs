//! Ways into the consoles of a demo: two people of each company who have signed in.
//!
//! They come as everybody does: an administrator invites them, they take a password and an authenticator's secret, and sign in with a code. Nothing of it is easier for a demo
//! than for anybody. Surprising: nobody keeps the passwords; what is shown is the token of each session, which the page `/sign-in/token` takes and which ends with the day.

use std::fmt::Write as _;

use musubi_domain::{
    Error, ErrorKind,
    caller::Role::{self, Administrator, Approver, Auditor, Editor, Viewer},
};
use musubi_proto::{
    company::v1::{
        AcceptInvitationRequest, InviteOperatorRequest, SessionWay, SignInRequest,
        operator_service_client::OperatorServiceClient, sign_in_service_client::SignInServiceClient,
    },
    convert::people::wire_roles,
};
use musubi_runtime::{
    Clock, SystemClock,
    grpc::{
        client::{ClientOptions, PeerChannel, connect},
        status::from_status,
    },
};
use totp_rs::Totp;

use crate::cluster::{Door, Doors, secret};

/// Who comes, and what they may do: one who prepares, and one who decides.
const PEOPLE: [(&str, &[Role]); 2] =
    [("hanako", &[Administrator, Editor, Auditor]), ("taro", &[Approver, Viewer, Auditor])];

/// A way into a console.
#[derive(Debug)]
pub(super) struct WayIn {
    /// Whose console.
    company: String,
    /// Where the console is.
    console: String,
    /// Who comes.
    name: &'static str,
    /// What they may do.
    roles: &'static [Role],
    /// What `/sign-in/token` takes.
    token: String,
}

/// Makes people who have signed in, two for each company that has a console.
///
/// # Errors
/// What a company server refuses.
pub(super) async fn ways_in(doors: &Doors) -> Result<Vec<WayIn>, Error> {
    let mut ways = Vec::new();
    for (door, console) in doors.companies.iter().zip(&doors.consoles) {
        let company = door.node.to_string().trim_start_matches("company/").to_owned();
        for (name, roles) in PEOPLE {
            let token = sign_in(door, name, roles).await?;
            ways.push(WayIn { company: company.clone(), console: console.clone(), name, roles, token });
        }
    }
    Ok(ways)
}

/// The ways as a demo prints them, each console once.
pub(super) fn shown(ways: &[WayIn]) -> String {
    let mut text = String::new();
    let mut last = "";
    for WayIn { company, console, name, roles, token } in ways {
        if console != last {
            let _ =
                writeln!(text, "  console of {company} {console}/sign-in/token takes one of these tokens:");
            last = console;
        }
        let words: Vec<_> = roles.iter().map(|role| role.word()).collect();
        let _ = writeln!(text, "    {name:7} {:30} {token}", words.join(", "));
    }
    text
}

async fn sign_in(door: &Door, name: &str, roles: &[Role]) -> Result<String, Error> {
    let Door { endpoint, node, operator } = door;
    begin_session(connect(operator, endpoint, Some(node), ClientOptions::default())?, name, roles).await
}

/// Somebody with these roles who is invited over this channel, an administrator's, and signs in; gives the session's token.
///
/// # Errors
/// What the company server refuses.
pub(crate) async fn begin_session(channel: PeerChannel, name: &str, roles: &[Role]) -> Result<String, Error> {
    let failed = |status: tonic::Status| from_status(&status);
    let mut operators = OperatorServiceClient::new(channel.clone());
    let mut sessions = SignInServiceClient::new(channel);
    let invite = InviteOperatorRequest {
        name: name.to_owned(),
        roles: wire_roles(roles),
        ..InviteOperatorRequest::default()
    };
    let invitation = operators.invite_operator(invite).await.map_err(failed)?.into_inner().invitation;
    let password = secret();
    let accept = AcceptInvitationRequest { invitation, password: password.clone() };
    let taken = sessions.accept_invitation(accept).await.map_err(failed)?.into_inner();
    let unread = || Error::new(ErrorKind::Internal, "the authenticator's secret can not be read", "");
    let authenticator = Totp::from_url(taken.authenticator_uri).map_err(|_| unread())?;
    let second = u64::try_from(SystemClock.now().as_second()).map_err(|_| unread())?;
    let code = authenticator.generate(second).to_string();
    let request = SignInRequest { name: name.to_owned(), password, code, way: SessionWay::Console.into() };
    Ok(sessions.sign_in(request).await.map_err(failed)?.into_inner().token)
}
