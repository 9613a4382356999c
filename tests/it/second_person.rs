//! What needs two people, as they do it: the `musubi` program at a company's door, an information-management server that dies in between, and the audit of
//! all of it.

use musubi_terminal_simulator::story::{Expected, Story};
use musubi_tests::processes::{CARRIERS, Kind, OPERATOR, OPERATORS, SECOND_OPERATOR, System};
use serde_json::Value;

use crate::{
    people::{BANK, CONFIRMED, audit, does, import_masters, kill_and_start, musubi, play, shown, until},
    sample_stories,
};

/// The id in what is said of something that waits.
fn waiting(said: &str) -> String {
    let id = said.split_whitespace().find(|word| word.starts_with("apv_"));
    id.unwrap_or_else(|| panic!("nothing waits: {said}")).to_owned()
}

/// What the first operator asks for and does not get yet.
fn asks(system: &System, arguments: &[&str]) -> String {
    let (well, said) = musubi(system, OPERATOR, BANK, arguments);
    assert!(!well && said.contains("waits for a second person"), "{arguments:?}: {said}");
    assert!(said.contains("next: an approver or administrator other than sato runs"), "{said}");
    waiting(&said)
}

fn approve(system: &System, operator: &str, id: &str) -> (bool, String) {
    musubi(system, operator, BANK, &["approvals", "approve", id])
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_do_together_what_neither_does_alone() {
    let mut system = System::start_as(|layout| layout.quiet().in_pairs(0)).await;
    import_masters(&system).await;
    let stories = sample_stories();
    let there = |story: &&Story| {
        story.official_account == BANK
            && CARRIERS.contains(&story.carrier.as_str())
            && story.expected == Expected::Confirmed
            && story.unfollow_after.as_str().is_empty()
    };
    let confirmed: Vec<_> = stories.iter().filter(there).collect();
    let [one, two, ..] = confirmed[..] else { panic!("two confirmed followers of the bank") };
    play(&system, &[one, two]).await;
    for person in [one, two] {
        shown(&system, &person.phone_number, CONFIRMED).await;
    }
    let customer = |story: &Story| story.expected_customer_id.clone().unwrap();
    let (of_one, of_two) = (customer(one), customer(two));

    // An export: nothing is given before it is approved, not by oneself, and what waits outlives a death.
    let export = ["followers", "export", "--official-account", BANK, "--customer", &of_one];
    let id = asks(&system, &export);
    let nothing_of = |said: &str| !said.contains(&one.phone_number) && !said.contains("consents");
    let (well, said) = approve(&system, OPERATOR, &id);
    assert!(!well && said.contains("a second person has to approve it"), "{said}");
    kill_and_start(&mut system).await;
    assert_eq!(asks(&system, &export), id, "the same, asked again");
    let listed = does(&system, BANK, &["approvals", "list"]);
    assert!(listed.contains(&id) && nothing_of(&listed), "{listed}");
    let said = does(&system, BANK, &["approvals", "show", &id]);
    assert!(said.contains("export 1 follower") && said.contains("flw_") && nothing_of(&said), "{said}");
    let (well, said) = approve(&system, SECOND_OPERATOR, &id);
    assert!(well && said.contains("sato may fetch it, once") && nothing_of(&said), "{said}");
    let (well, said) = musubi(&system, SECOND_OPERATOR, BANK, &export);
    assert!(!well && nothing_of(&said), "who approved gets nothing: {said}");
    let told: Value = serde_json::from_str(&does(&system, BANK, &export)).unwrap();
    assert_eq!(told["phone_number"], one.phone_number);
    asks(&system, &export);

    // An erasure: of the master, too, nothing goes before.
    let erase = ["customers", "erase", &of_two, "--followers"];
    let (well, said) = musubi(&system, OPERATOR, BANK, &erase);
    assert!(!well && said.contains("stays in the master until then"), "{said}");
    let id = waiting(&said);
    does(&system, BANK, &["customers", "show", &of_two]);
    let prove = ["followers", "prove-erased", "--official-account", BANK, "--customer", &of_two];
    let (nothing, said) = musubi(&system, OPERATOR, BANK, &prove);
    assert!(!nothing && said.contains("never erased"), "{said}");
    let (well, said) = approve(&system, SECOND_OPERATOR, &id);
    assert!(well && said.contains("is erased within a minute"), "{said}");
    let again = approve(&system, SECOND_OPERATOR, &id);
    assert_eq!(again, (true, said), "a call repeated");
    until("erased", async || musubi(&system, OPERATOR, BANK, &prove).0.then_some(())).await;
    does(&system, BANK, &erase);

    // A distribution: who prepared it may not start it, nor anybody before it is submitted; and what is sent back is submitted anew.
    let text = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&text, "みなさまへ").unwrap();
    let path = text.path().display().to_string();
    let draft =
        ["distributions", "create", "--official-account", BANK, "--name", "n", "--uniform-text", &path];
    let said = does(&system, BANK, &draft);
    let id = said.split_whitespace().find(|word| word.starts_with("dst_")).unwrap().to_owned();
    let (well, said) = musubi(&system, OPERATOR, BANK, &["distributions", "start", &id]);
    assert!(!well && said.contains("sato has prepared it"), "{said}");
    let kato = |command: &str| musubi(&system, SECOND_OPERATOR, BANK, &["distributions", command, &id]);
    let (well, said) = kato("start");
    assert!(!well && said.contains("have who prepares it submit it first"), "{said}");
    let submit = ["distributions", "submit", &id];
    let said = does(&system, BANK, &submit);
    assert!(said.contains("submitted by") && said.contains("next: an approver runs"), "{said}");
    let (well, said) = kato("return");
    assert!(well && said.contains("draft"), "{said}");
    does(&system, BANK, &submit);
    let listed = does(&system, BANK, &["distributions", "list", "--state", "submitted"]);
    assert!(listed.contains(&id), "{listed}");
    let (well, said) = kato("start");
    assert!(well && said.contains("running"), "{said}");
    shown(&system, &one.phone_number, "みなさまへ").await;

    let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    let lines = audit(&mut system, Kind::Information).await;
    let lines: Vec<_> = lines.iter().map(|line| (text(line, "action"), text(line, "detail"))).collect();
    let told = |action: &str, detail: &str| {
        let found = lines.iter().filter(|(what, how)| what == action && how.contains(detail)).count();
        assert!(found > 0, "no {action} with {detail} in {lines:#?}");
    };
    for (action, detail) in [
        ("approval_asked", "export of aoba-bank by sato"),
        ("approval_refused", "export of aoba-bank by sato"),
        ("approval_granted", "export of aoba-bank by kato"),
        ("follower_exported", "by sato, approved by kato as apv_"),
        ("approval_granted", "erase 1 by kato"),
        ("erasure_asked", "company, by sato, approved by kato"),
        ("distribution_start_refused", "by sato"),
        ("distribution_start_refused", "by kato"),
        ("distribution_submitted", "by sato"),
        ("distribution_returned", "by kato"),
        ("distribution_started", "by kato"),
    ] {
        told(action, detail);
    }
    let exported = lines.iter().filter(|(action, _)| action == "follower_exported").count();
    assert_eq!(exported, 1, "{lines:#?}");
}

