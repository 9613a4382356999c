//! The pages in a real browser, against a demo that was left running: `tests/browser` has the scenarios, one file for each kind of
//! page, and here each is run with a browser and a demo of its own; or with a company server and a real provider of OpenID Connect.
//!
//! Surprising: what a scenario asserts stands in JavaScript; a failure shows all that it said.

use std::path::Path;

use musubi_servers::Browser;
use musubi_tests::processes::{Machine, program};

/// Runs a file of scenarios.
fn run(scenarios: &str, _machine: Machine) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let build = program().ancestors().nth(2).unwrap();
    let browser = Browser::prepare(&tests.join("browser"), build).unwrap_or_else(|error| panic!("{error}"));
    let mut run = browser.command("run.js");
    let output = run.arg(scenarios).env("MUSUBI_PROGRAM", program()).output().unwrap();
    let (told, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{complained}");
}

#[tokio::test]
async fn people_use_every_page_of_the_console_by_hand_and_none_runs_what_others_wrote() {
    run("console", Machine::shared().await);
}

#[tokio::test]
async fn people_use_every_page_of_the_phones_by_hand_and_none_runs_what_others_wrote() {
    run("phones", Machine::shared().await);
}

#[tokio::test]
async fn people_sign_in_at_a_provider_and_come_back_to_the_console() {
    run("openid", Machine::shared().await);
}

#[tokio::test]
async fn something_of_every_page_is_seen_at_once() {
    run("speed", Machine::alone().await);
}
