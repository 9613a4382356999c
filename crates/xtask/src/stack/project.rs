//! The stack as a project of Compose: up, down, its containers killed and replaced, a population played on it, its database backed up.
//!
//! It is called by a name of its own, so that a stack that somebody else runs on this machine is left alone, as long as its ports are
//! free. Surprising: a killed container is started again by hand, because the engine takes a kill for somebody's wish.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use super::engine::{Engine, done, said};
use super::stand_ins::Images;

/// What containers, networks and volumes begin with.
pub(super) const NAME: &str = "musubi-stack-test";
/// The nodes.
const NODES: [&str; 8] =
    ["information-1", "aoba-bank", "kumo", "information-2", "hinata-gas", "nami", "hoshi", "terminal"];
/// What they keep things in.
const SERVERS: [&str; 2] = ["redis", "postgres"];
/// What shows the inside.
const SEEN: [&str; 4] = ["tempo", "collector", "prometheus", "grafana"];
/// How long a container has to be healthy again.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(250);
/// Between two deeds, so that there is something under way again.
const BREATH: Duration = Duration::from_secs(2);
/// How many people begin in a second, and are in the middle of their stories.
const PACE: &str = "15";
const AT_ONCE: &str = "100";
/// How long a play may go on once nothing happens to the stack any more.
const END: Duration = Duration::from_secs(600);
const DUMP: &str = "/tmp/information.dump";

/// The stack.
pub(super) struct Project<'a> {
    engine: &'a Engine,
    root: &'a Path,
    folder: &'a Path,
    images: &'a Images,
    image: &'a str,
}

impl<'a> Project<'a> {
    /// Of these images.
    pub(super) fn new(
        engine: &'a Engine,
        root: &'a Path,
        folder: &'a Path,
        image: &'a str,
        images: &'a Images,
    ) -> Self {
        Self { engine, root, folder, images, image }
    }

    fn compose(&self, arguments: &[&str]) -> Command {
        let mut command = self.engine.compose(["--project-name", NAME].iter().chain(arguments));
        let services = self.images.services.iter().map(|(name, value)| (name, value));
        command.current_dir(self.root).env("MUSUBI_IMAGE", self.image).envs(services);
        command
    }

