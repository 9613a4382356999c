//! Who calls: the parties of a certificate into one caller, what that one may call, and what a handler asks about it.
//!
//! A handler never reads a caller out of a message, and needn't ask whether its caller may call it: the table of callers is
//! read at the door. Surprising: a certificate that names two of those who are known is nobody's, because nobody can say which.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use musubi_domain::{
    Error, ErrorKind,
    caller::{Caller, MayCall, Role},
    id::{CarrierId, CompanyId, OperatorName},
    sign_in::Token,
};
use tonic::{Request, Status};

use super::{
    denials::{Denial, Denials},
    pace::{CallsConfig, Pace},
    status::to_status,
};

/// Whose a token is.
#[async_trait]
pub trait Bearers: Send + Sync {
    /// Who has this token, with their roles; none when nobody has.
    ///
    /// # Errors
    /// When it can't be looked up now.
    async fn find(&self, token: &Token) -> Result<Option<(Caller, Vec<Role>)>, Error>;
}

/// Whom a server knows, and who of them may call what. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    /// With their roles, which only operators have.
    known: Arc<HashMap<Caller, Vec<Role>>>,
    /// Who else is known, without a certificate.
    bearers: Option<Arc<dyn Bearers>>,
    table: &'static [MayCall],
    denials: Denials,
    /// How often each may call; without it, as often as they like.
    pace: Option<Arc<Pace>>,
}

/// Who calls, and what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identified {
    pub(crate) caller: Caller,
    pub(crate) roles: Vec<Role>,
}

/// What the caller may do, as handlers find it.
#[derive(Clone)]
pub(crate) struct Roles(pub(crate) Vec<Role>);

impl Authenticator {
    /// Knows these parties, and lets them call what the table says.
    pub fn new(table: &'static [MayCall], known: impl IntoIterator<Item = Caller>) -> Self {
        Self::with_roles(table, known.into_iter().map(|caller| (caller, Vec::new())))
    }

    /// The same, with the roles of operators.
    pub fn with_roles(
        table: &'static [MayCall],
        known: impl IntoIterator<Item = (Caller, Vec<Role>)>,
    ) -> Self {
        let known = Arc::new(known.into_iter().collect());
        Self { known, bearers: None, table, denials: Denials::default(), pace: None }
    }

    /// Lets each call only so often, and tells so often of calls that were refused.
    #[must_use]
    pub fn paced(self, calls: CallsConfig) -> Self {
        let denials = Denials::telling_every(calls.refusals_every);
        Self { pace: Some(Arc::new(Pace::new(calls))), denials, ..self }
    }

    /// Lets those in, too, who have no certificate, and knows them by their tokens.
    #[must_use]
    pub fn with_bearers(self, bearers: Arc<dyn Bearers>) -> Self {
        Self { bearers: Some(bearers), ..self }
    }

    /// Whether it lets somebody in without a certificate.
    pub(crate) fn takes_bearers(&self) -> bool {
        self.bearers.is_some()
    }

    /// Whom it refused.
    #[must_use]
    pub fn denials(&self) -> Denials {
        self.denials.clone()
    }

    /// Whether it knows one of them.
    pub(crate) fn knows_any(&self, parties: &[Caller]) -> bool {
        parties.iter().any(|party| self.known.contains_key(party))
    }

    /// Everybody whom it knows by certificate.
    pub(crate) fn known(&self) -> impl Iterator<Item = &Caller> {
        self.known.keys()
    }

    /// The caller, by the parties that the certificate names.
    ///
    /// # Errors
    /// `Unauthenticated` when none of them is known, or more than one is.
    pub(crate) fn identify(&self, parties: &[Caller], address: Option<IpAddr>) -> Result<Identified, Error> {
        let mut known = parties.iter().filter_map(|party| self.known.get_key_value(party));
        let problem = match (known.next(), known.next()) {
            (Some((caller, roles)), None) => {
                return Ok(Identified { caller: caller.clone(), roles: roles.clone() });
            }
            (None, _) => "the certificate names nobody who is known here",
            (Some(_), Some(_)) => "the certificate names more than one of those who are known here",
        };
        let remedy = match self.takes_bearers() {
            true => {
                "sign in, or show a certificate that names one party whom the called node's configuration knows"
            }
            false => "show a certificate that names one party whom the called node's configuration knows",
        };
        Err(self.unknown(address, problem, remedy))
    }

