//! What a certificate says: the names of its subject, and from when to when it is good.

use jiff::Timestamp;
use musubi_domain::Error;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// What is read of a certificate. It proves nothing before its authority was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// DNS names and URIs among the subject's alternative names. The common name is none.
    pub names: Vec<String>,
    /// It is good from this instant …
    pub from: Timestamp,
    /// … to this.
    pub until: Timestamp,
}

impl Certificate {
    /// Reads a certificate's DER.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(der: &[u8]) -> Result<Self, Error> {
        let unread = || Error::invalid("certificate", "can not be read", "issue it again");
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| unread())?;
        let extension = certificate.subject_alternative_name().map_err(|_| unread())?;
        let names = extension.into_iter().flat_map(|extension| &extension.value.general_names);
        let names = names.filter_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
            _ => None,
        });
        let names = names.collect();
        let instant = |seconds| Timestamp::from_second(seconds).map_err(|_| unread());
        let validity = certificate.validity();
        let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        Ok(Self { names, from: instant(from)?, until: instant(until)? })
    }

    /// Reads the first certificate of a PEM file.
    ///
    /// # Errors
    /// When there is none.
    pub fn read_pem(pem: &[u8]) -> Result<Self, Error> {
        let der = CertificateDer::from_pem_slice(pem);
        Self::read(&der.map_err(|_| Error::invalid("certificate", "is no PEM", "issue it again"))?)
    }
}
