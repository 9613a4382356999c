//! Who may call what: one table for each node, and what stands in none is denied.
//!
//! The door of each server reads its table before any handler; the tests of the door are made of it. A node adds to it whom it
//! knows by name: a company server admits the operators of its own configuration, no other company's, each with their roles.

use musubi_domain::caller::{
    CallerKind::{self, Anybody, Carrier, Company, Information, Machine, Operator, Terminal},
    MayCall,
    Role::{self, Administrator, Approver, Auditor, Editor},
};

const fn row(service: &'static str, methods: &'static [&'static str], who: &'static [CallerKind]) -> MayCall {
    MayCall { service, methods, who, roles: &[] }
}

/// A company's people with one of these roles.
const fn people(service: &'static str, methods: &'static [&'static str], roles: &'static [Role]) -> MayCall {
    MayCall { service, methods, who: &[Operator], roles }
}

/// The same, and machines of the company with one of these roles.
const fn people_and_machines(
    service: &'static str,
    methods: &'static [&'static str],
    roles: &'static [Role],
) -> MayCall {
    MayCall { service, methods, who: &[Operator, Machine], roles }
}

const ALL: &[Role] = &Role::ALL;

#[rustfmt::skip]
mod tables {
    use super::*;

    /// At a company server. What it passes on to the information-management server stands in both tables (ADR 3).
    pub const COMPANY: &[MayCall] = &[
        row("musubi.company.v1.SignInService", &["AcceptInvitation", "SignIn", "BeginOpenId", "FinishOpenId"], &[Anybody]),
        people_and_machines("musubi.company.v1.SignInService", &["SignOut", "WhoAmI"], ALL),
        people("musubi.company.v1.OperatorService",
            &["InviteOperator", "CreateMachine", "ListOperators", "UnlockOperator", "RemoveOperator"], &[Administrator]),
        people_and_machines("musubi.company.v1.CustomerService", &["ImportCustomers", "EntrustMaster"], &[Administrator]),
        people("musubi.company.v1.CustomerService", &["PurgeMaster", "EraseCustomer"], &[Administrator]),
        people_and_machines("musubi.company.v1.CustomerService", &["ListCustomers", "GetCustomer"], &[Editor, Approver, Auditor, Administrator]),
        people_and_machines("musubi.company.v1.CustomerService", &["ListCopies", "ListImports"], &[Auditor, Administrator]),
        people("musubi.company.v1.CustomerService", &["SearchCustomer"], &[Auditor, Administrator]),
        people("musubi.company.v1.SessionService", &["ListOwnSessions", "EndOwnSessions"], ALL),
        people("musubi.company.v1.SessionService", &["ListSessions", "EndSessions"], &[Administrator]),
        people("musubi.company.v1.AuditService", &["ListAuditLines", "VerifyAudit"], &[Auditor, Administrator]),
        people("musubi.information.v1.AuditService", &["ListInformationAuditLines", "VerifyInformationAudit"], &[Auditor, Administrator]),
        row("musubi.company.v1.MatchService", &["MatchCustomers"], &[Information]),
        people_and_machines("musubi.information.v1.AccountService", &["ListAccounts"], ALL),
        people_and_machines("musubi.information.v1.FollowerService", &["GetFunnel", "ListDays"], ALL),
        people_and_machines("musubi.information.v1.FollowerService", &["ListFollowers"], &[Editor, Approver, Auditor]),
        people("musubi.information.v1.FollowerService", &["GetFollower"], &[Editor, Approver, Auditor, Administrator]),
        people_and_machines("musubi.information.v1.FollowerService", &["ImportFollowers"], &[Editor]),
        people("musubi.information.v1.FollowerService", &["SearchFollower", "ExportFollower"], &[Auditor, Administrator]),
        people("musubi.information.v1.FollowerService", &["EraseFollowers", "ReleaseList"], &[Administrator]),
        people("musubi.information.v1.ApprovalService", &["ListApprovals", "GetApproval"], &[Approver, Auditor, Administrator]),
        people("musubi.information.v1.ApprovalService", &["GrantApproval", "RejectApproval"], &[Approver, Administrator]),
        people("musubi.information.v1.FollowerService", &["UnlockFollower", "UntieFollower", "SuspendFollower"], &[Approver, Administrator]),
        people("musubi.information.v1.ReviewService", &["ListReviews", "GetReview"], &[Approver, Auditor]),
        people("musubi.information.v1.ReviewService", &["ApproveReview", "RejectReview"], &[Approver]),
        people_and_machines("musubi.information.v1.DistributionService", &["CreateDistribution", "UploadValues", "SubmitDistribution"], &[Editor]),
        people_and_machines("musubi.information.v1.DistributionService", &["ReturnDistribution"], &[Editor, Approver]),
        people_and_machines("musubi.information.v1.DistributionService", &["PreviewDistribution"], &[Editor, Approver, Auditor]),
        people("musubi.information.v1.DistributionService", &["TryDistribution"], &[Editor]),
        people("musubi.information.v1.DistributionService", &["ListTrials"], &[Editor, Approver, Auditor]),
        people("musubi.information.v1.DistributionService", &["StartDistribution", "ResumeDistribution"], &[Approver]),
        people_and_machines("musubi.information.v1.DistributionService", &["PauseDistribution", "CancelDistribution"], &[Editor, Approver, Administrator]),
        people_and_machines("musubi.information.v1.DistributionService", &["GetDistribution", "ListDistributions"], ALL),
    ];

    /// At the information-management server.
    pub const INFORMATION: &[MayCall] = &[
        row("musubi.information.v1.CarrierEventService", &["PushEvents", "PushAssertions"], &[Carrier]),
        row("musubi.information.v1.CustodyService",
            &["EntrustCustomers", "EntrustDigests", "PurgeCustomers", "GetCustody"], &[Company]),
        row("musubi.information.v1.AccountService", &["ListAccounts"], &[Company]),
        row("musubi.information.v1.FollowerService",
            &["GetFunnel", "ListDays", "ListFollowers", "GetFollower", "ImportFollowers", "EraseFollowers", "UnlockFollower", "UntieFollower", "SuspendFollower", "SearchFollower", "ExportFollower", "ReleaseList"], &[Company]),
        row("musubi.information.v1.ApprovalService",
            &["ListApprovals", "GetApproval", "GrantApproval", "RejectApproval"], &[Company]),
        row("musubi.information.v1.AuditService", &["ListInformationAuditLines", "VerifyInformationAudit"], &[Company]),
        row("musubi.information.v1.ReviewService",
            &["ListReviews", "GetReview", "ApproveReview", "RejectReview"], &[Company]),
        row("musubi.information.v1.DistributionService",
            &["CreateDistribution", "UploadValues", "PreviewDistribution", "TryDistribution", "ListTrials", "SubmitDistribution", "ReturnDistribution",
              "StartDistribution", "PauseDistribution", "ResumeDistribution", "CancelDistribution", "GetDistribution", "ListDistributions"], &[Company]),
    ];

    /// At a carrier.
    pub const CARRIER: &[MayCall] = &[
        row("musubi.carrier.v1.SubscriberListService", &["PutOfficialAccount", "FetchSubscriberList"], &[Information]),
        row("musubi.carrier.v1.MessageService", &["SendMessages", "RevokeMessages"], &[Information]),
        row("musubi.carrier.v1.NumberService", &["CheckNumbers"], &[Information]),
        row("musubi.carrier.v1.VerificationService", &["ListVerificationKeys"], &[Information]),
        row("musubi.carrier.v1.VerificationService", &["RegisterPersons", "Authenticate"], &[Terminal]),
        row("musubi.carrier.v1.HandsetService", &["SubmitActions", "ReceiveMessages"], &[Terminal]),
    ];

    /// At the terminals.
    pub const TERMINAL: &[MayCall] = &[
        row("musubi.terminal.v1.TerminalService", &["PlayStories", "GetProgress", "ListTalkRooms"], &[Operator]),
    ];
}

pub use tables::{CARRIER, COMPANY, INFORMATION, TERMINAL};

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::DESCRIPTORS;

    #[test]
    fn every_method_stands_once_in_the_table_of_its_node_and_no_row_names_what_is_not_there() {
        let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
        let mut methods = vec![];
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    methods.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
        let tables = [
            ("company", COMPANY),
            ("information", INFORMATION),
            ("carrier", CARRIER),
            ("terminal", TERMINAL),
        ];
        for (node, table) in tables {
            let home = format!("/musubi.{node}.v1.");
            for method in &methods {
                let rows = table.iter().filter(|row| row.is_about(method)).count();
                assert!(rows <= 1, "{method} at {node} stands in {rows} rows");
                assert!(rows == 1 || !method.starts_with(&home), "{method} has no row");
            }
            let rows = table.iter().flat_map(|row| {
                row.methods.iter().map(|method| format!("/{}/{method}", row.service)).collect::<Vec<_>>()
            });
            rows.for_each(|row| assert!(methods.contains(&row), "{row} at {node} is no method"));
        }
    }

    #[test]
    fn every_row_of_a_companys_people_says_for_which_roles() {
        for row in COMPANY {
            let needs_roles = row.who.contains(&Operator) || row.who.contains(&Machine);
            assert_eq!(needs_roles, !row.roles.is_empty(), "{row:?}");
        }
    }
}
