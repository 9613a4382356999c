//! A private authority in a folder, and the certificates that it issues: for the demo, for tests, and for whoever has no other.
//!
//! The folder holds `authority.pem` and `authority.key`, and for each party a certificate and a key. Keys are for their owner's
//! eyes only. Surprising: a certificate is good a few minutes before it is issued, because clocks differ.

use std::{
    fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use musubi_domain::{Error, ErrorKind, caller::Caller, error::shape};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
    string::Ia5String,
};
use rustls::pki_types::DnsName;
use time::OffsetDateTime;

use super::{
    Identity, TlsConfig,
    certificate::Certificate,
    revocation::{Revocations, Revoked},
};
use crate::{Clock as _, SystemClock};

const CERTIFICATE: &str = "authority.pem";
const REVOKED: &str = "revoked.pem";
const KEY: &str = "authority.key";
/// How much earlier than it is issued a certificate is good.
const EARLIER: SignedDuration = SignedDuration::from_mins(5);

/// When a list of revocation says that the next one comes: whenever something is taken back, so long after.
const NEXT_LIST: SignedDuration = SignedDuration::from_hours(24 * 3650);

/// How long what is temporary lasts.
const TEMPORARY_DAYS: u32 = 30;

/// From when to when a certificate is good.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// From this instant …
    pub from: Timestamp,
    /// … to this.
    pub until: Timestamp,
}

impl Validity {
    /// So many days from now on, and the few minutes before.
    #[must_use]
    pub fn days(now: Timestamp, days: u32) -> Self {
        let until = now.saturating_add(SignedDuration::from_hours(24 * i64::from(days)));
        let from = now.saturating_sub(EARLIER);
        Self { from: from.unwrap_or(Timestamp::MIN), until: until.unwrap_or(Timestamp::MAX) }
    }
}

/// An authority that issues certificates into its folder.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes one in a folder, and the folder where it is not there.
    ///
    /// # Errors
    /// `AlreadyExists` when there is one: what it has issued would be believed no more.
    pub fn create(folder: &Path, validity: Validity) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(|error| unwritten(folder, &error))?;
        if folder.join(KEY).exists() || folder.join(CERTIFICATE).exists() {
            let problem = format!("{} has an authority already", folder.display());
            return Err(Error::new(ErrorKind::AlreadyExists, problem, "use it, or name another folder"));
        }
        let mut wanted = parameters(validity)?;
        wanted.distinguished_name.push(DnType::CommonName, "Musubi private authority");
        wanted.subject_alt_names.clear();
        wanted.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        wanted.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(|error| unmade(&error))?;
        let certificate = wanted.self_signed(&key).map_err(|error| unmade(&error))?;
        write(&folder.join(KEY), &key.serialize_pem())?;
        write(&folder.join(CERTIFICATE), &certificate.pem())?;
        Ok(Self { folder: folder.to_owned(), issuer: Issuer::new(wanted, key) })
    }

    /// Makes one for what lives for a while on this machine: a demo, a measurement, a test.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn temporary(folder: &Path) -> Result<Self, Error> {
        Self::create(folder, Validity::days(SystemClock.now(), TEMPORARY_DAYS))
    }

    /// The one that a folder has, or a [temporary](Self::temporary) one that it gets.
    ///
    /// # Errors
    /// As [`Self::open`] and [`Self::create`].
    pub fn of(folder: &Path) -> Result<Self, Error> {
        if folder.join(KEY).exists() { Self::open(folder) } else { Self::temporary(folder) }
    }

    /// Opens the one that a folder has.
    ///
    /// # Errors
    /// When it has none, or its files can't be used.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let read = |name: &str| {
            fs::read_to_string(folder.join(name)).map_err(|error| {
                let problem = format!("{} can not be read ({})", folder.join(name).display(), error.kind());
                Error::invalid("--dir", problem, "make an authority there: musubi certs init")
            })
        };
        let spoilt = |_| Error::invalid("--dir", "holds an authority that can not be used", "make a new one");
        let key = KeyPair::from_pem(&read(KEY)?).map_err(spoilt)?;
        let issuer = Issuer::from_ca_cert_pem(&read(CERTIFICATE)?, key).map_err(spoilt)?;
        Ok(Self { folder: folder.to_owned(), issuer })
    }

    /// Issues a certificate for a party that is called at these hosts, DNS names or IP addresses, this machine's besides. An
    /// earlier one of the same party is replaced; whoever uses its files takes the new one by itself.
    ///
    /// # Errors
    /// When a host can't stand in a certificate, or the folder can't be written to.
    pub fn issue(&self, party: &Caller, hosts: &[String], validity: Validity) -> Result<TlsConfig, Error> {
        let mut wanted = parameters(validity)?;
        let uri = party.uri().try_into().map_err(|error: rcgen::Error| unmade(&error))?;
        wanted.subject_alt_names.push(SanType::URI(uri));
        for host in hosts {
            wanted.subject_alt_names.push(match host.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(dns_name(host)?),
            });
        }
        wanted.use_authority_key_identifier_extension = true;
        wanted.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        wanted.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().map_err(|error| unmade(&error))?;
        let certificate = wanted.signed_by(&key, &self.issuer).map_err(|error| unmade(&error))?;
        let files = files(&self.folder, party);
        write(&files.key, &key.serialize_pem())?;
        write(&files.certificate, &certificate.pem())?;
        Ok(files)
    }

    /// Takes a party's present certificate back; its files stay until another is issued. Gives the file of the list, which every node
    /// needs that names it in `tls.revoked`. The same again changes nothing.
    ///
    /// # Errors
    /// When the party has no certificate in the folder, or the folder can't be written to.
    pub fn revoke(&self, party: &Caller, now: Timestamp) -> Result<PathBuf, Error> {
        let file = files(&self.folder, party).certificate;
        let pem = fs::read(&file).map_err(|error| {
            let problem = format!("{} can not be read ({})", file.display(), error.kind());
            Error::invalid("PARTY", problem, "name a party of `musubi certs list`")
        })?;
        let Certificate { serial, .. } = Certificate::read_pem(&pem)?;
        let mut revoked = self.revocations()?;
        let path = self.folder.join(REVOKED);
        if revoked.name(&serial) {
            return Ok(path);
        }
        revoked.revoked.push(Revoked { serial, since: now });
        let entries = revoked.revoked.into_iter().map(|Revoked { serial, since }| {
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: instant(since)?,
                reason_code: None,
                invalidity_date: None,
            })
        });
        let revoked_certs = entries.collect::<Result<Vec<_>, Error>>()?;
        let list = CertificateRevocationListParams {
            this_update: instant(now.saturating_sub(EARLIER).unwrap_or(Timestamp::MIN))?,
            next_update: instant(now.saturating_add(NEXT_LIST).unwrap_or(Timestamp::MAX))?,
            crl_number: SerialNumber::from(revoked_certs.len() as u64),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list =
            list.signed_by(&self.issuer).and_then(|list| list.pem()).map_err(|error| unmade(&error))?;
        write(&path, &list)?;
        Ok(path)
    }

    /// What was taken back so far.
    ///
    /// # Errors
    /// When the list can't be read.
    pub fn revocations(&self) -> Result<Revocations, Error> {
        revocations(&self.folder)
    }

    /// Issues a certificate for this machine, good as long as a [temporary](Self::temporary) authority.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub fn issue_temporary(&self, party: &Caller) -> Result<TlsConfig, Error> {
        self.issue(party, &[], Validity::days(SystemClock.now(), TEMPORARY_DAYS))
    }

    /// The same, ready to call and to be called.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub fn identity(&self, party: &Caller) -> Result<Identity, Error> {
        Identity::load(&self.issue_temporary(party)?)
    }
}

