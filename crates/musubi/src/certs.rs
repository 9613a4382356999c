//! `musubi certs`: a private authority, and certificates for nodes and operators.
//!
//! For whoever has no other authority; nodes take any PEM. Surprising: issuing again is all of a renewal, because a node takes
//! changed files by itself.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::{Args as Arguments, Subcommand};
use musubi_domain::{Error, caller::Caller};
use musubi_runtime::{
    Clock as _, SystemClock,
    tls::{
        authority::{Authority, Validity, revocations},
        certificate::Certificate,
    },
};

use crate::operator::{
    Ending,
    listing::{Format, Listing},
    unwritten,
};

/// Make a private authority and the certificates of nodes and operators, which know one another by them.
///
/// A certificate names its party, and the parties are: information, terminal, company/ID, carrier/ID, company/ID/operator/NAME,
/// terminal/operator/NAME. What each may call stands in ARCHITECTURE.md.
#[derive(Debug, Arguments)]
#[command(
    arg_required_else_help = true,
    after_help = "Example, for the samples in crates/musubi/config:
  musubi certs init
  musubi certs issue information terminal company/tf-bank carrier/kumo
  musubi certs issue company/tf-bank/operator/sato terminal/operator/sato
  musubi certs list

A node that is called from other machines needs the names that it is called by:
  musubi certs issue information --host musubi.example.jp --host 10.0.0.5
