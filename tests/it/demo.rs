//! A population played through a whole cluster: everybody ends as told, and when somebody doesn't, the demo says so.

use std::{collections::HashMap, fs, process::ExitCode};

use musubi_terminal_simulator::story::{Expected, Story, write_stories};
use musubi_tests::{Run, demo};
use serde_json::Value;

use crate::{SAMPLES, sample_stories};

async fn play(arguments: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    demo(&arguments, folder.path()).await.unwrap()
}

/// Plays the samples, with these stories in place of theirs.
async fn play_samples(stories: &[Story]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stories.csv");
    write_stories(stories, fs::File::create(&path).unwrap()).unwrap();
    let mut arguments = vec!["--stories".to_owned(), path.display().to_string()];
    for account in ["aoba-bank", "hinata-gas"] {
        arguments.extend(["--customers".to_owned(), format!("{account}={SAMPLES}/customers-{account}.csv")]);
    }
    demo(&arguments, folder.path()).await.unwrap()
}

fn count(report: &Value, field: &str) -> u64 {
    report["summary"][field].as_u64().unwrap()
}

/// Asserts that a run went as it should, in every way that its report tells.
fn check(run: &Run, followers: usize) {
    assert_eq!(run.exit_code, ExitCode::SUCCESS, "{}", run.text);
    let stories = run.report["stories"].as_array().unwrap();
    assert_eq!((stories.len(), count(&run.report, "as_expected")), (followers, followers as u64));
    for story in stories {
        let due = match story["outcome"].as_str().unwrap() {
            "confirmed" => (1, 0),
            "unfollowed" => (0, 0),
            _ => (0, 1),
        };
        let received = (&story["individual_received"], &story["uniform_received"]);
        assert_eq!(received, (&due.0.into(), &due.1.into()), "{story}");
        assert_eq!(story["outcome"], story["expected"]);
    }
    let sum = |field: &str| -> u64 {
        run.report["funnels"].as_array().unwrap().iter().map(|funnel| funnel[field].as_u64().unwrap()).sum()
    };
    let confirmed = stories.iter().filter(|story| story["outcome"] == "confirmed").count() as u64;
    assert_eq!((sum("followers"), sum("confirmed"), sum("other")), (followers as u64, confirmed, 0));
    let steps: HashMap<&str, u64> = run.report["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["step"].as_str().unwrap(), step["count"].as_u64().unwrap()))
        .collect();
    assert_eq!((steps["S11"], steps["S14"], steps["S21"]), (followers as u64, followers as u64, confirmed));
    assert_eq!(steps.len(), 15, "S10 to S23 and claim 4");
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_ends_as_told_with_one_company_of_each_matching() {
    let run = play(&["--followers", "300"]).await;
    check(&run, 300);
    for figure in ["(fig. 7)", "(fig. 8)", "(fig. 9)", "(individual message)", "(uniform message)"] {
        assert!(run.text.contains(figure), "no {figure}");
    }
    for button in ["[B1] 口座を確認する", "[B2] 口座を持っていない", "[B3] 確認しない"] {
        assert!(run.text.contains(button), "no {button}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_ends_as_told_on_postgresql() {
    check(&play(&["--followers", "300", "--store", "postgres"]).await, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_matching_alone_ends_the_same_stories_the_same_way() {
    let mut ends = Vec::new();
    for matching in ["inquiry", "custody", "blind"] {
        let shape = ["--followers", "120", "--companies", "3", "--carriers", "2", "--seed", "7"];
        let run = play(&[&shape[..], &["--matching", matching]].concat()).await;
        check(&run, 120);
        ends.push(run.report["stories"].clone());
    }
    assert!(ends[0] == ends[1] && ends[1] == ends[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn stories_end_the_same_whatever_their_carriers_speak() {
    let mut ends = Vec::new();
    for rbm in ["0", "1", "2"] {
        let run = play(&["--followers", "200", "--carriers", "2", "--seed", "7", "--rbm", rbm]).await;
        check(&run, 200);
        ends.push(run.report["stories"].clone());
    }
    assert!(ends[0] == ends[1] && ends[1] == ends[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_story_is_named_and_ends_with_1() {
    let mut stories = sample_stories();
    let wrong = stories.iter_mut().find(|story| story.expected == Expected::Declined).unwrap();
    wrong.expected = Expected::Rejected;
    let number = wrong.phone_number.clone();
    let run = play_samples(&stories).await;
    assert_eq!(run.exit_code, ExitCode::FAILURE);
    let row =
        run.text.lines().find(|line| line.contains(&format!("*{}", &number[9..])) && line.contains("ended"));
    let row = row.unwrap_or_else(|| panic!("nobody is named: {}", run.text));
    assert!(row.contains("rejected") && row.contains("declined"), "{row}");
    assert!(!run.text.contains(&number), "a whole number is printed");
    let summary =
        ["not_as_expected", "wrong_person", "wrong_deliveries"].map(|field| count(&run.report, field));
    assert_eq!(summary, [1, 0, 0]);
    let named: Vec<&Value> =
        run.report["stories"].as_array().unwrap().iter().filter(|it| it["as_expected"] == false).collect();
    assert_eq!(named.len(), 1);
    assert_eq!(named[0]["phone_number"], number.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_end_as_told() {
    check(&play_samples(&sample_stories()).await, 80);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_row_of_a_master_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let master = fs::read_to_string(format!("{SAMPLES}/customers-aoba-bank.csv")).unwrap();
    let row = master.lines().nth(1).unwrap();
    fs::write(path("customers.csv"), format!("{master}{row}\n")).unwrap();
    let mut stories = sample_stories();
    stories.retain(|story| story.official_account == "aoba-bank");
    write_stories(&stories, fs::File::create(path("stories.csv")).unwrap()).unwrap();
    let customers = format!("aoba-bank={}", path("customers.csv"));
    let run = play(&["--stories", &path("stories.csv"), "--customers", &customers]).await;
    assert_eq!((run.exit_code, run.text.as_str(), &run.report), (ExitCode::from(2), "", &Value::Null));
}
