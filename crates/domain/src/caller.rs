//! Who calls whom: the parties that certificates name, and the table of who may call which method.
//!
//! A party's name stands in its certificate as `spiffe://musubi/company/tf-bank`; without the front it is what configurations
//! and logs say. Surprising: an operator's name holds the node that the person operates, so that two companies' Satos are two.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    Error,
    error::shape,
    id::{CarrierId, CompanyId, OperatorName},
};

/// What stands before a party's name in a certificate.
const FRONT: &str = "spiffe://musubi/";

/// A process or a person that calls or is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Caller {
    /// A company's server.
    Company(CompanyId),
    /// A carrier.
    Carrier(CarrierId),
    /// The information-management server.
    Information,
    /// Consumers' terminals.
    Terminal,
    /// A person of a company, who operates the company's server.
    CompanyOperator(CompanyId, OperatorName),
    /// A program of a company that calls the company's server by a key of its own.
    CompanyMachine(CompanyId, OperatorName),
    /// A person who operates the terminals.
    TerminalOperator(OperatorName),
    /// Whoever has said nothing of themselves yet. No certificate names them.
    Stranger,
}

/// What kind of party calls: a column of the table of callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallerKind {
    /// A company's server.
    Company,
    /// A carrier.
    Carrier,
    /// The information-management server.
    Information,
    /// Consumers' terminals.
    Terminal,
    /// A person who operates the called node.
    Operator,
    /// A program with a key of the called node.
    Machine,
    /// Everybody, known or not.
    Anybody,
}

/// What an operator of a company may do; one may have several. The table of callers says which methods that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees counts and states, and nobody's data.
    Viewer,
    /// Prepares distributions.
    Editor,
    /// Decides: reviews, and that a distribution starts.
    Approver,
    /// Looks at everything, and changes nothing.
    Auditor,
    /// Keeps the customer master, and sees to what people have a right to.
    Administrator,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Viewer, Self::Editor, Self::Approver, Self::Auditor, Self::Administrator];

    /// As people write it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Approver => "approver",
            Self::Auditor => "auditor",
            Self::Administrator => "administrator",
        }
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|role| role.word() == word).ok_or_else(|| {
            let remedy = "write viewer, editor, approver, auditor or administrator";
            Error::invalid("role", format!("{} is no role", shape(word)), remedy)
        })
    }
}

impl Caller {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> CallerKind {
        match self {
            Self::Company(_) => CallerKind::Company,
            Self::Carrier(_) => CallerKind::Carrier,
            Self::Information => CallerKind::Information,
            Self::Terminal => CallerKind::Terminal,
            Self::CompanyOperator(..) | Self::TerminalOperator(_) => CallerKind::Operator,
            Self::CompanyMachine(..) => CallerKind::Machine,
            Self::Stranger => CallerKind::Anybody,
        }
    }

    /// Its name in a certificate: a URI among the subject's alternative names.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("{FRONT}{self}")
    }

    /// Whom a URI of a certificate names, if it names anybody here.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<Self> {
        uri.strip_prefix(FRONT)?.parse().ok()
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Company(id) => write!(f, "company/{id}"),
            Self::Carrier(id) => write!(f, "carrier/{id}"),
            Self::Information => f.write_str("information"),
            Self::Terminal => f.write_str("terminal"),
            Self::CompanyOperator(id, name) => write!(f, "company/{id}/operator/{name}"),
            Self::CompanyMachine(id, name) => write!(f, "company/{id}/machine/{name}"),
            Self::TerminalOperator(name) => write!(f, "terminal/operator/{name}"),
            Self::Stranger => f.write_str("a stranger"),
        }
    }
}

impl FromStr for Caller {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = text.split('/').collect();
        Ok(match parts[..] {
            ["company", id] => Self::Company(id.parse()?),
            ["carrier", id] => Self::Carrier(id.parse()?),
            ["information"] => Self::Information,
            ["terminal"] => Self::Terminal,
            ["company", id, "operator", name] => Self::CompanyOperator(id.parse()?, name.parse()?),
            ["terminal", "operator", name] => Self::TerminalOperator(name.parse()?),
            _ => {
                return Err(Error::invalid(
                    "party",
                    format!("{} names no party", shape(text)),
                    "write information, terminal, company/ID, carrier/ID, company/ID/operator/NAME or terminal/operator/NAME",
                ));
            }
        })
    }
}