    /// The caller, by what stands in the header `authorization`, if the server takes that from somebody. Nothing stands there: a
    /// stranger, when the table has something for them at this path.
    ///
    /// # Errors
    /// `Unauthenticated` when the token is nobody's, or what stands there is none; what the look-up says when it fails.
    pub(crate) async fn identify_bearer(
        &self,
        authorization: Option<&[u8]>,
        path: &str,
        address: Option<IpAddr>,
    ) -> Option<Result<Identified, Error>> {
        let bearers = self.bearers.as_ref()?;
        let Some(authorization) = authorization else {
            let stranger = Identified { caller: Caller::Stranger, roles: Vec::new() };
            return self.permits(&stranger, path).then_some(Ok(stranger));
        };
        let text = std::str::from_utf8(authorization).ok().and_then(|text| text.strip_prefix("Bearer "));
        let found = match text.and_then(|text| text.parse::<Token>().ok()) {
            Some(token) => bearers.find(&token).await,
            None => Ok(None),
        };
        Some(match found {
            Ok(Some((caller, roles))) => Ok(Identified { caller, roles }),
            Ok(None) => {
                let remedy = "sign in again, or have an administrator make a new key";
                Err(self.unknown(address, "the token is nobody's, or has ended", remedy))
            }
            Err(error) => Err(error),
        })
    }

    fn unknown(&self, address: Option<IpAddr>, problem: &str, remedy: &str) -> Error {
        self.denials.count(Denial::NotKnown { address });
        Error::new(ErrorKind::Unauthenticated, problem, remedy)
    }

    /// Whether this caller may call the method of this path. What the table doesn't allow is denied.
    ///
    /// # Errors
    /// `PermissionDenied`, alike for what another may call and for what there isn't.
    pub(crate) fn permit(&self, identified: &Identified, path: &str) -> Result<(), Error> {
        if self.permits(identified, path) {
            return Ok(());
        }
        let caller = &identified.caller;
        self.denials.count(Denial::NotAllowed { caller: caller.clone(), method: self.method(path) });
        Err(denied(caller))
    }

    /// Counts a call of this caller, whatever it is.
    ///
    /// # Errors
    /// How long it comes too early, when they call too often.
    pub(crate) fn take_turn(&self, caller: &Caller, path: &str, now: Instant) -> Result<(), Duration> {
        let Some(pace) = &self.pace else { return Ok(()) };
        pace.take(caller, now).inspect_err(|_wait| self.refused(caller, path, "too often"))
    }

    /// Counts a call that was refused to somebody who may call it.
    pub(crate) fn refused(&self, caller: &Caller, path: &str, why: &'static str) {
        self.denials.count(Denial::Refused { caller: caller.clone(), method: self.method(path), why });
    }

    /// The name of a method, when there is one of this path.
    fn method(&self, path: &str) -> Option<&'static str> {
        let row = self.table.iter().find(|row| row.is_about(path))?;
        let name = path.rsplit('/').next().unwrap_or_default();
        row.methods.iter().copied().find(|method| *method == name)
    }

    fn permits(&self, Identified { caller, roles }: &Identified, path: &str) -> bool {
        self.table.iter().any(|row| row.is_about(path) && row.allows(caller.kind(), roles))
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").field("known", &self.known).finish_non_exhaustive()
    }
}

/// Who calls.
///
/// # Errors
/// UNAUTHENTICATED when the request came past the door; that is a fault of ours.
pub fn caller<T>(request: &Request<T>) -> Result<&Caller, Status> {
    let unknown = || to_status(Error::new(ErrorKind::Unauthenticated, "the caller is not known", ""));
    request.extensions().get().ok_or_else(unknown)
}

