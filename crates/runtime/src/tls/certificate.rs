//! What a certificate says: the names of its subject, and from when to when it is good.

use super::revocation;
use jiff::Timestamp;
use musubi_domain::Error;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// What is read of a certificate. It proves nothing before its authority was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its serial number, without zeros in front.
    pub serial: Vec<u8>,
    /// DNS names and URIs among the subject's alternative names. The common name is none.
    pub names: Vec<String>,
    /// It is good from this instant …
    pub from: Timestamp,
    /// … to this.
    pub until: Timestamp,
}

/// How a certificate stands at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not good yet.
    Early,
    /// Good for longer.
    Good,
    /// Good, and in the last third of its time: to be renewed.
    Ending,
    /// Good no more.
    Expired,
}

impl Stage {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Early => "not good yet",
            Self::Good => "good",
            Self::Ending => "ends soon",
            Self::Expired => "expired",
        }
    }
}

impl Certificate {
    /// How it stands now.
    #[must_use]
    pub fn stage(&self, now: Timestamp) -> Stage {
        if now < self.from {
            Stage::Early
        } else if now >= self.until {
            Stage::Expired
        } else if self.until.duration_since(now) * 3 < self.until.duration_since(self.from) {
            Stage::Ending
        } else {
            Stage::Good
        }
    }

    /// Reads a certificate's DER.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(der: &[u8]) -> Result<Self, Error> {
        let unread = || Error::invalid("certificate", "can not be read", "issue it again");
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| unread())?;
        let extension = certificate.subject_alternative_name().map_err(|_| unread())?;
        let names = extension.into_iter().flat_map(|extension| &extension.value.general_names);
        let names = names.filter_map(|name| {
            let (GeneralName::DNSName(name) | GeneralName::URI(name)) = name else { return None };
            Some((*name).to_owned())
        });
        let names = names.collect();
        let instant = |seconds| Timestamp::from_second(seconds).map_err(|_| unread());
        let validity = certificate.validity();
        let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let serial = revocation::serial(certificate.raw_serial());
        Ok(Self { serial, names, from: instant(from)?, until: instant(until)? })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_third_of_its_time_is_for_renewing_it() {
        let at = |day: u8| format!("2026-11-{day:02}T00:00:00Z").parse::<Timestamp>().unwrap();
        let certificate = Certificate { serial: vec![1], names: vec![], from: at(10), until: at(25) };
        for (day, stage) in [
            (9, Stage::Early),
            (10, Stage::Good),
            (20, Stage::Good),
            (21, Stage::Ending),
            (24, Stage::Ending),
            (25, Stage::Expired),
            (30, Stage::Expired),
        ] {
            assert_eq!(certificate.stage(at(day)), stage, "on the {day}th");
        }
        assert!(Certificate::read(b"no certificate").is_err() && Certificate::read_pem(b"no PEM").is_err());
    }
}
