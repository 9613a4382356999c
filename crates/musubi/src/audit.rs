//! `musubi audit`: the audit of an information-management server or of a company server, held against its seals or written out, straight from its database;
//! `list` is an operator's, and asks a running company server.
//!
//! Nothing is changed here. Surprising: else no server is asked, because the audit also tells of the server; so an SQLite file is only read
//! while its node is stopped.

use std::{io::Write, path::PathBuf, sync::Arc};

use jiff::Timestamp;
use musubi_domain::{
    Error, ErrorKind,
    audit::{AuditKeyring, Head},
    id::CompanyId,
};
use musubi_runtime::{Clock, SystemClock, config::ConfigError};
use musubi_storage::{
    Opened,
    audit::{AuditStore, verify},
};

use crate::operator::{AuditLines, Ending, unwritten};

/// How many lines are read at once.
const PAGE: u32 = 4_000;

/// Whose audit it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Node {
    /// The information-management server's: followers, ties, distributions, what its operators did there.
    #[default]
    Information,
    /// A company server's: looks at the customer master and changes of it, and whom its door refused.
    Company,
}

/// What to do with the audit.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Audit {
    /// Recompute every seal: 0 when all of them are good and no line waits longer than a minute for its seal, else 1.
    ///
    /// Keep the head that it tells where the owner of the database can't change it, and give it to the next verification: a tail that
    /// was cut off, or a chain that was made anew, shows in nothing else.
    #[command(after_help = "Example:\n  musubi audit verify --config information.toml --head 1024:5f0c…")]
    Verify {
        /// The node's configuration.
        #[arg(long, value_name = "FILE.toml")]
        config: PathBuf,
        /// Whose audit it is.
        #[arg(long, value_enum, default_value_t)]
        node: Node,
        /// A head that was told before, and has to be in the chain.
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Option<String>,
    },
    List(Box<AuditLines>),
    /// Write the lines to standard output, one object of JSON each, in their order.
    Export {
        /// The node's configuration.
        #[arg(long, value_name = "FILE.toml")]
        config: PathBuf,
        /// Whose audit it is.
        #[arg(long, value_enum, default_value_t)]
        node: Node,
        /// Only lines from this instant on, as 2026-11-23T00:00:00Z.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Only this company's lines.
        #[arg(long, value_name = "ID")]
        company: Option<String>,
    },
}

impl Audit {
    /// Does what is asked for.
    pub(crate) async fn run(self, out: &mut dyn Write) -> Result<Ending, Error> {
        match self {
            Self::Verify { config, node, head } => {
                let head: Option<Head> =
                    head.map(|head| head.parse()).transpose().map_err(|error: Error| error.at("--head"))?;
                let Kept { keys, store, opened } = open(config, node).await?;
                let verdict = verify(&*store, &keys, head).await;
                opened.close().await;
                let verdict = verdict?;
                let now = SystemClock.now();
                let mut say = |name: &str, what: String| writeln!(out, "{name:<9} {what}").map_err(unwritten);
                say("sealed", format!("{} lines under {} seals", verdict.lines, verdict.seals))?;
                if let Some(head) = verdict.head {
                    say("head", head.to_string())?;
                }
                if let Some(broken) = &verdict.broken {
                    let lines = format!("lines {} to {}", broken.first_id, broken.last_id);
                    say("BROKEN", format!("seal {}, {lines}: {}", broken.number, broken.fault))?;
                } else if let Some(since) = verdict.unsealed_since {
                    let late = if verdict.is_late(now) { "; TOO LONG: does a server run?" } else { "" };
                    say("unsealed", format!("{} lines, since {since}{late}", verdict.unsealed))?;
                }
                Ok(if verdict.broken.is_some() || verdict.is_late(now) {
                    Ending::Refused
                } else {
                    Ending::Done
                })
            }
            Self::List(lines) => lines.run(out).await,
            Self::Export { config, node, since, company } => {
                let since: Option<Timestamp> =
                    since.map(|since| since.parse()).transpose().map_err(|_| {
                        Error::invalid("--since", "is no instant", "write it as 2026-11-23T00:00:00Z")
                    })?;
                let company: Option<CompanyId> = company
                    .map(|company| company.parse())
                    .transpose()
                    .map_err(|error: Error| error.at("--company"))?;
                let Kept { store, opened, .. } = open(config, node).await?;
                let exported = export(&*store, since, company.as_ref(), out).await;
                opened.close().await;
                exported.map(|()| Ending::Done)
            }
        }
    }
}