fn dns_name(host: &str) -> Result<Ia5String, Error> {
    let name = DnsName::try_from(host).ok().and_then(|_| Ia5String::try_from(host).ok());
    name.ok_or_else(|| {
        let problem = format!("{} is no name of a host", shape(host));
        Error::invalid("--host", problem, "write a DNS name or an IP address")
    })
}

/// What a folder's authority has taken back so far.
///
/// # Errors
/// When the list can't be read.
pub fn revocations(folder: &Path) -> Result<Revocations, Error> {
    let path = folder.join(REVOKED);
    match fs::read(&path) {
        Ok(pem) => Revocations::read_pem(&pem).map_err(|error| error.at("--dir")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Revocations::default()),
        Err(error) => {
            let problem = format!("{} can not be read ({})", path.display(), error.kind());
            Err(Error::invalid("--dir", problem, "make it readable"))
        }
    }
}

/// Where a folder's authority puts what it issues to a party.
#[must_use]
pub fn files(folder: &Path, party: &Caller) -> TlsConfig {
    let name = party.to_string().replace('/', "-");
    TlsConfig {
        certificate: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}.key")),
        authorities: folder.join(CERTIFICATE),
        revoked: None,
        name: vec![],
    }
}

/// Good from and until, and this machine's names.
fn parameters(validity: Validity) -> Result<CertificateParams, Error> {
    let mut wanted = CertificateParams::new(vec!["localhost".to_owned()]).map_err(|error| unmade(&error))?;
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    wanted.subject_alt_names.extend(loopback.map(SanType::IpAddress));
    wanted.distinguished_name = rcgen::DistinguishedName::new();
    (wanted.not_before, wanted.not_after) = (instant(validity.from)?, instant(validity.until)?);
    Ok(wanted)
}

fn instant(at: Timestamp) -> Result<OffsetDateTime, Error> {
    OffsetDateTime::from_unix_timestamp(at.as_second())
        .map_err(|_| Error::invalid("--days", "ends after the year 9999", "give fewer"))
}

/// Written beside and moved, so that nobody reads half of it.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&beside, path))
        .map_err(|error| unwritten(path, &error))
}

fn unwritten(path: &Path, error: &std::io::Error) -> Error {
    let problem = format!("{} can not be written ({})", path.display(), error.kind());
    Error::invalid("--dir", problem, "name a folder that can be written to")
}

fn unmade(error: &rcgen::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("the certificate can not be made: {error}"), "")
}