    /// What runs all the time; first what shows the inside, so that it sees the rest.
    pub(super) fn services(&self) -> impl Iterator<Item = &'static str> {
        let without = &self.images.without;
        SEEN.into_iter().filter(|name| !without.contains(name)).chain(NODES).chain(SERVERS)
    }

    /// Starts everything, and waits until every node says that it works.
    pub(super) fn up(&self) -> anyhow::Result<()> {
        done(self.compose(&["up", "--detach", "--no-build"]).args(self.services()))?;
        self.services().try_for_each(|name| self.works(&self.container(name)?, name))
    }

    /// Takes everything down, volumes, too.
    pub(super) fn down(&self) -> anyhow::Result<()> {
        done(&mut self.compose(&[
            "--profile",
            "demo",
            "down",
            "--volumes",
            "--remove-orphans",
            "--timeout",
            "30",
        ]))?;
        let filter = format!("label=com.docker.compose.project={NAME}");
        let left = self.engine.ask(["ps", "--all", "--quiet", "--filter", &filter])?;
        anyhow::ensure!(left.is_empty(), "containers are left: {left}");
        Ok(())
    }

    fn container(&self, name: &str) -> anyhow::Result<String> {
        let labels = [("project", NAME), ("service", name), ("oneoff", "False")];
        let labels =
            labels.map(|(label, value)| format!("--filter=label=com.docker.compose.{label}={value}"));
        let id = self
            .engine
            .ask(["ps", "--all", "--quiet"].into_iter().chain(labels.iter().map(String::as_str)))?;
        anyhow::ensure!(!id.is_empty(), "{name} has no container");
        Ok(id)
    }

    /// Waits until what the compose file asks for its health says so; it is asked here, since the engine asks every few seconds only. Who is
    /// asked nothing has to run.
    fn works(&self, id: &str, name: &str) -> anyhow::Result<()> {
        let since = Instant::now();
        let test = self.engine.ask([
            "inspect",
            "--format",
            "{{with .Config.Healthcheck}}{{json .Test}}{{end}}",
            id,
        ])?;
        let test: Vec<String> = if test.is_empty() { Vec::new() } else { serde_json::from_str(&test)? };
        loop {
            let asked = match test.split_first() {
                Some((_, command)) => {
                    self.engine.ask(["exec", id].into_iter().chain(command.iter().map(String::as_str)))
                }
                None => self.engine.ask(["inspect", "--format", "{{.State.Running}}", id]).and_then(|runs| {
                    anyhow::ensure!(runs == "true", "it doesn't run");
                    Ok(runs)
                }),
            };
            let Err(error) = asked else { return Ok(()) };
            let waited = since.elapsed();
            anyhow::ensure!(waited < PATIENCE, "{name} doesn't work after {PATIENCE:?}: {error:#}");
            thread::sleep(LOOK);
        }
    }

    /// Kills a container where it stands (SIGKILL), and starts it again.
    pub(super) fn kill(&self, name: &str) -> anyhow::Result<()> {
        let id = self.container(name)?;
        self.engine.ask(["kill", "--signal", "KILL", &id])?;
        self.engine.ask(["start", &id])?;
        self.works(&id, name)?;
        thread::sleep(BREATH);
        Ok(())
    }

    /// Lets a container end as for a new version, and puts another in its place.
    pub(super) fn replace(&self, name: &str) -> anyhow::Result<()> {
        let id = self.container(name)?;
        self.engine.ask(["stop", "--time", "30", &id])?;
        let code = self.engine.ask(["inspect", "--format", "{{.State.ExitCode}}", &id])?;
        anyhow::ensure!(code == "0", "{name} didn't drain: it ended with {code}");
        said(&mut self.compose(&["up", "--detach", "--no-build", "--no-deps", "--force-recreate", name]))?;
        self.works(&self.container(name)?, name)?;
        thread::sleep(BREATH);
        Ok(())
    }

    /// Begins to play a population of so many people.
    pub(super) fn play(&self, followers: u32) -> anyhow::Result<Play> {
        let report = self.folder.join("report.json");
        if report.exists() {
            fs::remove_file(&report)?;
        }
        let volume = format!("{}:/report", self.folder.display());
        let followers = followers.to_string();
        let mut command = self.compose(&["run", "--rm", "--no-deps", "-T", "--volume", &volume, "demo"]);
        command.args(["demo", "--stack", "/etc/musubi/demo.toml", "--headless", "--followers", &followers]);
        // Slowly, so that it lasts on any machine.
        command.args(["--pace", PACE, "--at-once", AT_ONCE, "--report", "/report/report.json"]);
        let output = self.folder.join("demo.txt");
        let file = File::create(&output)?;
        let child =
            command.stdout(file.try_clone()?).stderr(file).spawn().context("Compose did not start")?;
        Ok(Play { child, output, since: Instant::now() })
    }

    /// What the demo found. Its file is for the eyes of the container's user alone.
    pub(super) fn report(&self) -> anyhow::Result<Value> {
        let volume = format!("{}:/report:ro", self.folder.display());
        let arguments =
            ["run", "--rm", "--user", "0:0", "--entrypoint", "cat", "--volume", &volume, &self.images.tools];
        let text = self.engine.ask(arguments.iter().chain(&["/report/report.json"]));
        Ok(serde_json::from_str(&text.context("the demo wrote no report")?)?)
    }

    /// Every follower of one company and where each stands, as its operator is told.
    pub(super) fn followers(&self) -> anyhow::Result<String> {
        let mut command = self.compose(&["run", "--rm", "--no-deps", "-T", "demo", "followers", "list"]);
        command.args([
            "--server",
            "https://aoba-bank:7010",
            "--official-account",
            "aoba-bank",
            "--format",
            "csv",
        ]);
        command.args(["--certificate", "/made/demo/company-aoba-bank-operator-demo.pem"]);
        said(command.args(["--authorities", "/made/demo/authority.pem"]))
    }

    fn in_postgres(&self, command: &[&str]) -> anyhow::Result<()> {
        let id = self.container("postgres")?;
        let user = [command[0], "--username=postgres", "--host=/tmp"];
        self.engine.ask(["exec", &id].iter().chain(&user).chain(&command[1..])).map(drop)
    }

    /// Writes a backup of the information-management server's database, while it works.
    pub(super) fn back_up(&self) -> anyhow::Result<()> {
        self.in_postgres(&["pg_dump", "--format=custom", "--file", DUMP, "information"])
    }

    /// Deletes that database, and brings it back from the backup, the servers stopped meanwhile.
    pub(super) fn lose_and_restore(&self) -> anyhow::Result<()> {
        let replicas = ["information-1", "information-2"];
        let ids = replicas.iter().map(|name| self.container(name)).collect::<anyhow::Result<Vec<_>>>()?;
        for id in &ids {
            self.engine.ask(["stop", "--time", "30", id])?;
        }
        self.in_postgres(&["dropdb", "--force", "information"])?;
        self.in_postgres(&["createdb", "--owner=information_owner", "information"])?;
        self.in_postgres(&["pg_restore", "--exit-on-error", "--dbname=information", DUMP])?;
        for id in &ids {
            self.engine.ask(["start", id])?;
        }
        replicas.iter().zip(&ids).try_for_each(|(name, id)| self.works(id, name))
    }

    /// What every container has said, as one file.
    pub(super) fn write_logs(&self) {
        let logs = self.folder.join("logs.txt");
        let Ok(file) = File::create(&logs) else { return };
        let Ok(copy) = file.try_clone() else { return };
        if self.compose(&["logs", "--no-color"]).stdout(file).stderr(copy).status().is_ok() {
            println!("what the containers said is in {}", logs.display());
        }
    }
}

/// A population that is being played.
pub(super) struct Play {
    child: Child,
    output: PathBuf,
    since: Instant,
}

impl Play {
    /// What happened has to happen in the middle.
    pub(super) fn goes_on(&mut self, name: &str, what: &str) -> anyhow::Result<()> {
        let ended = self.child.try_wait()?;
        anyhow::ensure!(
            ended.is_none(),
            "the play was over when {name} had been {what} ({ended:?}): more --followers last longer, or it failed: {}",
            self.said()
        );
        println!("{:4.0} s: {name} was {what}, and works again", self.since.elapsed().as_secs_f64());
        Ok(())
    }

    /// Waits for the end, which has to be a good one.
    pub(super) fn ended(mut self) -> anyhow::Result<()> {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if since.elapsed() > END {
                self.end();
            }
            thread::sleep(LOOK);
        };
        println!("{}", self.said());
        anyhow::ensure!(status.success(), "the demo ended with {status}");
        Ok(())
    }

    /// Ends it where it stands.
    pub(super) fn end(&mut self) {
        let _ended = self.child.kill();
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }
}
