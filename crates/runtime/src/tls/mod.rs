//! Who a process is and whom it believes: its certificate, its key, the authorities, and TLS 1.3 with all of them, both ways.
//!
//! Files are PEM, from any authority. They are read again when they change: new connections use the new ones, those that stand
//! go on. Surprising: files that can't be used leave the ones in use as they are, with a warning, so that a half-written
//! renewal stops nobody.

pub mod authority;
pub mod certificate;
pub(crate) mod connection;
mod frames;
pub(crate) mod handshakes;
pub mod revocation;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use musubi_domain::{Error, caller::Caller};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::{Resumption, WebPkiServerVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject as _},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::{
    certificate::{Certificate, Stage},
    connection::Welcome,
    revocation::Revocations,
};
use crate::{Clock as _, SystemClock};

/// What a connection is for, said in its handshake: HTTP/2 and nothing else.
const HTTP2: &[u8] = b"h2";
/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How often the end of the certificate is thought of.
const REMIND: SignedDuration = SignedDuration::from_hours(12);

/// `[tls]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The process's certificate, and those between it and its authority: PEM.
    pub certificate: PathBuf,
    /// Its key: PEM, PKCS#8.
    pub key: PathBuf,
    /// Whom it believes: certificates of authorities, PEM.
    pub authorities: PathBuf,
    /// Certificates that the authorities have taken back: lists of revocation, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<PathBuf>,
    /// Names that stand in certificates of an authority which doesn't write ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub name: Vec<Alias>,
}

/// Another name of a party.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// As its certificate says it: a DNS name or a URI among the alternative names.
    pub certificate: String,
    /// Who that is.
    pub is: Caller,
}

/// A process's certificate and whom it believes. Cheap to clone; clones are renewed together.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    files: TlsConfig,
    current: RwLock<Arc<Material>>,
}

/// What is made of the files.
struct Material {
    files: Files,
    certificate: Certificate,
    revocations: Revocations,
    server: Arc<ServerConfig>,
    /// The same, and lets those in who show no certificate.
    open_server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// What the files hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Vec<u8>,
    revoked: Option<Vec<u8>>,
}

impl Identity {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// Names the key of the configuration, the file's fault and the remedy.
    pub fn load(config: &TlsConfig) -> Result<Self, Error> {
        let material = Material::read(config)?;
        Ok(Self(Arc::new(Inner { files: config.clone(), current: RwLock::new(Arc::new(material)) })))
    }

    /// The same, when its certificate names this party: who is taken for another is refused everywhere.
    ///
    /// # Errors
    /// When it doesn't.
    pub fn of(self, party: &Caller) -> Result<Self, Error> {
        let names = &self.current().certificate.names;
        if names.iter().any(|name| self.party(name).as_ref() == Some(party)) {
            return Ok(self);
        }
        let problem = format!("does not name {party}: neither {} nor an alias in tls.name", party.uri());
        Err(wrong("tls.certificate", problem, "name its own; `musubi certs issue` makes one"))
    }

    /// Looks for changed files until the token is cancelled, and warns of the certificate's end.
    pub(crate) async fn keep_fresh(self, stop: CancellationToken) {
        let mut remind_at = Timestamp::MIN;
        while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            let looked = self.clone();
            if !matches!(tokio::task::spawn_blocking(move || looked.renew()).await, Ok(false)) {
                remind_at = Timestamp::MIN;
            }
            let now = SystemClock.now();
            if now >= remind_at {
                remind_at = now.saturating_add(REMIND).unwrap_or(Timestamp::MAX);
                self.remind(now);
            }
        }
    }

    /// Takes the files when they have changed and are good; tells whether it did.
    pub(crate) fn renew(&self) -> bool {
        let now = self.current();
        let Ok(files) = read_all(&self.0.files) else { return false };
        if files == now.files {
            return false;
        }
        match Material::from_files(files) {
            Ok(material) => {
                info!(until = %material.certificate.until, "the certificate was renewed");
                *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(material);
                true
            }
            Err(error) => {
                warn!("the new certificate is not used, the present one stays: {error}");
                false
            }
        }
    }

    fn remind(&self, now: Timestamp) {
        let certificate = &self.current().certificate;
        let until = certificate.until;
        match certificate.stage(now) {
            Stage::Expired => {
                warn!(%until, "the certificate has expired, nobody believes it any more; renew it")
            }
            Stage::Ending => {
                warn!(%until, "the certificate ends soon; renew it, it is taken without a restart")
            }
            Stage::Early => warn!(from = %certificate.from, "the certificate is not good yet; see the clock"),
            Stage::Good => {}
        }
    }

    /// For a handshake as the called side.
    pub(crate) fn server(&self, welcome: Welcome) -> Arc<ServerConfig> {
        let current = self.current();
        Arc::clone(match welcome {
            Welcome::Certified => &current.server,
            Welcome::Anybody => &current.open_server,
        })
    }

    /// For a handshake as the calling side.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.current().client)
    }

    /// Whether the certificate of this serial number was taken back.
    pub(crate) fn has_revoked(&self, serial: &[u8]) -> bool {
        self.current().revocations.name(serial)
    }

    /// Whom a certificate names, as far as this process has a name for it; the authority was checked before.
    pub(crate) fn parties(&self, certificate: &Certificate) -> Vec<Caller> {
        let mut parties: Vec<Caller> = certificate.names.iter().filter_map(|name| self.party(name)).collect();
        parties.sort();
        parties.dedup();
        parties
    }

    fn party(&self, name: &str) -> Option<Caller> {
        let alias = self.0.files.name.iter().find(|alias| alias.certificate == name);
        alias.map(|alias| alias.is.clone()).or_else(|| Caller::from_uri(name))
    }

    fn current(&self) -> Arc<Material> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.0.files.certificate.display())
    }
}