To renew, issue again: nodes take the new files within seconds, without a restart.
When a key was lost:
  musubi certs revoke company/tf-bank/operator/sato
  musubi certs issue company/tf-bank/operator/sato"
)]
pub(crate) struct Args {
    /// The authority's folder.
    #[arg(long, global = true, value_name = "DIR", default_value = "tls")]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the authority. Whoever has authority.key can be anybody: keep it where only you can read it.
    Init {
        /// How long it is good.
        #[arg(long, value_name = "DAYS", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
    },
    /// Issue a certificate and a key to each of these parties; an earlier one is replaced.
    Issue {
        /// Who: information, terminal, company/ID, carrier/ID, company/ID/operator/NAME, terminal/operator/NAME.
        #[arg(required = true, value_name = "PARTY")]
        parties: Vec<Caller>,
        /// A DNS name or IP address at which the party is called, besides this machine's own; may be repeated.
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<String>,
        /// How long it is good.
        #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
    },
    /// Take the certificates of these parties back, before their end. Nodes that name DIR/revoked.pem in `tls.revoked` refuse
    /// them within seconds, also on connections that stand. To be one of them again, a party is issued a new one.
    Revoke {
        /// Who.
        #[arg(required = true, value_name = "PARTY")]
        parties: Vec<Caller>,
    },
    /// List the certificates of the folder, with their ends.
    List {
        /// How to write them.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

impl Args {
    /// Does it, and says what was made.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result<Ending, Error> {
        let (folder, now) = (&self.dir, SystemClock.now());
        match self.command {
            Command::Init { days } => {
                Authority::create(folder, Validity::days(now, days))?;
                let at = folder.display();
                writeln!(
                    out,
                    "{at}/authority.pem is the authority; keep {at}/authority.key where only you can read it"
                )
                .map_err(unwritten)?;
            }
            Command::Issue { parties, hosts, days } => {
                let authority = Authority::open(folder)?;
                for party in parties {
                    let files = authority.issue(&party, &hosts, Validity::days(now, days))?;
                    writeln!(out, "{party}: {}, {}", files.certificate.display(), files.key.display())
                        .map_err(unwritten)?;
                }
            }
            Command::Revoke { parties } => {
                let authority = Authority::open(folder)?;
                for party in parties {
                    let list = authority.revoke(&party, now)?;
                    writeln!(out, "{party}: taken back; {} says so", list.display()).map_err(unwritten)?;
                }
            }
            Command::List { format } => list(folder, format, out)?,
        }
        Ok(Ending::Done)
    }
}

fn list(folder: &Path, format: Format, out: &mut dyn Write) -> Result<(), Error> {
    let unread = |error: std::io::Error| {
        let problem = format!("{} can not be read ({})", folder.display(), error.kind());
        Error::invalid("--dir", problem, "name a folder of `musubi certs init`")
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(unread)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "pem"))
        .filter(|path| !path.ends_with("revoked.pem"))
        .collect();
    paths.sort();
    let mut listing = Listing::new(&["file", "party", "hosts", "from", "until", "state"]);
    let (now, revocations) = (SystemClock.now(), revocations(folder)?);
    for path in paths {
        let certificate = Certificate::read_pem(&std::fs::read(&path).map_err(unread)?)?;
        let state = if revocations.name(&certificate.serial) {
            "taken back"
        } else {
            certificate.stage(now).as_str()
        };
        let Certificate { names, from, until, .. } = certificate;
        let (parties, hosts): (Vec<_>, Vec<_>) =
            names.iter().map(|name| (Caller::from_uri(name), name)).partition(|(party, _)| party.is_some());
        let parties = parties.iter().filter_map(|(party, _)| party.as_ref().map(ToString::to_string));
        listing.add([
            path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            parties.collect::<Vec<_>>().join(" "),
            hosts.iter().map(|(_, host)| host.as_str()).collect::<Vec<_>>().join(" "),
            from.to_string(),
            until.to_string(),
            state.to_owned(),
        ]);
    }
    listing.write(format, out)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use musubi_runtime::tls::{Identity, authority::files};

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    fn run(folder: &Path, arguments: &[&str]) -> Result<String, Error> {
        let dir = folder.join("tls").display().to_string();
        let arguments = [&["certs", "--dir", &dir], arguments].concat();
        let mut out = Vec::new();
        Program::try_parse_from(arguments).unwrap().args.run(&mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn an_authority_issues_what_nodes_take_and_lists_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(run(folder.path(), &["issue", "information"]).unwrap_err().remedy.contains("certs init"));
        assert!(run(folder.path(), &["init"]).unwrap().contains("authority.key"));
        let issued =
            run(folder.path(), &["issue", "information", "company/tf-bank", "--host", "bank.example"]);
        assert_eq!(issued.unwrap().lines().count(), 2);
        let bank: Caller = "company/tf-bank".parse().unwrap();
        Identity::load(&files(&folder.path().join("tls"), &bank)).unwrap().of(&bank).unwrap();
        let listed = run(folder.path(), &["list", "--format", "csv"]).unwrap();
        let row = listed.lines().find(|row| row.starts_with("company-tf-bank.pem,")).unwrap();
        assert!(
            row.contains(",company/tf-bank,") && row.contains("bank.example") && row.ends_with(",good"),
            "{row}"
        );
        for again in 0..2 {
            let taken_back = run(folder.path(), &["revoke", "information"]).unwrap();
            assert!(taken_back.contains("revoked.pem"), "{again}: {taken_back}");
        }
        let state = |party: &str| {
            let listed = run(folder.path(), &["list", "--format", "csv"]).unwrap();
            listed.lines().find(|row| row.starts_with(party)).unwrap().rsplit(',').next().unwrap().to_owned()
        };
        assert_eq!([state("information"), state("company")], ["taken back", "good"]);
        run(folder.path(), &["revoke", "company/tf-bank"]).unwrap();
        run(folder.path(), &["issue", "information"]).unwrap();
        assert_eq!([state("information"), state("company")], ["good", "taken back"]);
        assert_eq!(run(folder.path(), &["revoke", "terminal"]).unwrap_err().field, "PARTY");
        let error = run(folder.path(), &["issue", "terminal", "--host", "no host"]).unwrap_err();
        assert_eq!(error.field, "--host");
        assert_eq!(run(folder.path(), &["init"]).unwrap_err().kind, musubi_domain::ErrorKind::AlreadyExists);
    }
}
