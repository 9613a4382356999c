//! A real browser for the pages, and the scripts that drive it: Chromium of the machine, and scripts of Node.js.
//!
//! What lives here finds and installs; what is clicked and looked at stands in the scripts. Surprising: no browser is ever downloaded.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, Scripts, Software};

/// A browser with its scripts, ready to be driven.
#[derive(Debug)]
pub struct Browser {
    chromium: PathBuf,
    scripts: Scripts,
}

impl Browser {
    /// Finds the programs, and installs the packages of the scripts in `scripts` below `within`, a folder that may be deleted
    /// at any time, where they aren't there yet.
    ///
    /// # Errors
    /// [`Error::Missing`] without Chromium or Node.js; [`Error::Install`] when npm fails; [`Error::File`].
    pub fn prepare(scripts: &Path, within: &Path) -> Result<Self, Error> {
        let chromium = Software::Chromium.program()?;
        Ok(Self { chromium, scripts: Scripts::prepare(scripts, &within.join("browser"))? })
    }

    /// A command that runs one of the scripts, by its file name; the script finds browser and packages in its environment.
    #[must_use]
    pub fn command(&self, script: &str) -> Command {
        let mut command = self.scripts.command(script);
        command.env("MUSUBI_BROWSER", &self.chromium).env("MUSUBI_BROWSER_MODULES", self.scripts.modules());
        command
    }
}
