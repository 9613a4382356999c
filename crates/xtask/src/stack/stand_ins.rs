//! The images that the stack is made of; and where no registry of images can be reached, Debian's packages, the Rust toolchain at hand and
//! PyPI's in their place.
//!
//! Stand-ins are for tests, never for production: nobody signs them, and they are as old as this machine. Each is called by what it is
//! made of, so that another toolchain or another Cargo.lock makes another one. Surprising: most are one Debian with another entry
//! point, because making a Debian takes longer than all that is put into it; only what the nodes run on is an image of its own, since it must
//! hold no shell. Grafana has no stand-in: nobody has it as a package.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

use super::engine::{Engine, done, said};
use crate::supply::sbom;

/// What the recipe of the image is given, and docker-compose.yml by variables.
pub(crate) struct Images {
    pub(crate) build: String,
    pub(crate) base: String,
    /// By the names of the variables.
    pub(crate) services: Vec<(String, String)>,
    /// One that has programs of its own.
    pub(crate) tools: String,
    /// The services that nothing stands in for.
    pub(crate) without: Vec<&'static str>,
}

const RECIPE: &str = "deploy/docker/Dockerfile";
const COMPOSE: &str = "docker-compose.yml";
const STAND_INS: &str = "deploy/docker/stand-in";
const REPOSITORY: &str = "musubi-stand-in";
/// The stand-in of each variable; its service, when there is none.
const OF: [(&str, Result<&str, &str>); 6] = [
    ("POSTGRES_IMAGE", Ok("servers")),
    ("REDIS_IMAGE", Ok("servers")),
    ("COLLECTOR_IMAGE", Ok("collector")),
    ("TEMPO_IMAGE", Ok("tempo")),
    ("PROMETHEUS_IMAGE", Ok("prometheus")),
    ("GRAFANA_IMAGE", Err("grafana")),
];
/// The packages of PyPI, in the folder that stand-ins are made of.
const PYTHON: &str = "python";
/// What builder and servers need.
const PACKAGES: &str =
    "gcc,g++,libc6-dev,make,ca-certificates,git,postgresql,redis-server,prometheus,python3,libpython3.11";
/// What a program runs on that is linked to the C library.
const LIBRARIES: [&str; 5] = ["libc6", "libgcc-s1", "ca-certificates", "tzdata", "netbase"];

impl Images {
    /// The official ones, or where these can't be pulled, stand-ins, made in this folder unless the engine has them.
    ///
    /// # Errors
    ///
    /// When a stand-in can't be made.
    pub(crate) fn ready(engine: &Engine, root: &Path, folder: &Path) -> anyhow::Result<Self> {
        let read =
            |path: &str| fs::read_to_string(root.join(path)).with_context(|| format!("{path} can't be read"));
        let (recipe, compose) = (read(RECIPE)?, read(COMPOSE)?);
        let argument = |name: &str| after(&recipe, &format!("ARG {name}="), '\n');
        let [build, base] = ["BUILD_IMAGE", "BASE_IMAGE"].map(argument);
        let services = OF.map(|(variable, _)| {
            Ok((variable.to_owned(), after(&compose, &format!("${{{variable}:-"), '}')?))
        });
        let services: Vec<_> = services.into_iter().collect::<anyhow::Result<_>>()?;
        let (build, base) = (build?, base?);
        let has = |image: &str| engine.ask(["image", "inspect", image]).is_ok();
        let had = |image: &String| has(image) || engine.ask(["pull", "--quiet", image]).is_ok();
        if services.iter().map(|(_, image)| image).chain([&build, &base]).all(had) {
            let tools = services[0].1.clone();
            return Ok(Self { build, base, services, tools, without: Vec::new() });
        }
        Self::standing_in(engine, root, folder)
    }

    fn standing_in(engine: &Engine, root: &Path, folder: &Path) -> anyhow::Result<Self> {
        println!("no registry of images can be reached: stand-ins take the place of the official images");
        let workshop = Workshop { engine, root, context: folder.join("stand-in") };
        let rust = said(Command::new("rustc").arg("--verbose").arg("--version"))?;
        let machine = workshop
            .named("machine", &[PACKAGES, &rust], |image| machine(engine, image, &folder.join("machine")))?;
        let base = workshop.named("base", &LIBRARIES, |image| base(engine, image, &folder.join("base")))?;
        let lock = fs::read_to_string(root.join("Cargo.lock"))?;
        let build = workshop.named("build", &[&machine, &lock, sbom::VERSION], |image| {
            workshop.fill(|context| builder(root, context))?;
            workshop.build("build", &machine, image)
        })?;
        let scripts = workshop.scripts()?;
        let mut services = Vec::new();
        let mut without = Vec::new();
        for (variable, stand_in) in OF {
            match stand_in {
                Err(service) => without.push(service),
                Ok(target) => {
                    let image = workshop.named(target, &[&machine, &scripts], |image| {
                        if !workshop.context.join(PYTHON).is_dir() {
                            workshop.fill(|context| python(root, context))?;
                        }
                        workshop.build(target, &machine, image)
                    })?;
                    services.push((variable.to_owned(), image));
                }
            }
        }
        empty(&workshop.context)?;
        println!("nothing stands in for {}: the stack runs without", without.join(", "));
        let tools = services[0].1.clone();
        Ok(Self { build, base, services, tools, without })
    }
}

