//! Who may call: service accounts and their public keys, and the simulator's own service account, which it gives out as a file.
//!
//! Surprising: the file is written at each start, because it says where the simulator is, and its key stays the same. Beside it a token
//! is written that is good for a month, for who has no library at hand.

use std::{
    collections::HashMap, fmt::Write as _, fs::OpenOptions, io::Write as _,
    os::unix::fs::OpenOptionsExt as _, path::Path,
};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use jsonwebtoken::{Algorithm, DecodingKey};
use musubi_domain::{Error, ErrorKind};
use musubi_runtime::entropy;
use musubi_storage::carrier::CarrierStore;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    config::{RbmConfig, ServiceAccount},
    token::Tokens,
};

/// The project that the simulator says it is.
pub(crate) const PROJECT: &str = "musubi-rbm";
/// Its number.
pub(crate) const PROJECT_NUMBER: &str = "100000000001";
/// The simulator's own service account.
const CLIENT_EMAIL: &str = "agent@musubi-rbm.iam.gserviceaccount.com";
/// By which names the store keeps the simulator's keys.
const OWN_KEY: &str = "service-account";
/// See [`OWN_KEY`].
const TOKEN_KEY: &str = "tokens";

/// Believed service accounts: by their address, the keys and how they sign.
pub(crate) type Accounts = HashMap<String, Vec<(Algorithm, DecodingKey)>>;

/// Reads the keys that are configured, and makes the simulator's own when it gives one out.
pub(crate) async fn open(
    config: &RbmConfig,
    store: &dyn CarrierStore,
) -> Result<(Tokens, Option<Own>), Error> {
    let mut accounts = Accounts::new();
    for (place, ServiceAccount { client_email, public_key }) in config.service_account.iter().enumerate() {
        let key = read(public_key).map_err(|error| {
            let field = format!("rbm.service_account[{place}].public_key");
            error.at(field)
        })?;
        accounts.entry(client_email.clone()).or_default().push(key);
    }
    let own = match &config.service_account_file {
        None => None,
        Some(path) => {
            let kept = match store.find_agent_key(OWN_KEY).await.map_err(Error::from)? {
                Some(kept) => kept,
                None => store.put_agent_key(OWN_KEY, &generate()?).await.map_err(Error::from)?,
            };
            let own = Own::new(kept, path)?;
            accounts.entry(CLIENT_EMAIL.to_owned()).or_default().push(own.public()?);
            Some(own)
        }
    };
    let secret = store.put_agent_key(TOKEN_KEY, &entropy::bytes::<32>()).await.map_err(Error::from)?;
    Ok((Tokens::new(accounts, &secret, config.strict), own))
}

/// A public key or a certificate, PEM; or a service account's file, of which only the public half is read.
fn read(path: &Path) -> Result<(Algorithm, DecodingKey), Error> {
    let unusable = |problem: String| Error::invalid("", problem, "name a PEM file with a public key");
    let text = std::fs::read_to_string(path)
        .map_err(|error| unusable(format!("{} can not be read ({})", path.display(), error.kind())))?;
    let rsa = DecodingKey::from_rsa_pem(text.as_bytes()).map(|key| (Algorithm::RS256, key));
    let any = rsa.or_else(|_| DecodingKey::from_ec_pem(text.as_bytes()).map(|key| (Algorithm::ES256, key)));
    any.map_err(|_| unusable(format!("{} holds no RSA or P-256 public key", path.display())))
}

fn refused() -> Error {
    Error::new(
        ErrorKind::Internal,
        "the service account's key can not be made",
        "see that the machine gives randomness",
    )
}

fn generate() -> Result<Vec<u8>, Error> {
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| refused())?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| refused())?;
    Ok(der.as_ref().to_vec())
}

/// The simulator's own service account.
pub(crate) struct Own {
    pkcs8: Vec<u8>,
    public: Vec<u8>,
    path: std::path::PathBuf,
}

impl Own {
    fn new(pkcs8: Vec<u8>, path: &Path) -> Result<Self, Error> {
        let pair = KeyPair::from_pkcs8(&pkcs8).map_err(|_| refused())?;
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| refused())?;
        Ok(Self { public: public.as_ref().to_vec(), pkcs8, path: path.to_owned() })
    }

    /// Whose the file is.
    pub(crate) const fn client_email(&self) -> &'static str {
        CLIENT_EMAIL
    }

    fn public(&self) -> Result<(Algorithm, DecodingKey), Error> {
        let pem = pem("PUBLIC KEY", &self.public);
        DecodingKey::from_rsa_pem(pem.as_bytes()).map(|key| (Algorithm::RS256, key)).map_err(|_| refused())
    }

    /// The file, as Google's console gives it out.
    fn document(&self, origin: &str) -> Value {
        let mut key_id = String::new();
        for byte in &Sha256::digest(&self.public)[..20] {
            write!(key_id, "{byte:02x}").unwrap_or_default();
        }
        json!({
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": key_id,
            "private_key": pem("PRIVATE KEY", &self.pkcs8),
            "client_email": CLIENT_EMAIL,
            "client_id": PROJECT_NUMBER,
            "auth_uri": format!("{origin}/auth"),
            "token_uri": format!("{origin}/token"),
            "universe_domain": "googleapis.com",
        })
    }

    /// Writes the file, for its owner's eyes only.
    pub(crate) fn write(&self, origin: &str) -> Result<(), Error> {
        write(&self.path, &format!("{:#}\n", self.document(origin)))
    }

    /// Writes a token beside it, for who calls by hand.
    pub(crate) fn write_token(&self, token: &str) -> Result<(), Error> {
        write(&self.path.with_extension("token"), token)
    }
}

/// For its owner's eyes only.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        let problem = format!("{} can not be written ({})", path.display(), error.kind());
        Error::invalid("rbm.service_account_file", problem, "name a file that can be written")
    })
}

/// DER as PEM (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in BASE64.encode(der).as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}