/// The company that calls.
///
/// # Errors
/// PERMISSION_DENIED when another does.
pub fn company<T>(request: &Request<T>) -> Result<CompanyId, Status> {
    match caller(request)? {
        Caller::Company(id) => Ok(id.clone()),
        other @ (Caller::Carrier(_)
        | Caller::Information
        | Caller::Terminal
        | Caller::CompanyOperator(..)
        | Caller::CompanyMachine(..)
        | Caller::TerminalOperator(_)
        | Caller::Stranger) => Err(to_status(denied(other))),
    }
}

/// The carrier that calls.
///
/// # Errors
/// PERMISSION_DENIED when another does.
pub fn carrier<T>(request: &Request<T>) -> Result<CarrierId, Status> {
    match caller(request)? {
        Caller::Carrier(id) => Ok(id.clone()),
        other @ (Caller::Company(_)
        | Caller::Information
        | Caller::Terminal
        | Caller::CompanyOperator(..)
        | Caller::CompanyMachine(..)
        | Caller::TerminalOperator(_)
        | Caller::Stranger) => Err(to_status(denied(other))),
    }
}

/// The operator who calls, or the machine.
///
/// # Errors
/// PERMISSION_DENIED when another does.
pub fn operator<T>(request: &Request<T>) -> Result<OperatorName, Status> {
    match caller(request)? {
        Caller::CompanyOperator(_, name)
        | Caller::CompanyMachine(_, name)
        | Caller::TerminalOperator(name) => Ok(name.clone()),
        other @ (Caller::Company(_)
        | Caller::Carrier(_)
        | Caller::Information
        | Caller::Terminal
        | Caller::Stranger) => Err(to_status(denied(other))),
    }
}

/// What the operator who calls may do, or the machine.
///
/// # Errors
/// As [`caller`].
pub fn roles<T>(request: &Request<T>) -> Result<Vec<Role>, Status> {
    caller(request)?;
    Ok(request.extensions().get::<Roles>().map(|roles| roles.0.clone()).unwrap_or_default())
}

fn denied(caller: &Caller) -> Error {
    let problem = format!("{caller} may not call this");
    Error::new(ErrorKind::PermissionDenied, problem, "call as one who may; the table of callers says who")
}

#[cfg(test)]
mod tests {
    use musubi_domain::{caller::CallerKind, sign_in::TokenKind};

    use super::*;

    fn party(name: &str) -> Caller {
        name.parse().unwrap()
    }

    fn door() -> Authenticator {
        const TABLE: &[MayCall] = &[MayCall {
            service: "a.v1.B",
            methods: &["Get"],
            who: &[CallerKind::Company, CallerKind::Operator],
            roles: &[Role::Editor],
        }];
        let known = [
            ("company/tf-bank", vec![]),
            ("carrier/kumo", vec![]),
            ("company/tf-bank/operator/sato", vec![Role::Viewer, Role::Editor]),
            ("company/tf-bank/operator/kato", vec![Role::Viewer]),
        ];
        Authenticator::with_roles(TABLE, known.map(|(name, roles)| (party(name), roles)))
    }

    #[test]
    fn a_certificate_is_its_one_known_party_and_otherwise_nobody() {
        let who = |names: &[&str]| {
            let parties: Vec<_> = names.iter().map(|name| party(name)).collect();
            door().identify(&parties, None).map(|identified| identified.caller)
        };
        assert_eq!(who(&["company/tf-bank"]), Ok(party("company/tf-bank")));
        assert_eq!(who(&["company/minato-power", "carrier/kumo"]), Ok(party("carrier/kumo")));
        for nobody in [
            &[][..],
            &["company/minato-power"],
            &["company/minato-power/operator/sato"],
            &["information"],
            &["company/tf-bank", "carrier/kumo"],
        ] {
            assert_eq!(who(nobody).unwrap_err().kind, ErrorKind::Unauthenticated, "{nobody:?}");
        }
    }

    struct OneToken(Token);

