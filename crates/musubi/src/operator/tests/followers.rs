//! Who follows, and what people have a right to: erased, shown to be erased, given what is held.

use super::*;

#[tokio::test]
async fn the_funnel_has_bars_and_followers_come_in_pages() {
    let (desk, _) = Desk::at_peer().await;
    let (_, text) = desk.run(&["followers", "funnel"]).await;
    assert!(text.contains("tf-bank over kumo") && text.contains("now confirmed"), "{text}");
    let bar = |stage: &str| text.lines().find(|line| line.contains(stage)).unwrap().matches('█').count();
    assert_eq!((bar("1,000"), bar("asked"), bar("now confirmed")), (30, 15, 3), "{text}");
    let (_, text) = desk
        .run(&[
            "followers",
            "list",
            "--official-account",
            "tf-bank",
            "--outcome",
            "confirmed",
            "--format",
            "csv",
        ])
        .await;
    let ids: Vec<&str> = text.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(ids, ["flw_1", "flw_2"]);
    assert!(text.contains(",confirmed,B1,"), "{text}");
}

#[tokio::test]
async fn days_are_listed_and_followers_untied_suspended_and_released() {
    let (desk, _) = Desk::at_peer().await;
    let (_, text) = desk.run(&["followers", "days", "--days", "7", "--format", "csv"]).await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "date,account,carrier,came,left,asked,answered,wants,account_given,verified,confirmed_by_card,confirmed_by_carrier,confirmed_by_document,untied"
    );
    assert_eq!(lines[1..].len(), 3);
    assert_eq!(lines[1], "2026-11-23,tf-bank,kumo,7,0,0,0,0,0,0,2,0,0,0");
    for (command, said) in [
        ("untie", "2 of 2 people untied; the others had no tie"),
        ("suspend", "2 of 2 people suspended; the others were already, or are not known"),
        ("release", "0 of 2 people released; the others were not suspended"),
    ] {
        let named = ["--official-account", "bank", "--follower", "flw_1", "--follower", "flw_2"];
        let (_, text) = desk.run(&[&["followers", command][..], &named].concat()).await;
        assert_eq!(text.trim(), said);
    }
}

#[tokio::test]
async fn consents_of_a_file_are_brought_in_or_none_of_them() {
    let (desk, _peer) = Desk::at_peer().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("consents.csv");
    let row = |last: u32| format!("+81801234{last:04},web form,2026-03-01T09:00\n");
    let good: String = (0..1_500).map(row).collect();
    fs::write(&file, format!("phone_number,source,consent_time\n{good}")).unwrap();
    let import = |more: &[&'static str]| {
        let path = file.to_str().unwrap().to_owned();
        let desk = &desk;
        let more = more.to_vec();
        async move {
            let start = ["followers", "import", &path, "--official-account", "tf-bank", "--carrier", "hoshi"];
            desk.run(&[&start[..], &more].concat()).await
        }
    };
    let (ending, text) = import(&["--dry-run"]).await;
    assert!(ending == Ok(Ending::Done) && text.starts_with("1,500 consents, all of them good"), "{text}");
    let (ending, text) = import(&[]).await;
    assert!(
        ending == Ok(Ending::Done) && text.starts_with("1,496 follow now; nothing changed for 2; 2 can"),
        "{text}"
    );
    fs::write(&file, format!("phone_number,source,consent_time\n{good}0801,web,2026-03-01T09:00\n")).unwrap();
    let (ending, text) = import(&[]).await;
    assert_eq!(ending, Ok(Ending::Refused));
    assert!(
        text.contains("1502") && text.contains("phone_number") && text.contains("nothing was brought in"),
        "{text}"
    );
}

