//! `musubi provision`: what a stack of nodes needs before its first start, made where it is missing: a private authority, a folder
//! for each node with its certificates, secrets and addresses of databases.
//!
//! A plan says who gets what; nothing in it is secret. Drawn secrets and the authority are kept in one folder that no node sees, so
//! that a second run changes nothing. Surprising: running it again is also how certificates are renewed: those in the last third of
//! their time are issued anew, and nodes take them by themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use musubi_domain::{Error, ErrorKind, caller::Caller};
use musubi_runtime::{
    Clock as _, SystemClock,
    tls::{
        authority::{Authority, Validity, files},
        certificate::{Certificate, Stage},
    },
};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    cluster::secret,
    operator::{Ending, unwritten},
};

/// How long the authority is good, in days, and a certificate.
const AUTHORITY_DAYS: u32 = 3650;
const CERTIFICATE_DAYS: u32 = 90;
/// The authority's certificate, as every folder has it.
const AUTHORITIES: &str = "authority.pem";

/// Make the certificates and secrets that a stack of nodes needs, where they are missing or end soon.
///
/// For whoever has no other authority and no other keeper of secrets; deploy/compose/provision.toml is a plan with comments.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Example:\n  musubi provision deploy/compose/provision.toml"
)]
pub(crate) struct Args {
    /// The plan.
    #[arg(value_name = "PLAN.toml")]
    plan: PathBuf,
}

/// What stands in files, by their names.
type Files = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// Who gets what.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    /// Where the authority and what was drawn are kept.
    keep: PathBuf,
    /// A folder for each process.
    folder: Vec<Folder>,
}

/// What one process gets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Folder {
    /// Where.
    path: PathBuf,
    /// The user and group that alone may read it; without it whoever runs this.
    owner: Option<u32>,
    /// Whose certificates.
    #[serde(default)]
    parties: Vec<Caller>,
    /// Where these are called.
    #[serde(default)]
    hosts: Vec<String>,
    /// Files by name; `{NAME}` in them is a secret of 64 hexadecimal digits, the same wherever it stands.
    #[serde(default)]
    files: BTreeMap<String, String>,
}

impl Args {
    /// Makes what is missing, and says what was made.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result<Ending, Error> {
        let text = fs::read_to_string(&self.plan).map_err(|error| {
            let problem = format!("{} can not be read ({})", self.plan.display(), error.kind());
            Error::invalid("PLAN.toml", problem, "name a file that can")
        })?;
        let plan: Plan = toml::from_str(&text).map_err(|error| {
            let problem = format!("{}: {}", self.plan.display(), error.message());
            Error::invalid("PLAN.toml", problem, "see deploy/compose/provision.toml")
        })?;
        let keeper = Keeper::open(&plan.keep)?;
        for folder in &plan.folder {
            let made = keeper.fill(folder, SystemClock.now())?;
            let path = folder.path.display();
            let said = match made {
                0 => writeln!(out, "{path}: nothing to do"),
                1 => writeln!(out, "{path}: one file was made"),
                made => writeln!(out, "{path}: {made} files were made"),
            };
            said.map_err(unwritten)?;
        }
        Ok(Ending::Done)
    }
}

/// The authority, and the secrets that were drawn.
struct Keeper {
    folder: PathBuf,
    authority: Authority,
}

impl Keeper {
    /// Opens what is kept there, or begins it.
    fn open(folder: &Path) -> Result<Self, Error> {
        make_folder(folder)?;
        let authority = match Authority::create(folder, Validity::days(SystemClock.now(), AUTHORITY_DAYS)) {
            Err(error) if error.kind == ErrorKind::AlreadyExists => Authority::open(folder)?,
            created => created?,
        };
        Ok(Self { folder: folder.to_owned(), authority })
    }

    /// Makes what the folder lacks; gives how many files that were.
    fn fill(&self, folder: &Folder, now: Timestamp) -> Result<usize, Error> {
        make_folder(&folder.path)?;
        let mut files = Files::new();
        for party in &folder.parties {
            files.extend(self.certificate(party, &folder.hosts, now)?);
        }
        if !folder.parties.is_empty() {
            files.insert(AUTHORITIES.to_owned(), read(&self.folder.join(AUTHORITIES))?);
        }
        for (name, template) in &folder.files {
            files.insert(name.clone(), Zeroizing::new(self.filled(name, template)?.into_bytes()));
        }
        let mut made = 0;
        for (name, content) in files {
            let path = folder.path.join(&name);
            if read(&path).is_ok_and(|present| *present == *content) {
                continue;
            }
            write(&path, &content, folder.owner)?;
            made += 1;
        }
        if let Some(owner) = folder.owner {
            chown(&folder.path, Some(owner), Some(owner)).map_err(|error| unmade(&folder.path, &error))?;
        }
        Ok(made)
    }

