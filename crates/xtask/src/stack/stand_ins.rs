//! Base images, where no registry of images can be reached: Debian's packages and the Rust toolchain at hand in their place.
//!
//! They are stand-ins for tests, never for production: nobody signs them, and they are as old as this machine. Surprising: one
//! image is builder, PostgreSQL and Redis at once, because making a Debian takes longer than all that is put into it; only what the
//! nodes run on is an image of its own, since it must hold no shell.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

use super::engine::{Engine, done, said};

/// The images that the stack is made of: the variable or build argument that names each, and the official one.
pub(crate) struct Images {
    pub(crate) build: String,
    pub(crate) base: String,
    pub(crate) postgres: String,
    pub(crate) redis: String,
}

const OFFICIAL_BUILD: &str = "rust:1.95-bookworm";
const OFFICIAL_BASE: &str = "gcr.io/distroless/cc-debian12:nonroot";
const OFFICIAL_POSTGRES: &str = "postgres:17.6-bookworm";
const OFFICIAL_REDIS: &str = "redis:7.4.5-bookworm";
const MACHINE: &str = "musubi-stand-in/machine:bookworm";
const BASE: &str = "musubi-stand-in/base:bookworm";
/// What the builder, PostgreSQL and Redis need.
const PACKAGES: &str = "gcc,g++,libc6-dev,make,ca-certificates,git,postgresql,redis-server";
/// What a program runs on that is linked to the C library.
const LIBRARIES: [&str; 5] = ["libc6", "libgcc-s1", "ca-certificates", "tzdata", "netbase"];

impl Images {
    /// The official ones, or where these can't be pulled, stand-ins, made in this folder unless the engine has them.
    ///
    /// # Errors
    ///
    /// When a stand-in can't be made.
    pub(crate) fn ready(engine: &Engine, root: &Path, folder: &Path) -> anyhow::Result<Self> {
        let official = [OFFICIAL_BUILD, OFFICIAL_BASE, OFFICIAL_POSTGRES, OFFICIAL_REDIS];
        let has = |image: &str| engine.ask(["image", "inspect", image]).is_ok();
        if official.iter().all(|image| has(image) || engine.ask(["pull", "--quiet", image]).is_ok()) {
            let [build, base, postgres, redis] = official.map(str::to_owned);
            return Ok(Self { build, base, postgres, redis });
        }
        println!("no registry of images can be reached: stand-ins take the place of {}", official.join(", "));
        if !has(MACHINE) {
            machine(engine, root, &folder.join("machine"))?;
        }
        if !has(BASE) {
            base(engine, &folder.join("base"))?;
        }
        let machine = || MACHINE.to_owned();
        Ok(Self { build: machine(), base: BASE.to_owned(), postgres: machine(), redis: machine() })
    }
}

/// A Debian with a compiler, PostgreSQL, Redis, this machine's Rust, and the crates of Cargo.lock.
fn machine(engine: &Engine, root: &Path, folder: &Path) -> anyhow::Result<()> {
    empty(folder)?;
    let mut debian = Command::new("mmdebstrap");
    debian.args(["--quiet", "--variant=minbase", &format!("--include={PACKAGES}"), "bookworm"]).arg(folder);
    done(&mut debian).context("no Debian can be made; install mmdebstrap, and run this as root")?;
    let sysroot = PathBuf::from(said(Command::new("rustc").args(["--print", "sysroot"]))?);
    let local = folder.join("usr/local");
    for part in ["bin", "lib"] {
        done(Command::new("cp").arg("--archive").arg(sysroot.join(part)).arg(&local))?;
    }
    let mut vendor = Command::new("cargo");
    vendor.current_dir(root).args(["vendor", "--locked", "--versioned-dirs"]);
    // It says in which configuration cargo finds them, from this machine.
    let sources = said(vendor.arg(local.join("vendor")))?;
    let sources = sources.replace(&folder.display().to_string(), "");
    fs::create_dir_all(local.join("cargo"))?;
    fs::write(local.join("cargo/config.toml"), sources)?;
    // As the official images have it: who serves, and how the first start makes what is missing.
    let entry = local.join("bin/docker-entrypoint.sh");
    fs::copy(root.join("deploy/docker/stand-in/docker-entrypoint.sh"), &entry)?;
    done(Command::new("chmod").arg("0755").arg(&entry))?;
    done(Command::new("useradd").args(["--root", &folder.display().to_string(), "--uid", "999", "server"]))?;
    let data = folder.join("var/lib/postgresql/data");
    fs::create_dir_all(&data)?;
    done(Command::new("chown").arg("999:999").arg(&data))?;
    import(
        engine,
        folder,
        MACHINE,
        &[
            "ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "ENV CARGO_HOME=/usr/local/cargo",
            "ENV PGDATA=/var/lib/postgresql/data",
            "ENTRYPOINT [\"docker-entrypoint.sh\"]",
        ],
    )
}

/// Libraries, certificates and time zones: no shell, no package manager, and a user who is nobody.
fn base(engine: &Engine, folder: &Path) -> anyhow::Result<()> {
    let packages = folder.with_extension("packages");
    empty(&packages)?;
    empty(folder)?;
    done(Command::new("apt-get").current_dir(&packages).args(["download", "--quiet"]).args(LIBRARIES))?;
    for package in fs::read_dir(&packages)? {
        done(Command::new("dpkg-deb").arg("--extract").arg(package?.path()).arg(folder))?;
    }
    let authorities = folder.join("usr/share/ca-certificates/mozilla");
    let mut certificates: Vec<PathBuf> =
        fs::read_dir(&authorities)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    certificates.sort();
    let mut bundle = String::new();
    for certificate in certificates {
        bundle.push_str(&fs::read_to_string(certificate)?);
    }
    for (file, text) in [
        ("etc/ssl/certs/ca-certificates.crt", bundle.as_str()),
        (
            "etc/passwd",
            "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n",
        ),
        ("etc/group", "root:x:0:\nnonroot:x:65532:\n"),
        ("etc/nsswitch.conf", "hosts: files dns\n"),
    ] {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, text)?;
    }
    let unneeded = ["usr/share/doc", "usr/share/lintian", "usr/share/man", "usr/sbin"];
    for path in unneeded.map(|path| folder.join(path)).iter().filter(|path| path.exists()) {
        fs::remove_dir_all(path)?;
    }
    import(engine, folder, BASE, &["USER 65532:65532", "ENV PATH=/usr/local/bin:/usr/bin"])
}

/// A folder as an image; the folder is gone afterwards.
fn import(engine: &Engine, folder: &Path, image: &str, changes: &[&str]) -> anyhow::Result<()> {
    let mut tar = Command::new("tar");
    tar.arg("--directory").arg(folder).args(["--create", "."]).stdout(Stdio::piped());
    let mut tar = tar.spawn().context("tar did not start")?;
    let mut import = engine.command(["import"]);
    for change in changes {
        import.args(["--change", change]);
    }
    import.args(["-", image]).stdin(tar.stdout.take().context("tar has no output")?);
    said(&mut import)?;
    anyhow::ensure!(tar.wait()?.success(), "{image} could not be packed");
    fs::remove_dir_all(folder).with_context(|| format!("{} can't be deleted", folder.display()))
}

fn empty(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("{} can't be deleted", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))
}
