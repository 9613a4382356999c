//! A real browser for the pages, and the scripts that drive it: Chromium and Node.js of the machine, the scripts' packages from
//! npm, in a folder of the build.
//!
//! What lives here finds and installs; what is clicked and looked at stands in the scripts. No browser is ever downloaded.
//! Surprising: packages are installed once for each lock file, and two processes that want them at once take turns.

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

/// A browser with its scripts, ready to be driven.
#[derive(Debug)]
pub struct Browser {
    scripts: PathBuf,
    modules: PathBuf,
    chromium: PathBuf,
    node: PathBuf,
}

impl Browser {
    /// Finds the programs, and installs the packages of the scripts in `scripts` below `within`, a folder that may be deleted
    /// at any time, where they aren't there yet.
    ///
    /// # Errors
    /// [`Error::Missing`] without Chromium or Node.js; [`Error::Install`] when npm fails; [`Error::File`].
    pub fn prepare(scripts: &Path, within: &Path) -> Result<Self, Error> {
        let (chromium, node) = (Software::Chromium.program()?, Software::Node.program()?);
        let folder = within.join("browser");
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| Error::File { doing, path, source }
        };
        fs::create_dir_all(&folder).map_err(failed("could not make", &folder))?;
        let turn = folder.join("turn");
        // Held until the end of this function.
        let turn = File::create(&turn).and_then(|file| file.lock().map(|()| file));
        let _turn = turn.map_err(failed("could not lock", &folder))?;
        let [_, lock] = MANIFESTS;
        let wanted = scripts.join(lock);
        let wanted = fs::read(&wanted).map_err(failed("could not read", &wanted))?;
        let installed = folder.join(INSTALLED);
        if fs::read(&installed).ok().as_ref() != Some(&wanted) {
            for manifest in MANIFESTS {
                let to = folder.join(manifest);
                fs::copy(scripts.join(manifest), &to).map_err(failed("could not write", &to))?;
            }
            install(&folder)?;
            let written = File::create(&installed).and_then(|mut file| file.write_all(&wanted));
            written.map_err(failed("could not write", &installed))?;
        }
        Ok(Self { scripts: scripts.to_owned(), modules: folder.join("node_modules"), chromium, node })
    }

    /// A command that runs one of the scripts, by its file name; the script finds browser and packages in its environment.
    #[must_use]
    pub fn command(&self, script: &str) -> Command {
        let mut command = Command::new(&self.node);
        command
            .arg(self.scripts.join(script))
            .env("MUSUBI_BROWSER", &self.chromium)
            .env("MUSUBI_BROWSER_MODULES", &self.modules)
            .stdin(Stdio::null());
        command
    }
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