impl Serialize for Caller {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Caller {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A row of the table of callers: who may call these methods of a service. What no row allows is denied.
#[derive(Clone, Copy, Debug)]
pub struct MayCall {
    /// The service, with its package.
    pub service: &'static str,
    /// Its methods.
    pub methods: &'static [&'static str],
    /// Who may call them.
    pub who: &'static [CallerKind],
    /// Of operators and machines only those with one of these roles; none: all.
    pub roles: &'static [Role],
}

impl MayCall {
    /// Whether this row is about the method of this path, `/package.Service/Method`.
    #[must_use]
    pub fn is_about(&self, path: &str) -> bool {
        path.strip_prefix('/')
            .and_then(|path| path.split_once('/'))
            .is_some_and(|(service, method)| service == self.service && self.methods.contains(&method))
    }

    /// Whether it lets a party of this kind, with these roles if it is an operator or a machine.
    #[must_use]
    pub fn allows(&self, kind: CallerKind, roles: &[Role]) -> bool {
        let has_role = || self.roles.is_empty() || roles.iter().any(|role| self.roles.contains(role));
        let needs_role = matches!(kind, CallerKind::Operator | CallerKind::Machine);
        self.who.contains(&CallerKind::Anybody) || (self.who.contains(&kind) && (!needs_role || has_role()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written_and_nothing_else_is() {
        for name in [
            "company/tf-bank",
            "carrier/kumo",
            "information",
            "terminal",
            "company/tf-bank/operator/sato",
            "terminal/operator/sato",
        ] {
            let caller: Caller = name.parse().unwrap();
            assert_eq!(caller.to_string(), name);
            assert_eq!(Caller::from_uri(&caller.uri()), Some(caller));
        }
        for wrong in [
            "",
            "company",
            "company/",
            "company/TF",
            "company/a/operator",
            "information/",
            "carrier/a/operator/b",
            "company/a/machine/b",
            "a stranger",
        ] {
            assert!(wrong.parse::<Caller>().is_err(), "{wrong}");
            assert_eq!(Caller::from_uri(&format!("{FRONT}{wrong}")), None, "{wrong}");
        }
        for elsewhere in ["spiffe://other/information", "https://musubi/information", "information"] {
            assert_eq!(Caller::from_uri(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn a_row_is_about_its_own_methods_only() {
        let row = MayCall { service: "a.v1.B", methods: &["Get"], who: &[CallerKind::Company], roles: &[] };
        assert!(row.is_about("/a.v1.B/Get"));
        for other in ["/a.v1.B/Put", "/a.v1.C/Get", "a.v1.B/Get", "/a.v1.B", "/a.v1.B/Get/", "//a.v1.B/Get"] {
            assert!(!row.is_about(other), "{other}");
        }
    }

    #[test]
    fn operators_need_one_of_the_roles_and_nobody_else_does() {
        let who = &[CallerKind::Company, CallerKind::Operator];
        let row =
            MayCall { service: "a.v1.B", methods: &["Get"], who, roles: &[Role::Editor, Role::Auditor] };
        assert!(row.allows(CallerKind::Company, &[]));
        assert!(!row.allows(CallerKind::Carrier, &Role::ALL));
        for role in Role::ALL {
            assert_eq!(row.allows(CallerKind::Operator, &[role]), row.roles.contains(&role), "{role:?}");
        }
        assert!(!row.allows(CallerKind::Operator, &[]));
        assert!(MayCall { roles: &[], ..row }.allows(CallerKind::Operator, &[]));
        let machines = MayCall { who: &[CallerKind::Machine], ..row };
        assert!(machines.allows(CallerKind::Machine, &[Role::Editor]));
        assert!(!machines.allows(CallerKind::Machine, &[Role::Viewer]));
        assert!(!machines.allows(CallerKind::Operator, &[Role::Editor]));
    }

    #[test]
    fn what_anybody_may_call_the_known_may_too() {
        let row = MayCall { service: "a.v1.B", methods: &["Get"], who: &[CallerKind::Anybody], roles: &[] };
        for kind in [CallerKind::Anybody, CallerKind::Operator, CallerKind::Information] {
            assert!(row.allows(kind, &[]), "{kind:?}");
            let not = MayCall { who: &[CallerKind::Company], ..row };
            assert!(!not.allows(kind, &Role::ALL), "{kind:?}");
        }
    }

    #[test]
    fn a_role_is_read_as_it_is_written() {
        for role in Role::ALL {
            assert_eq!(role.word().parse(), Ok(role));
        }
        for wrong in ["", "Editor", "editor ", "root"] {
            assert_eq!(wrong.parse::<Role>().unwrap_err().field, "role", "{wrong}");
        }
    }
}
