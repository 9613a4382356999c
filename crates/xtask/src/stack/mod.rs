//! `cargo xtask stack-test`: the image built, the stack of docker-compose.yml brought up, a population played on it while its containers
//! are killed, another while they are replaced, a backup restored, everything taken down.
//!
//! What is checked is what a user of the stack sees: the demo's report, the nodes' own health, and what Prometheus and the trace store have.
//! Surprising: a population is played on an empty stack, so there are two stacks, one after the other.

mod engine;
mod project;
mod seen;
mod stand_ins;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::Value;

use self::engine::{Engine, done};
use self::project::{Play, Project};
use self::stand_ins::Images;
use crate::supply::sbom;

/// What is built.
const IMAGE: &str = "musubi:stack-test";
/// What it lists its parts in.
const LIST: &str = "/usr/local/share/musubi/musubi.cdx.json";

/// What the command line says.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The profile of cargo that the program is built with: "dev" builds in a third of the time.
    #[arg(long, default_value = "release")]
    profile: String,
    /// An image that is there already, in place of one that is built.
    #[arg(long, conflicts_with = "profile")]
    image: Option<String>,
    /// How many people each population has.
    #[arg(long, default_value_t = 2_000)]
    followers: u32,
    /// Leave the second stack running.
    #[arg(long)]
    keep: bool,
}

/// Does all of it.
///
/// # Errors
///
/// When a step fails; the stack is taken down, and the logs of its containers stay in target/stack.
pub(crate) fn test(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let folder = root.join("target/stack");
    fs::create_dir_all(&folder)?;
    // The demo writes its report there, as a user whom this machine doesn't know.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777))?;
    let engine = Engine::ready(&folder)?;
    let images = step("its base images are there", || Images::ready(&engine, root, &folder))?;
    let image = arguments.image.as_deref().unwrap_or(IMAGE);
    if arguments.image.is_none() {
        step("the image is built", || build(&engine, root, &images, &arguments.profile))?;
    }
    step("the image is looked at", || look_at(&engine, root, &folder, image))?;
    let project = Project::new(&engine, root, &folder, image, &images);
    let tested = with_logs(&project, || {
        project.down()?;
        step("a first stack comes up", || project.up())?;
        step("a population, and every container killed once meanwhile", || {
            played(&project, arguments.followers, |play| {
                project.services().try_for_each(|name| {
                    project.kill(name)?;
                    play.goes_on(name, "killed")
                })
            })
        })?;
        step("the inside is seen", || seen::look(root, !images.without.contains(&"grafana")))?;
        step("a backup is restored", || restored(&project))?;
        step("it goes down", || project.down())?;
        step("a second stack comes up", || project.up())?;
        step("a population, and every container replaced meanwhile", || {
            played(&project, arguments.followers, |play| {
                project.services().try_for_each(|name| {
                    project.replace(name)?;
                    play.goes_on(name, "replaced")
                })
            })
        })?;
        step("no call failed", seen::no_call_failed)
    });
    if arguments.keep && tested.is_ok() {
        println!("the stack runs on; `docker compose --project-name {}` is its name", project::NAME);
        return Ok(());
    }
    let down = step("it goes down", || project.down());
    tested.and(down)
}

fn step<T>(what: &str, run: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    println!("\n=== {what} ===");
    let since = Instant::now();
    let done = run().with_context(|| what.to_owned())?;
    println!("=== {what}: ok in {:.1} s ===", since.elapsed().as_secs_f64());
    Ok(done)
}

/// What goes wrong is told by the logs, too.
fn with_logs(project: &Project<'_>, run: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let tested = run();
    if tested.is_err() {
        project.write_logs();
    }
    tested
}

/// Builds it.
fn build(engine: &Engine, root: &Path, images: &Images, profile: &str) -> anyhow::Result<()> {
    let arguments = [
        format!("BUILD_IMAGE={}", images.build),
        format!("BASE_IMAGE={}", images.base),
        format!("PROFILE={profile}"),
    ];
    let mut build = engine.command(["build", "--file", "deploy/docker/Dockerfile", "--tag", IMAGE]);
    for argument in &arguments {
        build.args(["--build-arg", argument]);
    }
    done(build.current_dir(root).args(["--progress", "plain", "."]))
}