/// What stands between this and that.
fn after(text: &str, this: &str, end: char) -> anyhow::Result<String> {
    let rest = text.split_once(this).map(|(_, rest)| rest).with_context(|| format!("nothing says {this}"))?;
    Ok(rest.split(end).next().unwrap_or_default().to_owned())
}

/// Makes stand-ins.
struct Workshop<'a> {
    engine: &'a Engine,
    root: &'a Path,
    /// What their recipe copies from.
    context: PathBuf,
}

impl Workshop<'_> {
    /// The image of this kind that is made of these; made unless it is there, and then the older ones go.
    fn named(
        &self,
        kind: &str,
        of: &[&str],
        make: impl FnOnce(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<String> {
        let mut hasher = DefaultHasher::new();
        of.hash(&mut hasher);
        let repository = format!("{REPOSITORY}/{kind}");
        let image = format!("{repository}:{:016x}", hasher.finish());
        let there = self.engine.ask(["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", &repository])?;
        if !there.lines().any(|it| it == image) {
            println!("{image} is made");
            make(&image)?;
            for older in there.lines() {
                // One that a container still has stays.
                let _ = self.engine.ask(["image", "rm", older]);
            }
        }
        Ok(image)
    }

    /// Everything that decides what the scripts do.
    fn scripts(&self) -> anyhow::Result<String> {
        let entries = fs::read_dir(self.root.join(STAND_INS))?;
        let mut paths: Vec<PathBuf> =
            entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
        paths.sort();
        paths.iter().map(|path| Ok(fs::read_to_string(path)?)).collect()
    }

    /// Puts what is needed beside the scripts.
    fn fill(&self, put: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
        empty(&self.context)?;
        let scripts = self.root.join(STAND_INS).join(".");
        done(Command::new("cp").arg("--recursive").arg(scripts).arg(&self.context))?;
        put(&self.context)
    }

    fn build(&self, target: &str, machine: &str, image: &str) -> anyhow::Result<()> {
        let machine = format!("MACHINE={machine}");
        let arguments = ["build", "--quiet", "--target", target, "--tag", image, "--build-arg", &machine];
        said(self.engine.command(arguments).arg(&self.context)).map(drop)
    }
}

/// A Debian with what builder and servers need, and this machine's Rust.
fn machine(engine: &Engine, image: &str, folder: &Path) -> anyhow::Result<()> {
    empty(folder)?;
    let mut debian = Command::new("mmdebstrap");
    debian.args(["--quiet", "--variant=minbase", &format!("--include={PACKAGES}"), "bookworm"]).arg(folder);
    done(&mut debian).context("no Debian can be made; install mmdebstrap, and run this as root")?;
    let sysroot = PathBuf::from(said(Command::new("rustc").args(["--print", "sysroot"]))?);
    for part in ["bin", "lib"] {
        done(Command::new("cp").arg("--archive").arg(sysroot.join(part)).arg(folder.join("usr/local")))?;
    }
    import(engine, folder, image, &["ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
}

/// The crates of Cargo.lock, and what lists the program's parts.
fn builder(root: &Path, context: &Path) -> anyhow::Result<()> {
    let vendor = context.join("vendor");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root).args(["vendor", "--locked", "--versioned-dirs"]).arg(&vendor);
    // It says in which configuration cargo finds them, from this machine.
    let sources = said(&mut cargo)?.replace(&vendor.display().to_string(), "/usr/local/cargo/vendor");
    fs::write(context.join("config.toml"), sources)?;
    fs::copy(sbom::tool(root)?, context.join("cargo-cyclonedx"))?;
    Ok(())
}

/// The collector and what the trace store needs.
fn python(root: &Path, context: &Path) -> anyhow::Result<()> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"]);
    pip.arg(context.join(PYTHON)).arg("--requirement").arg(root.join(STAND_INS).join("requirements.txt"));
    said(&mut pip).context("install python3 and python3-pip, and let it reach a package index")?;
    done(Command::new("chmod").arg("0755").arg(context.join(PYTHON).join("rotel/rotel-agent")))
}

/// Libraries, certificates and time zones: no shell, no package manager, and a user who is nobody.
fn base(engine: &Engine, image: &str, folder: &Path) -> anyhow::Result<()> {
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
    import(engine, folder, image, &["USER 65532:65532", "ENV PATH=/usr/local/bin:/usr/bin"])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_of_the_stack_may_be_another_and_is_known_here() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let compose = fs::read_to_string(root.join(COMPOSE)).unwrap();
        let named = compose.lines().filter_map(|line| line.trim().strip_prefix("image: ${"));
        let named: Vec<&str> = named.filter_map(|rest| rest.split(":-").next()).collect();
        let known = OF.iter().map(|(variable, _)| *variable).chain(["MUSUBI_IMAGE"]);
        assert!(known.clone().all(|variable| named.contains(&variable)), "{named:?}");
        assert_eq!(named.len(), known.count(), "{named:?}");
        let recipe = fs::read_to_string(root.join(RECIPE)).unwrap();
        assert_eq!(after(&recipe, "ARG CYCLONEDX=", '\n').unwrap(), sbom::VERSION);
    }
}
