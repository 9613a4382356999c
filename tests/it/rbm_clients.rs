//! Google's own clients, as they come, against the RBM simulator as a process: the conformance scripts in `tests/clients`.
//!
//! The clients are installed into folders of the target folder, of exactly the versions that are pinned, and stay there. Surprising:
//! what is checked stands in the scripts alone, which hold the simulator against Google's documents and know nothing of our code.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use musubi_tests::processes::program;

/// The scripts and what is pinned.
pub(crate) const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");
/// Where clients are installed.
const INSTALLED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/rbm-clients");

/// Runs a command to its end; its output is shown when it fails.
pub(crate) fn run(command: &mut Command, remedy: &str) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; {remedy}"));
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed; {remedy}\n{said}");
    said
}

/// The folder that holds what these files of `folder` pin, installed unless it is there. Whoever was killed over it begins anew.
pub(crate) fn installed(folder: &str, pins: &[&str], install: impl FnOnce(&Path)) -> PathBuf {
    let (from, to) = (Path::new(CLIENTS).join(folder), Path::new(INSTALLED).join(folder));
    let same = |pin: &&str| fs::read(from.join(pin)).ok() == fs::read(to.join(pin)).ok();
    if to.is_dir() && pins.iter().all(same) {
        return to;
    }
    let making = to.with_extension("making");
    for old in [&making, &to] {
        if old.exists() {
            fs::remove_dir_all(old).unwrap();
        }
    }
    fs::create_dir_all(&making).unwrap();
    for pin in pins {
        fs::copy(from.join(pin), making.join(pin)).unwrap();
    }
    install(&making);
    fs::rename(&making, &to).unwrap();
    to
}

/// One that stays while this process does what it says, so that two test processes don't install at the same time.
pub(crate) fn alone() -> fs::File {
    fs::create_dir_all(INSTALLED).unwrap();
    let lock = fs::File::create(Path::new(INSTALLED).join("lock")).unwrap();
    lock.lock().unwrap();
    lock
}

fn python(program: &Path) -> String {
    let pins = ["requirements.txt"];
    let folder = installed("python", &pins, |folder| {
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"];
        let mut install = Command::new("python3");
        install.args(pip).arg(folder).arg("--requirement").arg(folder.join(pins[0]));
        run(&mut install, "install python3 and python3-pip, and let it reach a package index");
    });
    let script = Path::new(CLIENTS).join("python/conformance.py");
    let mut command = Command::new("python3");
    command.arg("-B").arg(script).arg(program).env("PYTHONPATH", folder);
    run(&mut command, "the simulator differs from what the documents say, or the script does")
}

fn node(program: &Path) -> String {
    let folder = installed("node", &["package.json", "package-lock.json"], |folder| {
        let mut install = Command::new("npm");
        install
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"])
            .current_dir(folder);
        run(&mut install, "install node 20 or newer with npm, and let it reach a package registry");
    });
    let script = Path::new(CLIENTS).join("node/conformance.js");
    let mut command = Command::new("node");
    command.arg(script).arg(program).env("NODE_PATH", folder.join("node_modules"));
    run(&mut command, "the simulator differs from what the documents say, or the script does")
}

#[test]
fn googles_clients_work_with_the_simulator_as_they_come() {
    let (program, _alone) = (program(), alone());
    let said = std::thread::scope(|scope| {
        [scope.spawn(|| python(program)), scope.spawn(|| node(program))].map(|client| client.join().unwrap())
    });
    assert_eq!(said, ["", ""], "who is content says nothing");
}
