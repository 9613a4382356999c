//! Erasing people, showing that they are erased, and giving them what is held.

use super::*;

#[tokio::test]
async fn people_are_erased_and_the_proof_waits_for_it_and_tells_what_is_left() {
    let (desk, peer) = Desk::at_peer().await;
    let account = ["--official-account", "tf-bank"];
    let (ending, text) = desk
        .run(&[&["followers", "erase", "--follower", "flw_1", "--customer", "B1"][..], &account].concat())
        .await;
    assert_eq!(ending, Ok(Ending::Done));
    assert!(text.starts_with("2 followers of 2 people named: "), "{text}");
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
}