#[tokio::test]
async fn people_are_erased_and_the_proof_waits_for_it_and_tells_what_is_left() {
    let (desk, peer) = Desk::at_peer().await;
    let account = ["--official-account", "tf-bank"];
    let (ending, text) = desk
        .run(&[&["followers", "erase", "--follower", "flw_1", "--customer", "B1"][..], &account].concat())
        .await;
    assert_eq!(ending, Ok(Ending::Done));
    assert!(text.starts_with("2 followers of 2 people named: "), "{text}");
    let waits = ["followers", "erase", "--follower", "flw_3"];
    let (ending, text) = desk.run(&[&waits[..], &account].concat()).await;
    assert_eq!(ending, Ok(Ending::Refused), "what waits is not done");
    assert!(
        text.starts_with("waits for a second person") && text.contains("musubi approvals approve apv_1"),
        "{text}"
    );
    let prove = ["followers", "prove-erased", "--follower", "flw_1"];
    let (ending, text) = desk.run(&[&prove[..], &account].concat()).await;
    assert_eq!(ending, Ok(Ending::Done));
    assert!(text.contains("flw_1: nothing is held; erased 1970-01-01 09:00:00: company"), "{text}");
    assert_eq!(peer.0.lock().unwrap().searches, 2, "it looked again while the erasure waited");
    let (ending, text) = desk.run(&[&prove[..], &["--follower", "flw_2"], &account].concat()).await;
    assert_eq!(ending, Ok(Ending::Refused), "one of two is held");
    assert!(text.contains("flw_2: something is held"), "{text}");
}

#[tokio::test]
async fn people_are_unlocked_and_counted() {
    let (desk, _peer) = Desk::at_peer().await;
    let unlock = ["followers", "unlock", "--official-account"];
    for (account, said) in [("bank", "2 of 2 people unlocked"), ("gas", "0 of 2 people unlocked")] {
        let people = ["--follower", "flw_1", "--customer", "B1"];
        let (ending, text) = desk.run(&[&unlock[..], &[account], &people].concat()).await;
        assert!(ending == Ok(Ending::Done) && text.starts_with(said), "{text}");
    }
}

#[tokio::test]
async fn everything_about_a_person_is_written_as_json() {
    let (desk, _peer) = Desk::at_peer().await;
    let export = ["followers", "export", "--official-account", "tf-bank", "--follower", "flw_1"];
    let (ending, text) = desk.run(&export).await;
    assert_eq!(ending, Ok(Ending::Done));
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["phone_number"], "+818000000000");
    assert_eq!(told["consents"][0]["text"], "はい");
    assert_eq!(told["tie"]["method"], "jpki");
    let (ending, _) = desk.run(&[&export[..], &["--follower", "flw_2"]].concat()).await;
    assert_eq!(ending.unwrap_err().field, "--follower");
    let show = ["followers", "show", "--official-account", "tf-bank", "--follower", "flw_1"];
    for (more, number) in [(&[][..], "+**********00"), (&["--reveal"], "+818000000000")] {
        let (ending, text) = desk.run(&[&show[..], more].concat()).await;
        assert!(ending == Ok(Ending::Done) && text.contains(number), "{text}");
    }
}

#[tonic::async_trait]
impl FollowerService for Peer {
    async fn get_funnel(&self, _: Request<GetFunnelRequest>) -> Result<Response<GetFunnelResponse>, Status> {
        let outcome = OutcomeCount { outcome: FollowerOutcome::Confirmed.into(), count: 100 };
        let funnel = Funnel {
            official_account: "tf-bank".to_owned(),
            carrier: "kumo".to_owned(),
            followers: 1000,
            asked: 500,
            outcomes: vec![outcome],
            ..Funnel::default()
        };
        Ok(Response::new(GetFunnelResponse { funnels: vec![funnel], ..GetFunnelResponse::default() }))
    }

    async fn list_followers(
        &self,
        request: Request<ListFollowersRequest>,
    ) -> Result<Response<ListFollowersResponse>, Status> {
        let request = request.into_inner();
        let (number, next) = if request.page_token.is_empty() { (1, "more") } else { (2, "") };
        let follower = Follower {
            follower_id: format!("flw_{number}"),
            phone_number: "+818000000000".to_owned(),
            carrier: "kumo".to_owned(),
            outcome: request.outcome,
            customer_id: format!("B{number}"),
            ..Follower::default()
        };
        Ok(Response::new(ListFollowersResponse {
            followers: vec![follower],
            next_page_token: next.to_owned(),
        }))
    }

    async fn get_follower(
        &self,
        request: Request<GetFollowerRequest>,
    ) -> Result<Response<GetFollowerResponse>, Status> {
        let number = if request.get_ref().reveal { "+818000000000" } else { "+**********00" };
        let follower = Some(Follower { phone_number: number.to_owned(), ..Follower::default() });
        Ok(Response::new(GetFollowerResponse { follower, ..GetFollowerResponse::default() }))
    }

    async fn import_followers(
        &self,
        request: Request<ImportFollowersRequest>,
    ) -> Result<Response<ImportFollowersResponse>, Status> {
        let given = u32::try_from(request.get_ref().consents.len()).unwrap();
        Ok(Response::new(ImportFollowersResponse { imported: given - 2, unchanged: 1, unreachable: 1 }))
    }

