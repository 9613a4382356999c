//! The words of who may sign in at a company server: roles.

use musubi_domain::{Error, caller::Role};

use crate::company::v1::OperatorRole;

/// The most roles of one request, named again ones included.
const MOST: usize = 100;

/// Roles as they are asked for; each once, in their own order.
///
/// # Errors
/// `roles`, when there is none, or one that isn't known.
pub fn roles(wire: &[i32]) -> Result<Vec<Role>, Error> {
    let wrong = |problem| {
        let remedy = "give one or more of viewer, editor, approver, auditor and administrator";
        Error::invalid("roles", problem, remedy)
    };
    if wire.is_empty() {
        return Err(wrong("there is no role"));
    }
    if wire.len() > MOST {
        return Err(wrong("there are more than 100"));
    }
    let mut roles = wire
        .iter()
        .map(|role| match OperatorRole::try_from(*role) {
            Ok(OperatorRole::Viewer) => Ok(Role::Viewer),
            Ok(OperatorRole::Editor) => Ok(Role::Editor),
            Ok(OperatorRole::Approver) => Ok(Role::Approver),
            Ok(OperatorRole::Auditor) => Ok(Role::Auditor),
            Ok(OperatorRole::Administrator) => Ok(Role::Administrator),
            Ok(OperatorRole::Unspecified) | Err(_) => Err(wrong("a role is not known")),
        })
        .collect::<Result<Vec<_>, _>>()?;
    roles.sort_unstable();
    roles.dedup();
    Ok(roles)
}

impl From<Role> for OperatorRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => Self::Viewer,
            Role::Editor => Self::Editor,
            Role::Approver => Self::Approver,
            Role::Auditor => Self::Auditor,
            Role::Administrator => Self::Administrator,
        }
    }
}

/// Roles on the wire.
#[must_use]
pub fn wire_roles(roles: &[Role]) -> Vec<i32> {
    roles.iter().map(|role| OperatorRole::from(*role).into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_come_back_each_once_and_nothing_else_is_one() {
        assert_eq!(roles(&wire_roles(&Role::ALL)), Ok(Role::ALL.to_vec()));
        assert_eq!(roles(&[2, 1, 2]), Ok(vec![Role::Viewer, Role::Editor]));
        for wrong in [&[][..], &[0], &[1, 6], &[-1], &[i32::MAX], &[1; 101]] {
            assert_eq!(roles(wrong).unwrap_err().field, "roles", "{wrong:?}");
        }
    }
}
