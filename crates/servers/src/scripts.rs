//! Scripts for Node.js and the packages that they need, from npm, in a folder of the build.
//!
//! What lives here finds and installs; what a script does stands in the script. Surprising: packages are installed once for each
//! lock file, and two processes that want them at once take turns; and a Node.js that is among the packages runs the scripts, since
//! what is measured with one version shall not be measured with whatever a machine has.

use std::env::consts::{ARCH, OS};
use std::fs::{self, File};
use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Error, Software, programs};

/// The files by which npm knows what to install.
const MANIFESTS: [&str; 2] = ["package.json", "package-lock.json"];
/// Holds the lock file that was installed whole.
const INSTALLED: &str = "installed.json";
/// Exactly what the lock file says, and nothing of it is run.
const CI: [&str; 6] = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev", "--loglevel=error"];

/// Scripts with their packages, ready to be run.
#[derive(Debug)]
pub struct Scripts {
    scripts: PathBuf,
    modules: PathBuf,
    node: PathBuf,
}

impl Scripts {
    /// Finds Node.js, and installs the packages of the scripts in `scripts` in `folder`, which may be deleted at any time, where they
    /// aren't there yet.
    ///
    /// # Errors
    /// [`Error::Missing`] without Node.js; [`Error::Install`] when npm fails; [`Error::File`].
    pub fn prepare(scripts: &Path, folder: &Path) -> Result<Self, Error> {
        let node = Software::Node.program()?;
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| Error::File { doing, path, source }
        };
        fs::create_dir_all(folder).map_err(failed("could not make", folder))?;
        let turn = folder.join("turn");
        // Held until the end of this function.
        let turn = File::create(&turn).and_then(|file| file.lock().map(|()| file));
        let _turn = turn.map_err(failed("could not lock", folder))?;
        let [_, lock] = MANIFESTS;
        let wanted = scripts.join(lock);
        let wanted = fs::read(&wanted).map_err(failed("could not read", &wanted))?;
        let installed = folder.join(INSTALLED);
        if fs::read(&installed).ok().as_ref() != Some(&wanted) {
            for manifest in MANIFESTS {
                let to = folder.join(manifest);
                fs::copy(scripts.join(manifest), &to).map_err(failed("could not write", &to))?;
            }
            install(folder)?;
            let written = File::create(&installed).and_then(|mut file| file.write_all(&wanted));
            written.map_err(failed("could not write", &installed))?;
        }
        let modules = folder.join("node_modules");
        let node = of_packages(&modules).unwrap_or(node);
        Ok(Self { scripts: scripts.to_owned(), modules, node })
    }

    /// Where the packages are, which a script is told.
    #[must_use]
    pub fn modules(&self) -> &Path {
        &self.modules
    }

    /// A command that runs one of the scripts, by its file name.
    #[must_use]
    pub fn command(&self, script: &str) -> Command {
        let mut command = Command::new(&self.node);
        command.arg(self.scripts.join(script)).stdin(Stdio::null());
        command
    }
}

/// npm has Node.js itself as a package for each kind of machine, and installs that of this one.
fn of_packages(modules: &Path) -> Option<PathBuf> {
    let system = if OS == "macos" { "darwin" } else { OS };
    let processor = match ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let node = modules.join(format!("node-{system}-{processor}")).join("bin/node");
    node.is_file().then_some(node)
}

fn install(folder: &Path) -> Result<(), Error> {
    let npm = programs::find("npm").ok_or(Error::Missing(Software::Node))?;
    let mut command = Command::new(&npm);
    command.args(CI).current_dir(folder).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    command.stdin(Stdio::null()).stdout(stderr());
    let failed = |source| Error::Process { doing: "run", program: npm.clone(), source };
    let status = command.status().map_err(failed)?;
    let command = || format!("npm {}", CI.join(" "));
    if status.success() { Ok(()) } else { Err(Error::Install { command: command(), status }) }
}
