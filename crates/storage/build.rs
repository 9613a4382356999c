//! Writes out each store's migrations as they lie in its folder: a constant for each, by backend and node.
//!
//! sqlx can embed them by a macro, which builds every driver and SQLite once more for the compiler's own use.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script by the environment where to write")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let mut code = String::new();
    for backend in ["postgres", "sqlite"] {
        let root = Path::new("src").join(backend).join("migrations");
        println!("cargo::rerun-if-changed={}", root.display());
        for node in sorted(&root)? {
            let name = format!("{backend}_{}", name(&node)?).to_uppercase();
            writeln!(code, "pub(crate) const {name}: Steps = Steps(&[")?;
            for file in sorted(&node)? {
                let stem = name_of_step(&file)?;
                let (version, what) = stem.split_once('_').ok_or_else(|| format!("{stem} has no number"))?;
                let (version, what) = (version.parse::<i64>()?, what.replace('_', " "));
                let path = format!("/{}", file.display());
                let path = format!("concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?})");
                writeln!(code, "    ({version}, {what:?}, include_str!({path})),")?;
            }
            code.push_str("]);\n");
        }
    }
    let folder = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(Path::new(&folder).join("migrations.rs"), code)?;
    Ok(())
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut paths =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> Result<&str, Box<dyn Error>> {
    path.file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| format!("{} has no name", path.display()).into())
}

fn name_of_step(file: &Path) -> Result<&str, Box<dyn Error>> {
    let name = name(file)?;
    name.strip_suffix(".sql").ok_or_else(|| format!("{name} is no .sql file").into())
}