/// An audit where it is kept, and what verifies it.
struct Kept {
    keys: AuditKeyring,
    store: Arc<dyn AuditStore>,
    opened: Arc<dyn Opened>,
}

async fn open(config: PathBuf, node: Node) -> Result<Kept, Error> {
    let unread =
        |error: ConfigError| Error::new(ErrorKind::InvalidArgument, error.to_string(), "").at("--config");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    match node {
        Node::Information => {
            use musubi_information_server::app::{BuildError, open_audit};
            let config = musubi_information_server::Config::load(Some(&config)).map_err(unread)?;
            let store = open_audit(&config, &clock).await.map_err(|error| match error {
                BuildError::Config(error) => error.at("--config"),
                BuildError::Store(error) => error.into(),
                error @ (BuildError::Server(_) | BuildError::Journal(_)) => unavailable(&error),
            })?;
            let keys = config.audit_keys()?;
            Ok(Kept { keys, opened: Arc::clone(&store) as _, store })
        }
        Node::Company => {
            use musubi_company_server::{BuildError, open_audit};
            let config = musubi_company_server::Config::load(Some(&config)).map_err(unread)?;
            let store = open_audit(&config, &clock).await.map_err(|error| match error {
                BuildError::Config(error) => error.at("--config"),
                BuildError::Store(error) => error.into(),
                error @ (BuildError::Server(_) | BuildError::Console(_)) => unavailable(&error),
            })?;
            let keys = config.keys.auditors()?;
            Ok(Kept { keys, opened: Arc::clone(&store) as _, store })
        }
    }
}

fn unavailable(error: &dyn std::error::Error) -> Error {
    Error::new(ErrorKind::Unavailable, error.to_string(), "")
}