/// Every role at everything that needs two, and at the approval of it: the role lets some ask, some approve, and nobody approves their own.
#[tokio::test(flavor = "multi_thread")]
async fn each_role_asks_and_approves_what_it_may_and_nobody_their_own() {
    let system = System::start_as(|layout| layout.quiet().in_pairs(0)).await;
    let ask = |operator: &str, last: usize| {
        let number = format!("+81801234{last:04}\n");
        let erase = ["followers", "erase", "--official-account", BANK];
        crate::people::musubi_reading(&system, operator, BANK, &erase, &number).1
    };
    let said_no = "may not call this";
    for (place, (asker, roles)) in OPERATORS.into_iter().enumerate() {
        use musubi_domain::caller::Role::{Administrator, Approver};
        let said = ask(asker, place);
        if !roles.contains(&Administrator) {
            assert!(said.contains(said_no), "{asker}: {said}");
            continue;
        }
        let id = waiting(&said);
        let mut approved = 0;
        for (approver, theirs) in OPERATORS {
            let (well, said) = approve(&system, approver, &id);
            let may = theirs.contains(&Administrator) || theirs.contains(&Approver);
            if !may {
                assert!(!well && said.contains(said_no), "{approver} of {asker}: {said}");
            } else if approver == asker && approved == 0 {
                assert!(!well && said.contains("a second person has to"), "{approver} of {asker}: {said}");
            } else if approved == 0 {
                assert!(well, "{approver} of {asker}: {said}");
                approved += 1;
            } else {
                assert!(!well && said.contains("it is done already"), "{approver} of {asker}: {said}");
            }
        }
        assert_eq!(approved, 1, "{asker}");
    }
}