    /// A party's certificate and key by their file names; issued anew when the present one is not good for long.
    fn certificate(&self, party: &Caller, hosts: &[String], now: Timestamp) -> Result<Files, Error> {
        let mut at = files(&self.folder, party);
        let good = read(&at.certificate).ok().and_then(|pem| Certificate::read_pem(&pem).ok());
        let good = good.is_some_and(|certificate| {
            let named: BTreeSet<_> = certificate.names.iter().collect();
            certificate.stage(now) == Stage::Good && hosts.iter().all(|host| named.contains(host))
        });
        if !good {
            at = self.authority.issue(party, hosts, Validity::days(now, CERTIFICATE_DAYS))?;
        }
        let named = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok::<_, Error>((name, read(path)?))
        };
        Ok(Files::from([named(&at.certificate)?, named(&at.key)?]))
    }

    /// The text with its secrets, drawn where they were not before.
    fn filled(&self, file: &str, template: &str) -> Result<String, Error> {
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let named = |name: &str| {
                !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            };
            let Some((name, after)) = after.split_once('}').filter(|(name, _)| named(name)) else {
                let problem = "a brace opens no name of a secret";
                let remedy = "write {NAME}, of a-z, 0-9 and hyphen";
                return Err(Error::invalid(format!("folder.files.{file}"), problem, remedy));
            };
            text.push_str(before);
            text.push_str(&self.secret(name)?);
            rest = after;
        }
        Ok(text + rest)
    }

    fn secret(&self, name: &str) -> Result<Zeroizing<String>, Error> {
        let path = self.folder.join(format!("{name}.secret"));
        if !path.exists() {
            write(&path, (secret() + &secret()).as_bytes(), None)?;
        }
        let kept = String::from_utf8(read(&path)?.to_vec());
        kept.map(Zeroizing::new).map_err(|_| {
            let problem = format!("{} is no text", path.display());
            Error::invalid("keep", problem, "delete it to draw another, or bring it back")
        })
    }
}

fn make_folder(path: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).map_err(|error| unmade(path, &error))
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    fs::read(path).map(Zeroizing::new).map_err(|error| {
        let problem = format!("{} can not be read ({})", path.display(), error.kind());
        Error::invalid("PLAN.toml", problem, "let this user read it")
    })
}

/// Whole or not at all, for its owner's eyes only.
fn write(path: &Path, content: &[u8], owner: Option<u32>) -> Result<(), Error> {
    let written = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o400))?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        if let Some(owner) = owner {
            chown(file.path(), Some(owner), Some(owner))?;
        }
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    written().map_err(|error| unmade(path, &error))
}

fn unmade(path: &Path, error: &io::Error) -> Error {
    let problem = format!("{} can not be made ({})", path.display(), error.kind());
    Error::invalid("PLAN.toml", problem, "name a place where this user may write")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use musubi_runtime::tls::{Identity, TlsConfig};

    use super::*;

    fn plan(folder: &Path, files: &str) -> PathBuf {
        let at = folder.display();
        let text = format!(
            "keep = '{at}/keep'\n\
             [[folder]]\npath = '{at}/information'\nparties = ['information']\nhosts = ['information']\n\
             [folder.files]\n{files}\n\
             [[folder]]\npath = '{at}/postgres'\n[folder.files]\npassword = '{{of-database}}'\n"
        );
        let path = folder.join("plan.toml");
        fs::write(&path, text).unwrap();
        path
    }

    fn run(plan: PathBuf) -> Result<String, Error> {
        let mut out = Vec::new();
        Args { plan }.run(&mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_second_run_changes_nothing_and_what_is_lost_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let files =
            "database = 'postgres://musubi:{of-database}@postgres/information'\n'master.key' = '{master}'";
        let plan = plan(folder.path(), files);
        assert!(run(plan.clone()).unwrap().contains("information: 5 files were made"));
        let of = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let (password, database) = (of("postgres/password"), of("information/database"));
        assert_eq!(database, format!("postgres://musubi:{password}@postgres/information"));
        assert!(password.len() == 64 && password != of("information/master.key"));
        assert!(run(plan.clone()).unwrap().lines().all(|line| line.ends_with("nothing to do")));
        fs::remove_file(folder.path().join("information/database")).unwrap();
        assert!(run(plan).unwrap().contains("information: one file was made"));
        assert_eq!(of("information/database"), database);
        let tls = TlsConfig {
            certificate: folder.path().join("information/information.pem"),
            key: folder.path().join("information/information.key"),
            authorities: folder.path().join("information/authority.pem"),
            revoked: None,
            name: vec![],
        };
        Identity::load(&tls).unwrap().of(&Caller::Information).unwrap();
        let mode = folder.path().join("information/master.key").metadata().unwrap().mode();
        assert_eq!(mode & 0o777, 0o400);
    }

    #[test]
    fn a_certificate_that_ends_soon_or_lacks_a_host_is_issued_anew() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = Keeper::open(&folder.path().join("keep")).unwrap();
        let now = SystemClock.now();
        let host = ["information".to_owned()];
        let issued = |hosts: &[String], now| keeper.certificate(&Caller::Information, hosts, now).unwrap();
        let first = issued(&host, now);
        assert_eq!(issued(&host, now), first);
        let later = now + jiff::SignedDuration::from_hours(61 * 24);
        assert_ne!(issued(&host, later), first);
        let with_another = issued(&["other".to_owned()], now);
        assert_ne!(with_another, first);
    }

    #[test]
    fn a_plan_that_makes_no_sense_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (files, expected) in
            [("a = '{'", "folder.files.a"), ("a = '{Name}'", "folder.files.a"), ("a = 1", "PLAN.toml")]
        {
            assert_eq!(run(plan(folder.path(), files)).unwrap_err().field, expected, "{files}");
        }
        assert_eq!(run(folder.path().join("none.toml")).unwrap_err().field, "PLAN.toml");
    }
}
