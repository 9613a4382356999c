//! Both services over a real store: what one person of `power` asks for, and what another makes of it.

use std::sync::Arc;

use jiff::SignedDuration;
use musubi_domain::{ErrorKind, id::FollowerKeyring};
use musubi_proto::information::v1::{
    self as wire, approval_service_server::ApprovalService as _,
    follower_service_server::FollowerService as _, person::Who,
};

use super::{ApprovalsService, Sweeper};
use crate::{
    followers::Followers,
    tests::{World, follower, from, refusal, signals},
};

fn state(approval: &wire::Approval) -> &'static str {
    approval.state().as_str_name().trim_start_matches("APPROVAL_STATE_")
}

struct Stage {
    world: World,
    followers: Followers,
    approvals: ApprovalsService,
}

impl Stage {
    async fn new() -> Self {
        let world = World::new().await;
        world.follow("power", &[Some("C1"), Some("C2"), None]).await;
        let keyring = FollowerKeyring::new(&[7; 32]).unwrap();
        let directory = || Arc::clone(&world.directory);
        let followers =
            Followers::new(world.store(), world.clock(), directory(), keyring, Arc::default(), signals());
        let approvals = ApprovalsService::new(world.store(), world.clock(), directory());
        Self { world, followers, approvals }
    }

    async fn export(&self, last: u8, operator: &str) -> wire::ExportFollowerResponse {
        let request = wire::ExportFollowerRequest {
            official_account: "power".to_owned(),
            person: Some(wire::Person { who: Some(Who::FollowerId(follower(last).to_string())) }),
            operator: operator.to_owned(),
        };
        self.followers.export_follower(from("power", request)).await.unwrap().into_inner()
    }

    async fn erase(&self, customers: &[&str], operator: &str) -> wire::EraseFollowersResponse {
        let person = |customer: &&str| wire::Person { who: Some(Who::CustomerId((*customer).to_owned())) };
        let request = wire::EraseFollowersRequest {
            official_account: String::new(),
            people: customers.iter().map(person).collect(),
            operator: operator.to_owned(),
        };
        self.followers.erase_followers(from("power", request)).await.unwrap().into_inner()
    }

    async fn grant(&self, id: &str, operator: &str) -> Result<wire::Approval, tonic::Status> {
        let request =
            wire::GrantApprovalRequest { approval_id: id.to_owned(), operator: operator.to_owned() };
        let granted = self.approvals.grant_approval(from("power", request)).await?;
        Ok(granted.into_inner().approval.unwrap())
    }

    async fn get(&self, id: &str) -> wire::Approval {
        let request = wire::GetApprovalRequest { approval_id: id.to_owned() };
        self.approvals.get_approval(from("power", request)).await.unwrap().into_inner().approval.unwrap()
    }

    async fn due(&self) -> usize {
        let (now, later) = (self.world.clock().now(), crate::tests::minute(900_000));
        self.world.store().claim_erasures(now, later, 9).await.unwrap().len()
    }
}

#[tokio::test]
async fn of_an_export_nothing_is_given_before_it_is_approved_and_then_once_to_who_asked() {
    let stage = Stage::new().await;
    let asked = stage.export(1, "sato").await;
    let approval = asked.approval.clone().unwrap();
    assert_eq!((state(&approval), approval.act().as_str_name()), ("WAITING", "APPROVAL_ACT_EXPORT"));
    assert!(asked == wire::ExportFollowerResponse { approval: asked.approval.clone(), ..Default::default() });
    let id = approval.approval_id;
    assert_eq!(stage.export(1, "sato").await.approval.unwrap().approval_id, id, "asked again");
    assert_eq!(stage.get(&id).await.follower_ids, [follower(1).to_string()]);

    let error = refusal(stage.grant(&id, "sato").await);
    assert_eq!((error.kind, &*error.field), (ErrorKind::FailedPrecondition, "approval_id"));
    assert!(stage.export(1, "sato").await.follower.is_none());
    assert_eq!(state(&stage.grant(&id, "kato").await.unwrap()), "APPROVED");
    let others = stage.export(1, "kato").await;
    assert!(others.follower.is_none(), "who approved gets nothing");
    assert_ne!(others.approval.unwrap().approval_id, id);

    let given = stage.export(1, "sato").await;
    assert_eq!(given.follower.unwrap().customer_id, "C1");
    assert!(given.approval.is_none());
    assert_eq!(state(&stage.get(&id).await), "DONE");
    let anew = stage.export(1, "sato").await;
    assert!(anew.follower.is_none() && anew.approval.unwrap().approval_id != id, "once");
}

