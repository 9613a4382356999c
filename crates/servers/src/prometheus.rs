//! Prometheus: scrapes the nodes of a test every second, in a folder of its own, on loopback only; and `promtool`, which comes with it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::account::Account;
use crate::folder::Folder;
use crate::process::command;
use crate::server::{Kind, Server, get};
use crate::{Error, Software};

const CONFIGURATION: &str = "prometheus.yml";
const RULES: &str = "rules.yml";

/// Start a new, empty server that scrapes these addresses, each under the name of its job, and judges by these rules, a file.
///
/// # Errors
///
/// [`Error::Missing`] when it is not installed, [`Error::File`] when the rules can't be read, [`Error::Ended`] and [`Error::Late`] when
/// it does not start, with what it said.
pub fn start(rules: &Path, targets: &[(&str, SocketAddr)]) -> Result<Server, Error> {
    let program = Software::Prometheus.program()?;
    let account = Account::choose()?;
    let folder = Folder::make(&std::env::temp_dir())?;
    account.own(folder.path())?;
    let mut text = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\nrule_files: [{RULES}]\nscrape_configs:\n"
    );
    for (index, (job, address)) in targets.iter().enumerate() {
        text.push_str(&format!(
            "  - job_name: target-{index}\n    static_configs: [{{ targets: ['{address}'], labels: {{ job: '{job}' }} }}]\n"
        ));
    }
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { doing, path, source }
    };
    let rules = fs::read_to_string(rules).map_err(failed("could not read", rules))?;
    for (name, text) in [(CONFIGURATION, &text), (RULES, &rules)] {
        let path = folder.path().join(name);
        fs::write(&path, text).map_err(failed("could not write", &path))?;
        account.own(&path)?;
    }
    Server::start(Box::new(Prometheus { program, account }), folder)
}

/// `promtool`, which checks files and plays rules.
///
/// # Errors
///
/// [`Error::Missing`] when it is not installed.
pub fn promtool() -> Result<Command, Error> {
    let mut command = Command::new(Software::Prometheus.program()?.with_file_name("promtool"));
    command.stdin(Stdio::null());
    Ok(command)
}

struct Prometheus {
    program: PathBuf,
    account: Account,
}

impl Kind for Prometheus {
    fn name(&self) -> &'static str {
        "Prometheus"
    }

    fn command(&self, folder: &Path, port: u16) -> Command {
        let mut command = command(&self.program, self.account, folder);
        command.args([
            &format!("--config.file={CONFIGURATION}"),
            "--storage.tsdb.path=data",
            &format!("--web.listen-address=127.0.0.1:{port}"),
            "--enable-feature=exemplar-storage",
        ]);
        command
    }

    fn is_ready(&self, _folder: &Path, port: u16, _id: u32) -> bool {
        let ready = get(port, "/-/ready");
        ready.is_ok_and(|answer| answer.starts_with("HTTP/1.0 200") && answer.contains("Prometheus"))
    }

    fn url(&self, port: u16) -> String {
        format!("http://127.0.0.1:{port}")
    }
}
