//! Assertions of authorities: as they come, and with the same bytes as claims under a good signature.
//!
//! Surprising: claims could hardly have a good nonce by chance, so `NONCE` in them stands for one.

use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey};
use musubi_domain::{
    id::{CarrierId, DialogueId, FollowerId},
    identity::IdentityMethod,
    postback::{Nonce, TokenKey},
};
use musubi_information_server::{
    confirmation::verifier::{Assertion, TrustedKey, Verifiers, key_id},
    gateway::VerificationKey,
};

const METHOD: IdentityMethod = IdentityMethod::Jpki;
const HEADER: &str = r#"{"alg":"ES256","kid":"k"}"#;
/// 2026-11-23 00:00:00 UTC.
const NOW: i64 = 1_795_392_000;

struct World {
    carrier: CarrierId,
    now: Timestamp,
    nonce: Nonce,
    sealed: String,
    signing: EncodingKey,
    trusted: TrustedKey,
    verifiers: Verifiers,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let pem = BASE64_STANDARD.encode(public.as_ref());
    let public_key_pem = format!("-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n");
    let carrier: CarrierId = "north".parse().unwrap();
    let published = VerificationKey {
        key_id: "k".to_owned(),
        issuer: "https://jpki.test".to_owned(),
        method: METHOD,
        public_key_pem,
    };
    let tokens = TokenKey::new(&[7; 32]).unwrap();
    let nonce =
        Nonce { dialogue: DialogueId::derive(FollowerId::from_bytes([5; 16]), 0), step: 2, method: METHOD };
    World {
        now: Timestamp::from_second(NOW).unwrap(),
        sealed: tokens.seal_nonce(&nonce),
        nonce,
        signing: EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref()),
        trusted: TrustedKey::new(carrier.clone(), &published).unwrap(),
        verifiers: Verifiers::over("https://verify.test/{method}", &tokens),
        carrier,
    }
});

pub(super) fn hold(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _any = key_id(&text);
    assert!(WORLD.check(&text).is_none(), "nobody signed this");
    let claims = text.replace("NONCE", &WORLD.sealed);
    let [header, body] = [HEADER, &claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    let message = format!("{header}.{body}");
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &WORLD.signing, Algorithm::ES256).unwrap();
    let signed = format!("{message}.{signature}");
    if let Ok(id) = key_id(&signed) {
        assert_eq!(id, "k");
        if let Some(assertion) = WORLD.check(&signed) {
            assert_eq!((assertion.nonce, assertion.identity.method), (WORLD.nonce, METHOD));
        }
    }
}

impl World {
    fn check(&self, assertion: &str) -> Option<Assertion> {
        self.verifiers.of(METHOD).unwrap().check(assertion, &self.trusted, &self.carrier, self.now).ok()
    }
}
