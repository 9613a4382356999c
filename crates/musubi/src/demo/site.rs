//! Where a demo plays: on a cluster that it starts in this process, or on servers that already run, as the operators of a stack call them.
//!
//! Past this file nobody knows which. Surprising: of a running stack nothing is started, watched or stopped; who kills its servers
//! meanwhile is answered by calls that are repeated, as everywhere.

use std::{fs, future, path::Path, sync::Arc};

use musubi_domain::{
    Error,
    caller::Caller,
    id::{CompanyId, OfficialAccountId, OperatorName},
};
use musubi_runtime::{
    SystemClock,
    config::Endpoint,
    tls::{Identity, TlsConfig},
};
use musubi_servers::Server;
use serde::Deserialize;

use super::{Unplayable, material::Material};
use crate::cluster::{Cluster, Door, Doors, Plan};

/// Where it is played.
pub(super) enum Site {
    /// In this process; with the PostgreSQL of this run, which ends when it is dropped.
    Own(Cluster, Option<Server>),
    /// On servers that already run.
    Stack(Doors),
}

/// `--stack FILE.toml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stack {
    /// Whose certificates these are: company/ID/operator/NAME at each company, terminal/operator/NAME at the terminals.
    operator: OperatorName,
    /// The companies' servers.
    company: Vec<CompanyPlace>,
    /// The terminals.
    terminal: TerminalPlace,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CompanyPlace {
    /// The company, and its official account of the same name.
    id: CompanyId,
    endpoint: Endpoint,
    tls: TlsConfig,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TerminalPlace {
    endpoint: Endpoint,
    tls: TlsConfig,
}

impl Site {
    /// Starts a cluster.
    ///
    /// # Errors
    /// When a node can't be built.
    pub(super) async fn start(plan: Plan, server: Option<Server>) -> anyhow::Result<Self> {
        Ok(Self::Own(Cluster::start(plan, Arc::new(SystemClock)).await?, server))
    }

    /// Finds the servers that a file names, for every account of the material.
    ///
    /// # Errors
    /// [`Unplayable`] when the file or a certificate can't be used, or an account has no server.
    pub(super) fn find(file: &Path, material: &Material) -> Result<Self, Unplayable> {
        let refused = |why: String| Unplayable(format!("--stack: {}: {why}", file.display()));
        let text = fs::read_to_string(file)
            .map_err(|error| refused(format!("can not be read ({}); name a file that can", error.kind())))?;
        let stack: Stack = toml::from_str(&text)
            .map_err(|error| refused(format!("{}; see deploy/compose/demo.toml", error.message())))?;
        let Stack { operator, company, terminal } = stack;
        let of = |id: &OfficialAccountId| {
            let place = company.iter().find(|place| place.id.as_str() == id.as_str());
            let CompanyPlace { id, endpoint, tls } =
                place.ok_or_else(|| refused(format!("no [[company]] is {id}; add it")))?;
            let party = Caller::CompanyOperator(id.clone(), operator.clone());
            let identity = identity(tls, &party).map_err(|error| refused(error.to_string()))?;
            Ok(Door { endpoint: endpoint.clone(), node: Caller::Company(id.clone()), operator: identity })
        };
        let companies = material.accounts.iter().map(|account| of(&account.id)).collect::<Result<_, _>>()?;
        let party = Caller::TerminalOperator(operator.clone());
        let terminal = Door {
            endpoint: terminal.endpoint,
            node: Caller::Terminal,
            operator: identity(&terminal.tls, &party).map_err(|error| refused(error.to_string()))?,
        };
        Ok(Self::Stack(Doors { companies, terminal, consoles: Vec::new(), phones: None }))
    }

    /// Where it is called.
    pub(super) fn doors(&self) -> &Doors {
        match self {
            Self::Own(cluster, _) => cluster.doors(),
            Self::Stack(doors) => doors,
        }
    }

    /// Waits until a node of this process fails, and tells how.
    pub(super) async fn broken(&mut self) -> anyhow::Error {
        match self {
            Self::Own(cluster, _) => cluster.broken().await,
            Self::Stack(_) => future::pending().await,
        }
    }

    /// Ends what was started.
    ///
    /// # Errors
    /// When a node failed, or didn't end in time.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::Own(cluster, _server) => cluster.stop().await,
            Self::Stack(_) => Ok(()),
        }
    }
}

fn identity(tls: &TlsConfig, party: &Caller) -> Result<Identity, Error> {
    Identity::load(tls)?.of(party)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use musubi_runtime::tls::authority::Authority;

    use super::*;
    use crate::demo::tests::args;

    fn material(folder: &Path) -> Material {
        Material::prepare(&args(&["--followers", "4"].map(str::to_owned)), folder).unwrap()
    }

    /// A file that names servers of these companies, as whom everybody's certificate names.
    fn stack(folder: &Path, companies: &[&str], party: &str) -> PathBuf {
        let authority = Authority::of(&folder.join("tls")).unwrap();
        let tls = |party: &str| {
            let files = authority.issue_temporary(&party.parse().unwrap()).unwrap();
            toml::to_string(&files).unwrap()
        };
        let company = |id: &&str| {
            let tls = tls(&party.replace("ID", id));
            format!("[[company]]\nid = '{id}'\nendpoint = 'https://{id}:7010'\n[company.tls]\n{tls}\n")
        };
        let companies: String = companies.iter().map(company).collect();
        let tls = tls("terminal/operator/demo");
        let text = format!(
            "operator = 'demo'\n[terminal]\nendpoint = 'https://terminal:7040'\n[terminal.tls]\n{tls}\n{companies}"
        );
        let path = folder.join("stack.toml");
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn servers_are_found_in_the_order_of_the_material() {
        let folder = tempfile::tempdir().unwrap();
        let file = stack(folder.path(), &["hinata-gas", "aoba-bank"], "company/ID/operator/demo");
        let site = Site::find(&file, &material(folder.path())).unwrap();
        let endpoints: Vec<_> = site.doors().companies.iter().map(|door| door.endpoint.as_str()).collect();
        assert_eq!(endpoints, ["https://aoba-bank:7010", "https://hinata-gas:7010"]);
    }

    #[test]
    fn a_stack_that_lacks_somebody_or_is_called_as_somebody_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let material = material(folder.path());
        let refused = |file: &Path| Site::find(file, &material).err().unwrap().to_string();
        let file = stack(folder.path(), &["aoba-bank"], "company/ID/operator/demo");
        assert!(refused(&file).contains("no [[company]] is hinata-gas"));
        let file = stack(folder.path(), &["aoba-bank", "hinata-gas"], "company/ID");
        assert!(refused(&file).contains("does not name company/aoba-bank/operator/demo"));
        fs::write(&file, "operator = 'demo'\nelse = 1\n").unwrap();
        assert!(refused(&file).contains("unknown field"));
        assert!(refused(&folder.path().join("none")).contains("can not be read"));
    }
}