async fn export(
    store: &dyn AuditStore,
    since: Option<Timestamp>,
    company: Option<&CompanyId>,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut after = i64::MIN;
    loop {
        let lines = store.audit_lines(after, PAGE).await?;
        let Some(last) = lines.last() else { return Ok(()) };
        after = last.audit_id;
        for line in &lines {
            let wanted = since.is_none_or(|since| line.time >= since)
                && company.is_none_or(|company| company.as_str() == line.company);
            if wanted {
                writeln!(out, "{}", line.to_json()?).map_err(unwritten)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use musubi_information_server::{Config, app::open_audit};
    use musubi_storage::{
        company::Note,
        information::flow::{Audit as Line, Scope},
    };

    use super::*;

    fn config(folder: &std::path::Path) -> PathBuf {
        let file = folder.join("information.toml");
        let secret = "sixteen bytes, or more";
        let database = folder.join("information.db");
        let keys = format!(
            "database = '{}'\ntls = {{ certificate = 'a', key = 'a', authorities = 'a' }}\n[keys]\nfollower = '{secret}'\n\
             token = '{secret}'\nmaster = ['{secret}, and even more']\naudit = ['{secret}']",
            database.display()
        );
        std::fs::write(&file, keys).unwrap();
        file
    }

    /// A database with a line of each company; the first is sealed.
    async fn filled(config: PathBuf) {
        let config = Config::load(Some(&config)).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = open_audit(&config, &clock).await.unwrap();
        for (company, second) in [("tf-bank", 1), ("hinata-gas", 2)] {
            let line = Line {
                company: Some(company.parse().unwrap()),
                key: None,
                action: "told",
                detail: "a\nb".to_owned(),
            };
            let now = Timestamp::from_second(second).unwrap();
            let mut edit =
                |work: &mut musubi_storage::information::flow::Work| work.audits = vec![line.clone()];
            store.work("fact", &Scope::default(), now, &mut edit).await.unwrap();
            let keys: AuditKeyring = config.audit_keys().unwrap();
            assert_eq!(
                store.seal_audit(&keys, now, u32::from(second == 1)).await.unwrap(),
                u32::from(second == 1)
            );
        }
        store.close().await;
    }

    async fn said(audit: Audit) -> (Result<Ending, Error>, String) {
        let mut out = Vec::new();
        let ending = audit.run(&mut out).await;
        (ending, String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn what_is_sealed_is_verified_and_what_waits_too_long_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        filled(config.clone()).await;
        let (ending, text) =
            said(Audit::Verify { config: config.clone(), node: Node::Information, head: None }).await;
        assert_eq!(ending, Ok(Ending::Refused));
        assert!(text.starts_with("sealed    1 lines under 1 seals\nhead      1:"), "{text}");
        assert!(text.contains("unsealed  1 lines, since 1970-01-01T00:00:02Z; TOO LONG"), "{text}");
        let kept = Some(format!("1:{}", "0".repeat(64)));
        let (ending, text) =
            said(Audit::Verify { config: config.clone(), node: Node::Information, head: kept }).await;
        assert_eq!(ending, Ok(Ending::Refused));
        assert!(text.contains("BROKEN    seal 1, lines 2 to "), "{text}");
        let head = Some("1:".to_owned());
        assert_eq!(
            said(Audit::Verify { config, node: Node::Information, head }).await.0.unwrap_err().field,
            "--head"
        );
    }

    #[tokio::test]
    async fn lines_are_exported_by_time_and_company() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        filled(config.clone()).await;
        let export = async |since: Option<&str>, company: Option<&str>| {
            let [since, company] = [since, company].map(|it| it.map(str::to_owned));
            said(Audit::Export { config: config.clone(), node: Node::Information, since, company }).await
        };
        let (ending, text) = export(None, None).await;
        assert_eq!((ending, text.lines().count()), (Ok(Ending::Done), 2));
        let first = r#"{"audit_id":1,"time":"1970-01-01T00:00:01Z","company":"tf-bank","official_account":null,"follower":null,"action":"told","detail":"a\nb"}"#;
        assert_eq!(text.lines().next(), Some(first));
        for (since, company) in [(Some("1970-01-01T00:00:02Z"), None), (None, Some("hinata-gas"))] {
            let (_, text) = export(since, company).await;
            assert!(text.lines().count() == 1 && text.contains("hinata-gas"), "{text}");
        }
        assert_eq!(export(Some("yesterday"), None).await.0.unwrap_err().field, "--since");
        assert_eq!(export(None, Some("TF")).await.0.unwrap_err().field, "--company");
    }

    #[tokio::test]
    async fn a_company_servers_audit_is_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("company.toml");
        let secret = "sixteen bytes, or more";
        let text = format!(
            "company = 'tf-bank'\ndatabase = '{}'\ntls = {{ certificate = 'a', key = 'a', authorities = 'a' }}\n\
             callers.operators = {{ sato = ['viewer'] }}\nkeys.master = ['{secret}, and even more']\nkeys.audit = ['{secret}']",
            folder.path().join("company.db").display()
        );
        std::fs::write(&config, text).unwrap();
        let loaded = musubi_company_server::Config::load(Some(&config)).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = musubi_company_server::open_audit(&loaded, &clock).await.unwrap();
        let note = Note::by("customer_shown", "C1", Some(&"sato".parse().unwrap()));
        store.note(&[note], SystemClock.now()).await.unwrap();
        let sealed = store.seal_audit(&loaded.keys.auditors().unwrap(), SystemClock.now(), 9).await.unwrap();
        assert_eq!(sealed, 1);
        store.close().await;
        let node = Node::Company;
        let (ending, text) = said(Audit::Verify { config: config.clone(), node, head: None }).await;
        assert_eq!(ending, Ok(Ending::Done), "{text}");
        assert!(text.starts_with("sealed    1 lines under 1 seals"), "{text}");
        let (_, text) = said(Audit::Export { config, node, since: None, company: None }).await;
        assert!(text.contains(r#""action":"customer_shown","detail":"C1 by sato""#), "{text}");
    }
}
