//! The pages in a real browser, against a demo that was left running: `tests/browser` has the scenarios, one file for each kind of
//! page, and here they are run, all of them with one browser and one demo; a company server of its own, with a real provider of OpenID Connect, beside it.
//!
//! Surprising: what a scenario asserts stands in JavaScript; a failure shows all that it said.

use std::path::Path;

use musubi_servers::Browser;
use musubi_tests::processes::program;

/// Files of scenarios, in the order in which they are run.
const SCENARIOS: [&str; 3] = ["phones", "console", "openid"];

#[test]
fn people_use_every_page_by_hand_and_none_runs_what_others_wrote() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let build = program().ancestors().nth(2).unwrap();
    let browser = Browser::prepare(&tests.join("browser"), build).unwrap_or_else(|error| panic!("{error}"));
    let mut run = browser.command("run.js");
    let output = run.args(SCENARIOS).env("MUSUBI_PROGRAM", program()).output().unwrap();
    let (told, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{complained}");
}
