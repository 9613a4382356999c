//! What stands in `deploy`, `docker-compose.yml` and the image's recipe, held against schemas, a linter, the program itself and the policies
//! that this file tells. Nothing is started here; `cargo xtask stack-test` does.
//!
//! Documents are rendered by the tools that a cluster's owner uses and judged as JSON. Surprising: secrets of the demo overlay are made by
//! `musubi provision` for the test, as by whoever runs it, because kustomize reads their files.

mod compose;
mod kubernetes;
mod observability;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use musubi_tests::processes::{CARRIERS, Layout, program};
use serde_json::Value;

use crate::rbm_clients::{CLIENTS, alone, installed, run};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The tools, installed once.
fn tools() -> PathBuf {
    let _alone = alone();
    let pins = ["requirements.txt"];
    installed("deploy", &pins, |folder| {
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"];
        let mut install = Command::new("python3");
        install.args(pip).arg(folder).arg("--requirement").arg(folder.join(pins[0]));
        run(&mut install, "install python3 and python3-pip, and let it reach a package index");
    })
}

/// What the script answers.
fn rendered(tools: &Path, arguments: &[&str], within: &Path) -> Value {
    let mut command = Command::new("python3");
    command.arg("-B").arg(Path::new(CLIENTS).join("deploy/render.py")).args(arguments);
    let answer = run(command.current_dir(within).env("PYTHONPATH", tools), "see what it says");
    serde_json::from_str(&answer).unwrap()
}

/// A copy of a folder, to be written into.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            if entry.file_name() != "made" {
                copy(&entry.path(), &to);
            }
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Makes what a plan says, as the program does.
fn provision(plan: &Path) {
    run(
        Command::new(program()).arg("provision").arg(plan).current_dir(plan.parent().unwrap()),
        "see the plan",
    );
}

/// A folder with what a carrier's RBM face writes at its start.
fn service_account(folder: &Path) -> PathBuf {
    let agents = folder.join("agents");
    fs::create_dir_all(&agents).unwrap();
    let _written = Layout::new(&agents).rbm(CARRIERS[0]);
    agents.join("")
}

/// Has the program check a node's configuration; `places` stand in for folders of a container.
fn check(kind: &str, file: &Path, places: &BTreeMap<&str, PathBuf>) {
    let mut text = fs::read_to_string(file).unwrap();
    for (place, stands_in) in places {
        text = text.replace(&format!("\"{place}"), &format!("\"{}", stands_in.display()));
    }
    let copy = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    fs::write(copy.path(), text).unwrap();
    let mut command = Command::new(program());
    command.args([kind, "--check", "--config"]).arg(copy.path()).env_clear();
    run(&mut command, &format!("mend {}", file.display()));
}

#[test]
fn the_recipe_of_the_image_leaves_the_linter_nothing_to_say() {
    let tools = tools();
    let mut linter = Command::new(tools.join("bin/hadolint"));
    linter.arg("--no-fail").args(["--format", "json", "deploy/docker/Dockerfile"]).current_dir(ROOT);
    assert_eq!(run(&mut linter, "see what the linter says").trim(), "[]");
}
