//! Who calls: the parties of a certificate into one caller, what that one may call, and what a handler asks about it.
//!
//! A handler never reads a caller out of a message, and needn't ask whether its caller may call it: the table of callers is
//! read at the door. Surprising: a certificate that names two of those who are known is nobody's, because nobody can say which.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use musubi_domain::{
    Error, ErrorKind,
    caller::{Caller, MayCall, Role},
    id::{CarrierId, CompanyId, OperatorName},
};
use tonic::{Request, Status};

use super::{
    denials::{Denial, Denials},
    status::to_status,
};

/// Whom a server knows, and who of them may call what. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Authenticator {
    /// With their roles, which only operators have.
    known: Arc<HashMap<Caller, Vec<Role>>>,
    table: &'static [MayCall],
    denials: Denials,
}

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
        Self { known: Arc::new(known.into_iter().collect()), table, denials: Denials::default() }
    }

    /// Whom it refused.
    #[must_use]
    pub fn denials(&self) -> Denials {
        self.denials.clone()
    }

    /// Everybody whom it knows.
    pub(crate) fn known(&self) -> impl Iterator<Item = &Caller> {
        self.known.keys()
    }

    /// The caller, by the parties that the certificate names.
    ///
    /// # Errors
    /// `Unauthenticated` when none of them is known, or more than one is.
    pub(crate) fn identify(&self, parties: &[Caller], address: Option<IpAddr>) -> Result<Caller, Error> {
        let mut known = parties.iter().filter(|party| self.known.contains_key(party));
        let problem = match (known.next(), known.next()) {
            (Some(caller), None) => return Ok(caller.clone()),
            (None, _) => "the certificate names nobody who is known here",
            (Some(_), Some(_)) => "the certificate names more than one of those who are known here",
        };
        self.denials.count(Denial::NotKnown { address });
        Err(Error::new(
            ErrorKind::Unauthenticated,
            problem,
            "show a certificate that names one party whom the called node's configuration knows",
        ))
    }

    /// Whether this caller may call the method of this path. What the table doesn't allow is denied.
    ///
    /// # Errors
    /// `PermissionDenied`, alike for what another may call and for what there isn't.
    pub(crate) fn permit(&self, caller: &Caller, path: &str) -> Result<(), Error> {
        let roles = self.known.get(caller).map_or(&[][..], Vec::as_slice);
        if self.table.iter().any(|row| row.is_about(path) && row.allows(caller.kind(), roles)) {
            return Ok(());
        }
        let row = self.table.iter().find(|row| row.is_about(path));
        let name = path.rsplit('/').next().unwrap_or_default();
        let method = row.and_then(|row| row.methods.iter().copied().find(|method| *method == name));
        self.denials.count(Denial::NotAllowed { caller: caller.clone(), method });
        Err(denied(caller))
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
        | Caller::TerminalOperator(_)) => Err(to_status(denied(other))),
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
        | Caller::TerminalOperator(_)) => Err(to_status(denied(other))),
    }
}

/// The operator who calls.
///
/// # Errors
/// PERMISSION_DENIED when another does.
pub fn operator<T>(request: &Request<T>) -> Result<OperatorName, Status> {
    match caller(request)? {
        Caller::CompanyOperator(_, name) | Caller::TerminalOperator(name) => Ok(name.clone()),
        other @ (Caller::Company(_) | Caller::Carrier(_) | Caller::Information | Caller::Terminal) => {
            Err(to_status(denied(other)))
        }
    }
}

fn denied(caller: &Caller) -> Error {
    let problem = format!("{caller} may not call this");
    Error::new(ErrorKind::PermissionDenied, problem, "call as one who may; the table of callers says who")
}

#[cfg(test)]
mod tests {
    use musubi_domain::caller::CallerKind;

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
        let who =
            |names: &[&str]| door().identify(&names.iter().map(|name| party(name)).collect::<Vec<_>>(), None);
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

    #[test]
    fn what_no_row_allows_is_denied() {
        let may = |name: &str, path: &str| door().permit(&party(name), path).is_ok();
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
