//! Which programs there are on this machine, and of which version. Nothing is remembered: a package that was installed
//! a moment ago is found.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;

/// Where Debian puts the server's programs, in a folder for each version: `15/bin`.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The package and the service that it brings.
pub(crate) const REDIS_PACKAGE: &str = "redis-server";

/// What the tests need of the machine: servers that this crate can start, and a browser with what drives
/// it, and a Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Software {
    /// PostgreSQL 15 or newer: `postgres` and `initdb`.
    Postgres,
    /// Redis 7 or newer, or Valkey, which is Redis under another name.
    Redis,
    /// Chromium, or a browser that is made of it.
    Chromium,
    /// Node.js, with npm.
    Node,
    /// Prometheus, with promtool.
    Prometheus,
    /// A container engine with Compose, and what makes base images of Debian's packages; no test needs it, `cargo xtask stack-test` does.
    Docker,
    /// An SMS gateway, which only `cargo xtask peers` needs, to measure beside it.
    Kannel,
}

impl Software {
    /// All that tests need.
    pub const ALL: [Self; 5] = [Self::Postgres, Self::Redis, Self::Chromium, Self::Node, Self::Prometheus];

    /// What it is called, with the version that is needed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL 15 or newer",
            Self::Redis => "Redis (or Valkey) 7 or newer",
            Self::Chromium => "Chromium (or Chrome) 120 or newer",
            Self::Node => "Node.js 20 or newer, with npm",
            Self::Prometheus => "Prometheus 2 or newer, with promtool",
            Self::Docker => "Docker 20 or newer, with Compose",
            Self::Kannel => "Kannel 1.4 or newer",
        }
    }

    /// Debian's packages. A browser without the letters of Japanese shows squares.
    pub(crate) const fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &["postgresql"],
            Self::Redis => &[REDIS_PACKAGE],
            Self::Chromium => &["chromium", "fonts-noto-cjk"],
            Self::Node => &["nodejs", "npm"],
            Self::Prometheus => &["prometheus"],
            Self::Docker => &["docker.io", "docker-compose", "iptables", "mmdebstrap"],
            Self::Kannel => &["kannel"],
        }
    }

    /// What to do when it is not installed.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Postgres => {
                "apt-get install postgresql, dnf install postgresql-server postgresql-contrib, or brew install postgresql@17 and put its \
                 bin on PATH; none of its own servers has to run"
            }
            Self::Redis => {
                "apt-get install redis-server, dnf install valkey, or brew install redis; none of its own servers has \
                 to run"
            }
            Self::Chromium => {
                "apt-get install chromium fonts-noto-cjk, dnf install chromium google-noto-sans-cjk-fonts, or any Chrome \
                 on PATH"
            }
            Self::Node => "apt-get install nodejs npm, dnf install nodejs, or brew install node",
            Self::Prometheus => {
                "apt-get install prometheus, dnf install golang-github-prometheus, or brew install prometheus; none of its own \
                 servers has to run"
            }
            Self::Docker => {
                "apt-get install docker.io docker-compose, or any Docker with buildx and Compose on PATH"
            }
            Self::Kannel => "apt-get install kannel; none of its own servers has to run",
        }
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_installed(self) -> bool {
        self.program().is_ok()
    }

    /// The program; that of PostgreSQL has an `initdb` beside it.
    pub(crate) fn program(self) -> Result<PathBuf, Error> {
        let oldest = match self {
            Self::Postgres => 15,
            Self::Redis => 7,
            Self::Chromium => 120,
            Self::Node | Self::Docker => 20,
            Self::Prometheus => 2,
            Self::Kannel => 1,
        };
        self.candidates()
            .find(|program| version(program).is_some_and(|version| version >= oldest))
            .ok_or(Error::Missing(self))
    }

    /// Programs of this name, of any version.
    pub(crate) fn candidates(self) -> impl Iterator<Item = PathBuf> {
        let names = match self {
            Self::Postgres => ["postgres"].as_slice(),
            Self::Redis => ["redis-server", "valkey-server"].as_slice(),
            Self::Chromium => {
                ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].as_slice()
            }
            Self::Node => ["node"].as_slice(),
            Self::Prometheus => ["prometheus"].as_slice(),
            Self::Docker => ["dockerd"].as_slice(),
            Self::Kannel => ["bearerbox"].as_slice(),
        };
        let programs =
            folders().into_iter().flat_map(move |folder| names.iter().map(move |name| folder.join(name)));
        programs.filter(move |program| {
            program.is_file()
                && match self {
                    Self::Postgres => program.with_file_name("initdb").is_file(),
                    Self::Node => find("npm").is_some(),
                    Self::Prometheus => program.with_file_name("promtool").is_file(),
                    Self::Kannel => program.with_file_name("smsbox").is_file(),
                    Self::Redis | Self::Chromium | Self::Docker => true,
                }
        })
    }
}

/// A program by its name.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    folders().into_iter().map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Where to look: first what the caller chose.
#[expect(clippy::disallowed_methods, reason = "the search path is a fact of the machine, not configuration")]
fn folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .chain(of_debian(Path::new(DEBIAN)))
        .collect()
}

/// The newest first.
fn of_debian(below: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(below) else { return Vec::new() };
    let named = entries.flatten().filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    let mut folders: Vec<(u32, PathBuf)> = named.collect();
    folders.sort_by(|one, other| other.cmp(one));
    folders.into_iter().map(|(_, folder)| folder).collect()
}

fn version(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    major(&String::from_utf8_lossy(&output.stdout))
}

/// The first number of `postgres (PostgreSQL) 15.14 (Debian …)`, `Redis server v=7.0.15 sha=…`, `Chromium 141.0.7390.54 …`,
/// `v20.20.2`, `prometheus, version
/// 2.42.0+ds …`.
fn major(text: &str) -> Option<u32> {
    let number = text.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty())?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_version_is_the_first_number() {
        assert_eq!(major("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 19devel"), Some(19));
        assert_eq!(major("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64"), Some(7));
        assert_eq!(major("Valkey server v=8.1.1 sha=00000000:0"), Some(8));
        assert_eq!(major("Chromium 141.0.7390.54 built on Debian GNU/Linux 12 (bookworm)"), Some(141));
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("prometheus, version 2.42.0+ds (branch: debian/sid)"), Some(2));
        assert_eq!(major("usage: postgres"), None);
    }

    #[test]
    fn newest_version_of_debian_comes_first() {
        let folder = crate::folder::Folder::make(&env::temp_dir()).unwrap();
        for version in ["9", "15", "17", "common"] {
            fs::create_dir(folder.path().join(version)).unwrap();
        }
        let expected = ["17/bin", "15/bin", "9/bin"].map(|version| folder.path().join(version));
        assert_eq!(of_debian(folder.path()), expected);
    }
}