    async fn unlock_follower(
        &self,
        request: Request<UnlockFollowerRequest>,
    ) -> Result<Response<UnlockFollowerResponse>, Status> {
        let unlocked = request.get_ref().official_account == "bank";
        Ok(Response::new(UnlockFollowerResponse { unlocked }))
    }

    async fn untie_follower(
        &self,
        request: Request<UntieFollowerRequest>,
    ) -> Result<Response<UntieFollowerResponse>, Status> {
        let untied = request.get_ref().official_account == "bank";
        Ok(Response::new(UntieFollowerResponse { untied }))
    }

    async fn suspend_follower(
        &self,
        request: Request<SuspendFollowerRequest>,
    ) -> Result<Response<SuspendFollowerResponse>, Status> {
        // Nobody here is suspended.
        Ok(Response::new(SuspendFollowerResponse { changed: !request.get_ref().release }))
    }

    async fn list_days(
        &self,
        request: Request<ListDaysRequest>,
    ) -> Result<Response<ListDaysResponse>, Status> {
        let day = |date: &str, carrier: &str| DayCounts {
            date: date.to_owned(),
            carrier: carrier.to_owned(),
            official_account: "tf-bank".to_owned(),
            came: request.get_ref().days.into(),
            confirmed_by_card: 2,
            ..DayCounts::default()
        };
        let days = vec![day("2026-11-23", "kumo"), day("2026-11-23", "nami"), day("2026-11-24", "kumo")];
        Ok(Response::new(ListDaysResponse { days, ..ListDaysResponse::default() }))
    }

    async fn erase_followers(
        &self,
        request: Request<EraseFollowersRequest>,
    ) -> Result<Response<EraseFollowersResponse>, Status> {
        let request = request.into_inner();
        // flw_3 is of those who need a second person.
        let third = Some(person::Who::FollowerId("flw_3".to_owned()));
        if request.people.iter().any(|person| person.who == third) {
            let approval = Some(Approval { approval_id: "apv_1".to_owned(), ..Approval::default() });
            return Ok(Response::new(EraseFollowersResponse {
                approval,
                ..EraseFollowersResponse::default()
            }));
        }
        let erasures = request.people.iter().map(|_| RequestedErasure::default()).collect();
        Ok(Response::new(EraseFollowersResponse { erasures, approval: None }))
    }

    async fn release_list(
        &self,
        _: Request<ReleaseListRequest>,
    ) -> Result<Response<ReleaseListResponse>, Status> {
        Ok(Response::new(ReleaseListResponse::default()))
    }

    /// Of flw_1 the erasure waits at the first look; of flw_2 there is a row.
    async fn search_follower(
        &self,
        request: Request<SearchFollowerRequest>,
    ) -> Result<Response<SearchFollowerResponse>, Status> {
        let follower_id = match request.into_inner().person.and_then(|person| person.who) {
            Some(person::Who::FollowerId(id)) => id,
            who @ (Some(person::Who::PhoneNumber(_) | person::Who::CustomerId(_)) | None) => {
                panic!("a follower is searched for: {}", who.is_some())
            }
        };
        let looks = {
            let mut told = self.0.lock().unwrap();
            told.searches += 1;
            told.searches
        };
        let rows = u64::from(follower_id == "flw_2");
        let time = Some(timestamp(jiff::Timestamp::UNIX_EPOCH));
        let erasure =
            Erasure { cause: "company".to_owned(), request_time: time, erase_time: time, waits: looks == 1 };
        Ok(Response::new(SearchFollowerResponse {
            follower_id,
            tables: vec![HeldRows { table: "delivery".to_owned(), rows }],
            erasure: Some(erasure),
            follow_time: None,
        }))
    }

    async fn export_follower(
        &self,
        _: Request<ExportFollowerRequest>,
    ) -> Result<Response<ExportFollowerResponse>, Status> {
        let consent = Consent { kind: "wants".to_owned(), text: "はい".to_owned(), ..Consent::default() };
        let follower = Follower { phone_number: "+818000000000".to_owned(), ..Follower::default() };
        Ok(Response::new(ExportFollowerResponse {
            follower: Some(follower),
            consents: vec![consent],
            tie_time: Some(timestamp(jiff::Timestamp::UNIX_EPOCH)),
            tie_method: 1,
            ..ExportFollowerResponse::default()
        }))
    }
}