/// It runs, alone and read-only, and has neither a shell nor a user who may anything.
fn look_at(engine: &Engine, root: &Path, folder: &Path, image: &str) -> anyhow::Result<()> {
    let alone = ["run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL"];
    let version = engine.ask(alone.iter().chain(&[image, "--version"]))?;
    anyhow::ensure!(version.starts_with("musubi "), "the image says {version:?} to --version");
    for shell in ["/bin/sh", "/bin/bash", "/bin/busybox"] {
        let has = engine.ask(alone.iter().chain(&["--entrypoint", shell, image, "-c", "exit"])).is_ok();
        anyhow::ensure!(!has, "the image has a shell: {shell}");
    }
    let user = engine.ask(["image", "inspect", "--format", "{{.Config.User}}", image])?;
    anyhow::ensure!(user == "65532:65532", "the image runs as {user:?}");
    let bytes: u64 = engine.ask(["image", "inspect", "--format", "{{.Size}}", image])?.parse()?;
    let list = folder.join("musubi.cdx.json");
    let container = engine.ask(["create", image])?;
    let copied = engine.ask(["cp", &format!("{container}:{LIST}"), &list.display().to_string()]);
    engine.ask(["rm", &container])?;
    copied.context("the image has no list of its parts")?;
    let parts = sbom::judge(root, &fs::read_to_string(&list)?)?;
    println!("{version}: {} MB, which lists the {parts} packages that it is made of", bytes / 1_000_000);
    Ok(())
}

/// Plays a population while something happens to the stack, and holds the report against what everybody was due.
fn played(
    project: &Project<'_>,
    followers: u32,
    meanwhile: impl FnOnce(&mut Play) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut play = project.play(followers)?;
    let happened = meanwhile(&mut play);
    if happened.is_err() {
        play.end();
    }
    happened?;
    play.ended()?;
    judge(&project.report()?, followers)
}

/// The demo's report has to say that nobody was lost and nobody got what was another's, or the same twice.
fn judge(report: &Value, followers: u32) -> anyhow::Result<()> {
    let summary = &report["summary"];
    let count = |name: &str| summary[name].as_u64();
    anyhow::ensure!(summary["success"] == true, "the report says no: {summary}");
    for (name, due) in [
        ("stories", u64::from(followers)),
        ("as_expected", u64::from(followers)),
        ("not_as_expected", 0),
        ("wrong_person", 0),
        ("wrong_deliveries", 0),
    ] {
        anyhow::ensure!(count(name) == Some(due), "{name} is {:?} in the report, not {due}", count(name));
    }
    println!("{followers} people ended as their stories say, in {} s", summary["seconds"]);
    Ok(())
}

/// Loses the information-management server's database and brings it back; everybody stands where they stood.
fn restored(project: &Project<'_>) -> anyhow::Result<()> {
    let before = project.followers()?;
    anyhow::ensure!(before.lines().count() > 100, "hardly anybody follows: {before}");
    project.back_up()?;
    project.lose_and_restore()?;
    let after = project.followers()?;
    anyhow::ensure!(before == after, "the restored database has other followers than the backup");
    println!("{} followers stand where they stood", before.lines().count() - 1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(field: &str, value: Value) -> Value {
        let mut summary = json!({
            "success": true, "stories": 10, "as_expected": 10, "not_as_expected": 0, "wrong_person": 0,
            "wrong_deliveries": 0, "seconds": 1.5,
        });
        summary[field] = value;
        json!({ "summary": summary })
    }

    #[test]
    fn a_report_that_lacks_somebody_or_tells_of_a_wrong_message_is_refused() {
        judge(&report("seconds", json!(2)), 10).unwrap();
        for (field, value) in [
            ("success", json!(false)),
            ("stories", json!(9)),
            ("as_expected", json!(9)),
            ("wrong_person", json!(1)),
            ("wrong_deliveries", json!(1)),
            ("wrong_deliveries", Value::Null),
        ] {
            assert!(judge(&report(field, value.clone()), 10).is_err(), "{field} {value}");
        }
    }
}
