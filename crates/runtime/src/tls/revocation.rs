//! Certificates that their authority has taken back before their end: lists of revocation, PEM.
//!
//! A handshake with such a certificate fails, and a call on a connection that stands is refused. Surprising: a list that is older than
//! it says it may be is believed all the same, because who can't fetch a new one must not be cut off from everybody.

use std::collections::HashSet;

use jiff::Timestamp;
use musubi_domain::Error;
use rustls::pki_types::{CertificateRevocationListDer, pem::PemObject as _};
use x509_parser::{prelude::FromDer as _, revocation_list::CertificateRevocationList};

/// What lists of revocation say.
#[derive(Clone, Debug, Default)]
pub struct Revocations {
    /// The lists, as handshakes read them.
    pub(super) lists: Vec<CertificateRevocationListDer<'static>>,
    /// What they name, and since when.
    pub revoked: Vec<Revoked>,
    serials: HashSet<Vec<u8>>,
}

/// A certificate that was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number, without zeros in front.
    pub serial: Vec<u8>,
    /// Since when.
    pub since: Timestamp,
}

impl Revocations {
    /// Reads a file, which holds a list of each authority that has one.
    ///
    /// # Errors
    /// `tls.revoked`, when it holds no list, or one that can't be read.
    pub fn read_pem(pem: &[u8]) -> Result<Self, Error> {
        let unread = || {
            let remedy = "name a file of lists of revocation, PEM; `musubi certs revoke` makes one";
            Error::invalid("tls.revoked", "holds no list of revocation that can be read", remedy)
        };
        let lists: Result<Vec<CertificateRevocationListDer<'static>>, _> =
            CertificateRevocationListDer::pem_slice_iter(pem).collect();
        let lists = lists.ok().filter(|lists| !lists.is_empty()).ok_or_else(unread)?;
        let mut revoked = Vec::new();
        for list in &lists {
            let (_, list) = CertificateRevocationList::from_der(list).map_err(|_| unread())?;
            for certificate in list.iter_revoked_certificates() {
                let since = Timestamp::from_second(certificate.revocation_date.timestamp());
                let since = since.map_err(|_| unread())?;
                revoked.push(Revoked { serial: serial(certificate.raw_serial()), since });
            }
        }
        let serials = revoked.iter().map(|revoked| revoked.serial.clone()).collect();
        Ok(Self { lists, revoked, serials })
    }

    /// Whether they name the certificate of this serial number.
    #[must_use]
    pub fn name(&self, serial: &[u8]) -> bool {
        self.serials.contains(serial)
    }
}

/// A serial number as it is compared: without zeros in front.
pub(super) fn serial(raw: &[u8]) -> Vec<u8> {
    raw.iter().copied().skip_while(|byte| *byte == 0).collect()
}
