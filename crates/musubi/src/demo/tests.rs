//! What the command line takes and refuses, and that the run refuses what can't be played before any server starts.

use clap::{CommandFactory as _, FromArgMatches as _};

use super::*;

#[derive(clap::Parser)]
struct Program {
    #[command(flatten)]
    args: Args,
}

fn parsed(arguments: &[String]) -> Result<Args, clap::Error> {
    let arguments = std::iter::once("demo".to_owned()).chain(arguments.iter().cloned());
    let matches = Program::command().try_get_matches_from(arguments)?;
    Ok(Program::from_arg_matches(&matches)?.args)
}

/// The arguments of a demo.
pub(crate) fn args(arguments: &[String]) -> Args {
    parsed(arguments).unwrap()
}

fn strings(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|argument| (*argument).to_owned()).collect()
}

async fn refused(arguments: &[&str]) -> Result<ExitCode, anyhow::Error> {
    run_to(args(&strings(arguments)), &mut Vec::new()).await
}

#[test]
fn without_arguments_two_companies_match_in_both_ways() {
    let args = args(&[]);
    assert_eq!((args.followers, args.companies, args.carriers), (1000, 2, 3));
    assert_eq!([0, 1].map(|index| args.matching.of(index)), [Matching::Inquiry, Matching::Custody]);
}

#[test]
fn arguments_that_contradict_or_say_nothing_are_refused() {
    for arguments in [
        &["--followers", "0"][..],
        &["--followers", "many"],
        &["--companies", "51"],
        &["--carriers", "0"],
        &["--matching", "guess"],
        &["--stories", "s.csv"],
        &["--stay", "--headless"],
        &["--stay", "--exit"],
        &["--pages", "7080", "--headless"],
        &["--traces", "0.5"],
        &["--export", "http://127.0.0.1:4317", "--traces", "half"],
        &["--export", "http://127.0.0.1:4317", "--stack", "demo.toml"],
        &["--customers", "a=c.csv"],
        &["--customers", "c.csv", "--stories", "s.csv"],
        &["--customers", "A_B=c.csv", "--stories", "s.csv"],
        &["--customers", "a=c.csv", "--stories", "s.csv", "--followers", "10"],
    ] {
        let error = parsed(&strings(arguments)).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{arguments:?}");
    }
}

#[tokio::test]
async fn files_and_folders_that_can_not_be_used_end_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("bad.csv"), "phone_number\n1\n").unwrap();
    fs::write(path(cluster::INFORMATION_DATABASE), "").unwrap();
    let customers = format!("a={}", path("none.csv"));
    for arguments in [
        &["--stories", &path("none.csv"), "--customers", &customers][..],
        &["--stories", &path("bad.csv"), "--customers", &customers],
        &["--data-dir", &path("")],
        &["--data-dir", &path("bad.csv")],
        &["--report", &path("none/report.json")],
    ] {
        assert_eq!(refused(arguments).await.unwrap(), ExitCode::from(2), "{arguments:?}");
    }
}
