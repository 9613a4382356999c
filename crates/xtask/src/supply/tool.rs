//! Programs of others that a command needs, installed from the registry at the version that stands here, with their own lock
//! file, below `target/tools`. Surprising: they are built without optimisation. They run for seconds and build for minutes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// A program, and the version that this tree works with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
}

impl Tool {
    /// Where the program is; installs it when it isn't there.
    ///
    /// # Errors
    ///
    /// When it can't be built, or the registry can't be reached.
    pub(super) fn installed(self, root: &Path) -> anyhow::Result<PathBuf> {
        let program = self.program(root);
        if program.is_file() {
            return Ok(program);
        }
        let package = format!("{}@{}", self.name, self.version);
        println!("$ cargo install --locked {package} (once, some minutes)");
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "--quiet", "--locked", "--debug", &package, "--root"]).arg(self.folder(root));
        let status = cargo.status().context("`cargo install` did not start")?;
        anyhow::ensure!(status.success() && program.is_file(), "{package} could not be installed ({status})");
        Ok(program)
    }

    /// A folder for each version, so that another version is another program.
    fn folder(self, root: &Path) -> PathBuf {
        root.join("target/tools").join(format!("{}-{}", self.name, self.version))
    }

    fn program(self, root: &Path) -> PathBuf {
        self.folder(root).join("bin").join(self.name)
    }
}