impl Material {
    fn read(config: &TlsConfig) -> Result<Self, Error> {
        Self::from_files(read_all(config)?)
    }

    fn from_files(files: Files) -> Result<Self, Error> {
        let Files { certificate, key, authorities, revoked } = &files;
        let revocations = revoked.as_deref().map(Revocations::read_pem).transpose()?.unwrap_or_default();
        let chain = certificates(certificate, "tls.certificate")?;
        let authorities = certificates(authorities, "tls.authorities")?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
            wrong("tls.key", "holds no key as PEM", "write the key of tls.certificate, as PKCS#8")
        })?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let leaf = chain.first().ok_or_else(|| empty("tls.certificate"))?;
        let certificate = Certificate::read(leaf)?;
        let certified = CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider).map_err(|_| {
            wrong("tls.key", "is not the key of tls.certificate", "name the two files that belong together")
        })?;
        let roots = roots(authorities, "tls.authorities")?;
        let unusable = |error: Box<dyn std::error::Error>| {
            wrong("tls", format!("can not be used: {error}"), "issue new certificates")
        };
        let believed = Believed { provider, roots, revoked: &revocations.lists };
        let server = |welcome| server(&believed, &certified, welcome).map(Arc::new).map_err(unusable);
        let client = client(&believed, Some((chain, key))).map_err(unusable)?;
        Ok(Self {
            server: server(Welcome::Certified)?,
            open_server: server(Welcome::Anybody)?,
            client: Arc::new(client),
            certificate,
            revocations,
            files,
        })
    }
}

/// For whoever calls without a certificate and believes these authorities: a file, PEM.
///
/// # Errors
/// Names the argument, the file's fault and the remedy.
pub fn uncertified(authorities: &Path, argument: &str) -> Result<Arc<ClientConfig>, Error> {
    let roots = roots(certificates(&read(authorities, argument)?, argument)?, argument)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let client = client(&Believed { provider, roots, revoked: &[] }, None);
    let unusable = |error| wrong(argument, format!("can not be used: {error}"), "name another file");
    client.map(Arc::new).map_err(unusable)
}

fn roots(authorities: Vec<CertificateDer<'static>>, key: &str) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots
            .add(authority)
            .map_err(|_| wrong(key, "holds a certificate that is none of an authority", "take it out"))?;
    }
    Ok(Arc::new(roots))
}

/// Whom a side of a handshake believes.
struct Believed<'a> {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    revoked: &'a [CertificateRevocationListDer<'static>],
}

/// TLS 1.3 for the called side. No session is resumed: whoever connects is checked again.
fn server(
    Believed { provider, roots, revoked }: &Believed<'_>,
    certified: &CertifiedKey,
    welcome: Welcome,
) -> Result<ServerConfig, Box<dyn std::error::Error>> {
    // Of an authority without a list nothing is taken back.
    let callers = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider))
        .with_crls(revoked.iter().cloned())
        .allow_unknown_revocation_status();
    let callers = match welcome {
        Welcome::Certified => callers,
        Welcome::Anybody => callers.allow_unauthenticated(),
    };
    let mut server = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(callers.build()?)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified.clone())));
    server.alpn_protocols = vec![HTTP2.to_vec()];
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Ok(server)
}

/// TLS 1.3 for the calling side, with its certificate if it has one.
fn client(
    Believed { provider, roots, revoked }: &Believed<'_>,
    own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<ClientConfig, Box<dyn std::error::Error>> {
    let called = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider))
        .with_crls(revoked.iter().cloned())
        .allow_unknown_revocation_status();
    let client = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_webpki_verifier(called.build()?);
    let mut client = match own {
        Some((chain, key)) => client.with_client_auth_cert(chain, key)?,
        None => client.with_no_client_auth(),
    };
    client.alpn_protocols = vec![HTTP2.to_vec()];
    client.resumption = Resumption::disabled();
    Ok(client)
}

fn read_all(config: &TlsConfig) -> Result<Files, Error> {
    Ok(Files {
        certificate: read(&config.certificate, "tls.certificate")?,
        key: read(&config.key, "tls.key")?,
        authorities: read(&config.authorities, "tls.authorities")?,
        revoked: config.revoked.as_deref().map(|path| read(path, "tls.revoked")).transpose()?,
    })
}

pub(crate) fn read(path: &Path, key: &str) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| {
        let problem = format!("{} can not be read ({})", path.display(), error.kind());
        wrong(key, problem, "name a file that can; `musubi certs issue` makes one")
    })
}

pub(crate) fn certificates(pem: &[u8], key: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.ok().filter(|read| !read.is_empty()).ok_or_else(|| empty(key))
}

fn empty(key: &str) -> Error {
    wrong(key, "holds no certificate as PEM", "write one, between BEGIN CERTIFICATE and END CERTIFICATE")
}

fn wrong(key: &str, problem: impl Into<String>, remedy: &str) -> Error {
    Error::invalid(key, problem.into(), remedy)
}