#[tokio::test]
async fn nobody_is_erased_before_a_second_person_wants_it() {
    let stage = Stage::new().await;
    let asked = stage.erase(&["C1", "C2", "C9"], "sato").await;
    let approval = asked.approval.unwrap();
    assert!(asked.erasures.is_empty());
    assert_eq!(
        (approval.people, approval.official_account.as_str()),
        (2, "power"),
        "whom nobody has is nobody"
    );
    assert_eq!(stage.due().await, 0);
    let nobody = stage.erase(&["C9"], "sato").await;
    assert!(nobody.approval.is_none() && nobody.erasures.is_empty());

    let id = approval.approval_id;
    assert_eq!(refusal(stage.grant(&id, "sato").await).field, "approval_id");
    assert_eq!(stage.due().await, 0);
    let done = stage.grant(&id, "kato").await.unwrap();
    assert_eq!((state(&done), done.decided_by.as_str()), ("DONE", "kato"));
    assert!(stage.grant(&id, "kato").await.unwrap() == done, "a call repeated");
    assert_eq!(stage.due().await, 2);
    assert!(stage.get(&id).await.follower_ids.is_empty());
}

#[tokio::test]
async fn what_waits_too_long_is_closed() {
    let stage = Stage::new().await;
    let id = stage.erase(&["C1"], "sato").await.approval.unwrap().approval_id;
    let shutdown = musubi_runtime::Shutdown::new(std::time::Duration::from_secs(5));
    let sweeper = Sweeper::new(stage.world.store(), stage.world.clock());
    stage.world.clock.advance(SignedDuration::from_hours(7 * 24));
    shutdown.spawn("approvals", sweeper.run(shutdown.clone()));
    let closed = async {
        while state(&stage.get(&id).await) != "EXPIRED" {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), closed).await.unwrap();
    shutdown.begin();
    shutdown.drained().await.unwrap();
    assert_eq!(refusal(stage.grant(&id, "kato").await).kind, ErrorKind::FailedPrecondition);
    assert_eq!(stage.due().await, 0);
}

#[tokio::test]
async fn bad_requests_name_their_field_and_anothers_is_not_found() {
    let stage = Stage::new().await;
    let id = stage.erase(&["C1"], "sato").await.approval.unwrap().approval_id;
    let request = wire::GetApprovalRequest { approval_id: id.clone() };
    let error = refusal(stage.approvals.get_approval(from("bank", request)).await);
    assert_eq!((error.kind, &*error.field), (ErrorKind::NotFound, "approval_id"));
    for (id, operator, kind, field) in [
        (id.as_str(), "", ErrorKind::InvalidArgument, "operator"),
        (id.as_str(), "Kato", ErrorKind::InvalidArgument, "operator"),
        ("", "kato", ErrorKind::NotFound, "approval_id"),
        ("apv_1", "kato", ErrorKind::NotFound, "approval_id"),
    ] {
        let error = refusal(stage.grant(id, operator).await);
        assert_eq!((error.kind, &*error.field), (kind, field));
    }
    let query = |state, page_size, page_token: &str| {
        let page_token = page_token.to_owned();
        from("power", wire::ListApprovalsRequest { state, page_size, page_token })
    };
    for (request, field) in [
        (query(99, 0, ""), "state"),
        (query(0, 1_001, ""), "page_size"),
        (query(0, 0, "apv_1"), "page_token"),
    ] {
        assert_eq!(refusal(stage.approvals.list_approvals(request).await).field, field);
    }
    let page = stage.approvals.list_approvals(query(1, 1, "")).await.unwrap().into_inner();
    assert_eq!(page.approvals.len(), 1);
    assert!(page.approvals[0].follower_ids.is_empty() && page.next_page_token == id);
    let last = stage.approvals.list_approvals(query(1, 1, &page.next_page_token)).await.unwrap().into_inner();
    assert!(last.approvals.is_empty() && last.next_page_token.is_empty());
}
