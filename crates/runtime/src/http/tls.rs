//! The certificate that is shown to browsers and REST clients; they show none.
//!
//! Its files are read again when they change, as those between nodes are. Surprising: TLS 1.3 alone is spoken here, too.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use musubi_domain::Error;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::TLS13,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::tls;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// What is spoken, the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate that is renewed with its files.
pub(super) struct Shown {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Current>,
}

/// What was read last, and what is made of it.
struct Current {
    files: (Vec<u8>, Vec<u8>),
    certified: Arc<CertifiedKey>,
}

impl Shown {
    /// Reads and checks both files.
    ///
    /// # Errors
    /// Names the key of the configuration, the file's fault and the remedy.
    pub(super) fn load(certificate: &Path, key: &Path) -> Result<Arc<Self>, Error> {
        let current = RwLock::new(Current::read(certificate, key)?);
        Ok(Arc::new(Self { certificate: certificate.to_owned(), key: key.to_owned(), current }))
    }

    /// For handshakes.
    ///
    /// # Errors
    /// When the library refuses its own defaults.
    pub(super) fn config(self: &Arc<Self>) -> Result<ServerConfig, Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| {
                Error::invalid("certificate", format!("can not be used: {error}"), "name another")
            })?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as _);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }

    /// Looks for changed files until the token is cancelled; files that can't be used leave those in use as they are.
    pub(super) async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            let shown = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || shown.renew()).await;
            if let Ok(Err(error)) = looked {
                warn!("the new certificate of the pages is not used, the present one stays: {error}");
            }
        }
    }

    pub(super) fn renew(&self) -> Result<(), Error> {
        let read = Current::read(&self.certificate, &self.key)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if read.files != current.files {
            *current = read;
            info!("the certificate of the pages was renewed");
        }
        Ok(())
    }
}

impl Current {
    fn read(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let files = (tls::read(certificate, "certificate")?, tls::read(key, "key")?);
        let chain = tls::certificates(&files.0, "certificate")?;
        let secret = PrivateKeyDer::from_pem_slice(&files.1).map_err(|_| {
            Error::invalid("key", "holds no key as PEM", "write the key of the certificate, as PKCS#8")
        })?;
        let certified =
            CertifiedKey::from_der(chain, secret, &aws_lc_rs::default_provider()).map_err(|_| {
                Error::invalid(
                    "key",
                    "is not the key of the certificate",
                    "name the two files that belong together",
                )
            })?;
        Ok(Self { files, certified: Arc::new(certified) })
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).certified))
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shown({})", self.certificate.display())
    }
}
