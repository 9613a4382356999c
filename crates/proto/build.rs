//! Compiles `proto/` without protoc, into modules and into the descriptor set that reflection serves.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use prost::Message as _;

#[expect(clippy::disallowed_methods, reason = "a build script is told where to write by the environment")]
fn main() -> anyhow::Result<()> {
    let root = PathBuf::from("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    find_protos(&root.join("musubi"), &mut files).context("proto/ cannot be read")?;
    files.sort();
    let descriptors = protox::compile(&files, [&root]).context("proto/ does not compile")?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.binpb"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_transport(false)
        // Wire messages carry personal data, so none of them can be printed.
        .skip_debug(["."])
        .compile_fds(descriptors)
        .context("proto/ cannot be turned into Rust")
}

fn find_protos(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_protos(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
