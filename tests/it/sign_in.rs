//! People who sign in and machines with keys, on a running cluster and with the `musubi` program, as operators use it; and who
//! guesses, steals or keeps what has ended, to whom nothing is open.
//!
//! Surprising: codes of the step before, of this one and of the next one are all right, so three sign-ins follow one another
//! without a wait.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use musubi_runtime::{Clock as _, SystemClock};
use musubi_tests::processes::{Kind, OPERATOR, System, program};
use tempfile::TempDir;
use totp_rs::Totp;

use crate::people::{BANK, audit, does, musubi};

const PASSWORD: &str = "kirin 87 bridge umbrella";

/// Somebody at a terminal without a certificate, with a folder for what they are given.
struct Desk<'a> {
    system: &'a System,
    folder: TempDir,
}

impl<'a> Desk<'a> {
    fn new(system: &'a System) -> Self {
        Self { system, folder: tempfile::tempdir().unwrap() }
    }

    fn token(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// Runs `musubi`, which reads this: its exit code, and what it said.
    fn runs(&self, arguments: &[&str], input: &str) -> (Option<i32>, String) {
        let mut command = Command::new(program());
        command.args(arguments).args(["--server", self.system.endpoint(BANK).as_str()]).env_clear();
        let authorities = self.system.certificate(&"information".parse().unwrap()).authorities;
        command.env("MUSUBI_AUTHORITIES", authorities).env("MUSUBI_TOKEN", self.token());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = command.spawn().unwrap();
        running.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = running.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    fn does(&self, arguments: &[&str], input: &str) -> String {
        let (code, said) = self.runs(arguments, input);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        said
    }

    /// Takes an invitation; gives the authenticator.
    fn accepts(&self, invitation: &str) -> Totp {
        let said = self.does(&["session", "accept"], &format!("{invitation}\n{PASSWORD}\n"));
        let uri = said.lines().find(|line| line.starts_with("otpauth://")).unwrap();
        Totp::from_url(uri).unwrap()
    }

    /// Signs in with the code of a step beside the present one.
    fn begins(&self, name: &str, authenticator: &Totp, step: i64) -> (Option<i32>, String) {
        self.begins_by(name, &code_of(authenticator, step))
    }

    fn begins_by(&self, name: &str, code: &str) -> (Option<i32>, String) {
        self.runs(&["session", "begin", name], &format!("{PASSWORD}\n{code}\n"))
    }
}

fn code_of(authenticator: &Totp, step: i64) -> String {
    let second = SystemClock.now().as_second() + step * 30;
    authenticator.generate(second.try_into().unwrap()).to_string()
}

/// Has a person invited, with these roles; gives the invitation.
fn invite(system: &System, name: &str, roles: &[&str]) -> String {
    let roles = roles.iter().flat_map(|role| ["--role", role]);
    let arguments: Vec<&str> = ["operators", "invite", name].into_iter().chain(roles).collect();
    does(system, BANK, &arguments).lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn who_is_invited_signs_in_and_does_what_their_roles_allow_until_the_session_ends() {
    let mut system = System::start_quiet().await;
    let invitation = invite(&system, "mori", &["viewer", "editor"]);
    let authenticator = {
        let desk = Desk::new(&system);
        let (code, said) = desk.runs(&["followers", "funnel"], "");
        assert!(code == Some(2) && said.contains("musubi session begin"), "{said}");
        let weak = desk.runs(&["session", "accept"], &format!("{invitation}\npassword1234\n"));
        assert!(weak.0 == Some(1) && weak.1.contains("too easy to guess"), "{}", weak.1);
        let authenticator = desk.accepts(&invitation);
        let used = code_of(&authenticator, -1);
        let (code, said) = desk.begins_by("mori", &used);
        assert!(code == Some(0) && said.starts_with("signed in as mori (viewer, editor) until "), "{said}");
        assert_eq!(desk.does(&["session", "show"], ""), "mori (viewer, editor)\n");
        desk.does(&["followers", "funnel"], "");
        desk.does(&["customers", "list"], "");
        for denied in [&["operators", "list"][..], &["reviews", "list"], &["customers", "purge"]] {
            let (code, said) = desk.runs(denied, "");
            assert!(
                code == Some(1) && said.contains("operator/mori may not call this"),
                "{denied:?}: {said}"
            );
        }
        // The invitation is used, and so is the code.
        let again = desk.runs(&["session", "accept"], &format!("{invitation}\n{PASSWORD}\n"));
        assert!(again.0 == Some(1) && again.1.contains("was used"), "{}", again.1);
        assert_eq!(desk.begins_by("mori", &used).0, Some(1), "a code is taken once");
        desk.does(&["session", "end"], "");
        assert!(!desk.token().exists());
        assert_eq!(desk.begins("mori", &authenticator, 0).0, Some(0));
        let listed = does(&system, BANK, &["operators", "list", "--format", "csv"]);
        let mori = listed.lines().find(|line| line.starts_with("mori,")).unwrap();
        assert!(mori.starts_with("mori,password,\"viewer, editor\",,2"), "{mori}");
        // A session stands in the database: it outlives the server.
        let kept = std::fs::read(desk.token()).unwrap();
        (authenticator, kept)
    };
    let (authenticator, kept) = authenticator;
    for process in system.of(Kind::Company) {
        assert!(process.stop().await.success());
        process.start();
        process.serving().await.unwrap();
    }
    let desk = Desk::new(&system);
    std::fs::write(desk.token(), &kept).unwrap();
    assert_eq!(desk.does(&["session", "show"], ""), "mori (viewer, editor)\n");
    does(&system, BANK, &["operators", "remove", "mori"]);
    let (code, said) = desk.runs(&["session", "show"], "");
    assert!(code == Some(1) && said.contains("the token is nobody's"), "{said}");
    assert_eq!(desk.begins("mori", &authenticator, 1).0, Some(1));

    // Nothing that opens anything was said or kept in the clear.
    let token = String::from_utf8(kept).unwrap().trim().to_owned();
    let stored: Vec<u8> =
        system.stored().into_iter().flat_map(|(_, file, log)| [file, log].concat()).collect();
    for secret in [PASSWORD, &token, &invitation, "$argon2id$"] {
        let stands = stored.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
        assert!(!stands, "it is stored");
        for process in system.processes() {
            assert!(!process.said().contains(secret), "{} says it", process.name());
        }
    }
}

#[tokio::test]
async fn who_guesses_learns_nothing_and_soon_has_to_wait() {
    let mut system = System::start_quiet().await;
    guess(&system);
    // What was tried stands in the audit, of names that there are.
    let lines = audit(&mut system, Kind::Company).await;
    let told = |action: &str| {
        let told = lines.iter().filter(|line| line["action"] == action);
        told.map(|line| line["detail"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(told("sign_in_failed").len(), 5);
    assert!(told("sign_in_failed").iter().all(|detail| detail.contains("mori")));
    assert_eq!((told("signed_in").len(), told("operator_unlocked").len()), (1, 1));
    assert_eq!((told("operator_invited").len(), told("invitation_taken").len()), (2, 1));
}

/// Guesses at mori, who signs in after all and is invited anew.
fn guess(system: &System) {
    let desk = Desk::new(system);
    let authenticator = desk.accepts(&invite(system, "mori", &["administrator"]));
    let right = code_of(&authenticator, 0);
    let wrong = if right == "000000" { "000001" } else { "000000" };
    let mut answers = Vec::new();
    for (name, password, code) in [
        ("mori", "kirin 87 bridge umbrellas", right.as_str()),
        ("mori", PASSWORD, wrong),
        ("nobody", PASSWORD, &right),
        ("sato", PASSWORD, &right),
        ("mori", "kirin", wrong),
        ("mori", "kirin", &right),
        ("mori", "bridge", &right),
        // Five of mori's were wrong; this one is right, and comes too soon.
        ("mori", PASSWORD, &right),
    ] {
        answers.push(desk.runs(&["session", "begin", name], &format!("{password}\n{code}\n")));
    }
    answers.dedup();
    let [(Some(1), said)] = answers.as_slice() else { panic!("{answers:#?}") };
    assert!(said.contains("is wrong, or the next try has to wait") && !said.contains("mori"), "{said}");
    assert!(!desk.token().exists());
    let listed = does(system, BANK, &["operators", "list", "--format", "csv"]);
    let mori = listed.lines().find(|line| line.starts_with("mori,")).unwrap();
    assert!(mori.contains(",waits until 2") && mori.ends_with(",5"), "{mori}");
    // Who has a certificate is not kept out by anybody's guesses, and lets the person in again.
    does(system, BANK, &["operators", "unlock", "mori"]);
    assert_eq!(desk.begins("mori", &authenticator, 0).0, Some(0));
    // An administrator who signed in keeps operators, too, and invites the same person anew: nothing of before is good.
    desk.does(&["operators", "invite", "mori", "--role", "viewer"], "");
    assert_eq!(desk.runs(&["session", "show"], "").0, Some(1));
    assert_eq!(desk.begins("mori", &authenticator, 1).0, Some(1));
}

#[tokio::test]
async fn a_machine_calls_by_its_key_and_decides_nothing() {
    let system = System::start_quiet().await;
    let desk = Desk::new(&system);
    let key = desk.token().display().to_string();
    let make = |name: &str, role: &str, days: &str| {
        let arguments =
            ["operators", "create-machine", name, "--role", role, "--days", days, "--to", key.as_str()];
        musubi(&system, OPERATOR, BANK, &arguments)
    };
    for (name, role, days, field) in [
        ("nightly", "approver", "9", "roles"),
        ("nightly", "viewer", "0", "days"),
        ("nightly", "viewer", "367", "days"),
        (OPERATOR, "viewer", "9", "name"),
    ] {
        let (well, said) = make(name, role, days);
        assert!(!well && said.contains(&format!("field    {field}\n")), "{said}");
    }
    let (well, said) = make("nightly", "administrator", "9");
    assert!(well && said.contains("holds the key of nightly until"), "{said}");
    assert_eq!(desk.does(&["session", "show"], ""), "machine nightly (administrator)\n");
    let master = format!("{}/customers-aoba-bank.csv", crate::SAMPLES);
    desk.does(&["customers", "import", &master, "--dry-run"], "");
    for denied in [
        &["operators", "list"][..],
        &["operators", "invite", "mori", "--role", "approver"],
        &["customers", "erase", "A000001"],
        &["reviews", "list"],
    ] {
        let (code, said) = desk.runs(denied, "");
        assert!(code == Some(1) && said.contains("machine/nightly may not call this"), "{denied:?}: {said}");
    }
    let kept = std::fs::read(desk.token()).unwrap();
    assert!(!make("nightly", "viewer", "9").0, "the name is taken");
    std::fs::write(desk.token(), kept).unwrap();
    // A key is no session: signing out ends nothing but the file.
    let (folder, file) = (desk.folder.path().join("copy"), desk.token());
    std::fs::copy(&file, &folder).unwrap();
    desk.does(&["session", "end"], "");
    std::fs::copy(&folder, &file).unwrap();
    desk.does(&["followers", "funnel"], "");
    does(&system, BANK, &["operators", "remove", "nightly"]);
    let (code, said) = desk.runs(&["followers", "funnel"], "");
    assert!(code == Some(1) && said.contains("the token is nobody's"), "{said}");
}
