//! The pictures of `docs/pictures`, taken of a demo in a real browser: what is in them is `tests/browser/pictures.js`'s.
//!
//! Nothing checks that they are up to date; whoever changes a page takes them anew. Surprising: the program is built as people
//! build it for themselves, without optimisation, since a picture doesn't show it.

use std::path::Path;

use anyhow::Context as _;
use musubi_servers::{Browser, Software, install_missing};

/// Builds the program and takes every picture.
///
/// # Errors
///
/// When the program doesn't build, the browser is missing, or a picture can't be taken.
pub(crate) fn take(root: &Path) -> anyhow::Result<()> {
    install_missing(&[Software::Chromium, Software::Node])?;
    let built = std::process::Command::new("cargo")
        .current_dir(root)
        .args(["build", "--locked", "--package", "musubi", "--bin", "musubi"])
        .status()?;
    anyhow::ensure!(built.success(), "the program was not built ({built})");
    let target = root.join("target");
    let browser = Browser::prepare(&root.join("tests/browser"), &target)?;
    let pictures = root.join("docs/pictures");
    std::fs::create_dir_all(&pictures).with_context(|| format!("{} can not be made", pictures.display()))?;
    let mut command = browser.command("pictures.js");
    command.arg(&pictures).env("MUSUBI_PROGRAM", target.join("debug/musubi"));
    let status = command.status().context("the pictures' script did not start")?;
    anyhow::ensure!(status.success(), "not every picture was taken ({status})");
    Ok(())
}