    #[async_trait]
    impl Bearers for OneToken {
        async fn find(&self, token: &Token) -> Result<Option<(Caller, Vec<Role>)>, Error> {
            let known = (party("company/tf-bank/operator/mori"), vec![Role::Editor]);
            Ok((token.digest() == self.0.digest()).then_some(known))
        }
    }

    #[tokio::test]
    async fn a_token_is_its_holders_and_without_one_there_is_only_what_strangers_may() {
        const TABLE: &[MayCall] = &[
            MayCall {
                service: "a.v1.B",
                methods: &["Get"],
                who: &[CallerKind::Operator],
                roles: &[Role::Editor],
            },
            MayCall { service: "a.v1.B", methods: &["SignIn"], who: &[CallerKind::Anybody], roles: &[] },
        ];
        let good = Token::new(TokenKind::Session, &[1; 32]);
        let header = |token: &Token| format!("Bearer {}", token.expose());
        let plain = Authenticator::new(TABLE, []);
        assert!(plain.identify_bearer(Some(header(&good).as_bytes()), "/a.v1.B/Get", None).await.is_none());
        assert!(plain.identify_bearer(None, "/a.v1.B/SignIn", None).await.is_none());

        let door = plain.with_bearers(Arc::new(OneToken(good)));
        let [good, other] =
            [1, 2].map(|byte| Token::new(TokenKind::Session, &[byte; 32])).map(|it| header(&it));
        let who = door.identify_bearer(Some(good.as_bytes()), "/a.v1.B/Get", None).await.unwrap().unwrap();
        assert_eq!(who.caller, party("company/tf-bank/operator/mori"));
        assert!(door.permit(&who, "/a.v1.B/Get").is_ok() && door.permit(&who, "/a.v1.B/Put").is_err());
        for nobodys in [other.as_str(), &good[7..], &good.to_lowercase(), "Bearer ", "", &format!("{good} ")]
        {
            let refused =
                door.identify_bearer(Some(nobodys.as_bytes()), "/a.v1.B/SignIn", None).await.unwrap();
            assert_eq!(refused.unwrap_err().kind, ErrorKind::Unauthenticated);
        }
        let stranger = door.identify_bearer(None, "/a.v1.B/SignIn", None).await.unwrap().unwrap();
        assert_eq!(stranger.caller, Caller::Stranger);
        assert!(door.identify_bearer(None, "/a.v1.B/Get", None).await.is_none());
        assert_eq!(door.denials().take().values().sum::<u64>(), 7, "and the one that was not permitted");
    }

    #[test]
    fn what_no_row_allows_is_denied() {
        let may = |name: &str, path: &str| {
            let identified = door().identify(&[party(name)], None).unwrap();
            door().permit(&identified, path).is_ok()
        };
        assert!(may("company/tf-bank", "/a.v1.B/Get") && may("company/tf-bank/operator/sato", "/a.v1.B/Get"));
        assert!(!may("carrier/kumo", "/a.v1.B/Get") && !may("company/tf-bank/operator/kato", "/a.v1.B/Get"));
        for path in [
            "/a.v1.B/Put",
            "/a.v1.C/Get",
            "/",
            "",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        ] {
            assert!(!may("company/tf-bank", path), "{path}");
        }
    }

    #[test]
    fn each_question_is_answered_only_for_its_caller() {
        let callers =
            ["company/tf-bank", "carrier/kumo", "terminal/operator/sato", "information", "terminal"]
                .map(party);
        type Question = fn(&Request<()>) -> Result<(), Status>;
        let questions: [Question; 3] = [
            |request| company(request).map(drop),
            |request| carrier(request).map(drop),
            |request| operator(request).map(drop),
        ];
        for (who, caller) in callers.iter().enumerate() {
            let mut request = Request::new(());
            request.extensions_mut().insert(caller.clone());
            for (question, ask) in questions.iter().enumerate() {
                let code = ask(&request).map_err(|status| status.code());
                let expected = if who == question { Ok(()) } else { Err(tonic::Code::PermissionDenied) };
                assert_eq!(code, expected, "{caller}");
            }
        }
        assert_eq!(operator(&Request::new(())).unwrap_err().code(), tonic::Code::Unauthenticated);
    }
}
