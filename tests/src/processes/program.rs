//! The program under test: found beside the test executable, and built when it isn't there or isn't of these sources.
//!
//! Cargo gives a test the programs of its own package only, so it is asked here, once for each run of the tests. Surprising:
//! it is always asked, because nothing else knows whether the program is older than its sources; when it isn't, that takes a
//! moment and builds nothing.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The `musubi` program of the profile and target folder that the tests themselves were built with.
///
/// # Panics
/// When it can't be built; what cargo says is shown.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(build)
}

fn build() -> PathBuf {
    // <target folder>/<profile>/deps/<test executable>
    let executable = env::current_exe().unwrap();
    let profile_folder = executable.ancestors().nth(2).unwrap();
    let profile = match profile_folder.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--locked",
            // Of the same choice as the tests of the workspace, or its libraries were built once more, with features of their own.
            "--workspace",
            "--bin",
            "musubi",
            "--test",
            "it",
            "--profile",
            profile,
            "--target-dir",
        ])
        .arg(profile_folder.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(built.success(), "the program could not be built: {built}");
    profile_folder.join("musubi")
}
