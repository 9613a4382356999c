//! A provider of OpenID Connect whose word is whatever a test wants: right, or wrong in one place.
//!
//! It speaks what a real one speaks over HTTP, and holds callers to the code's secrets: the client's and PKCE's. A real one is asked in
//! `tests/browser`, and never lies. Surprising: there is no page to sign in at; a test reads the address that a person would go to.

#![expect(clippy::unwrap_used, reason = "a test's provider that can't go on is a test that fails")]

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use musubi_runtime::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What a company server is called here, and what it proves itself with: both have to be encoded on their way.
pub const CLIENT_ID: &str = "musubi & co";
/// See [`CLIENT_ID`].
pub const CLIENT_SECRET: &str = "proves: the server + 1";
/// Whom the provider stands for, where a test says nothing else.
pub const PERSON: &str = "mori@bank.example";

/// The provider; it ends with its runtime.
#[derive(Clone, Debug)]
pub struct OpenIdProvider {
    origin: String,
    state: Arc<Mutex<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    origin: String,
    published: Vec<Value>,
    grants: HashMap<String, Grant>,
    asked: BTreeMap<&'static str, u32>,
}

#[derive(Clone, Debug)]
struct Grant {
    challenge: String,
    back: String,
    id_token: String,
    info: Value,
}

/// A key to sign with.
#[derive(Clone)]
pub struct SigningKey {
    id: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl SigningKey {
    /// A new one.
    ///
    /// # Panics
    /// For an algorithm that no test needs.
    #[must_use]
    pub fn new(id: &'static str, algorithm: Algorithm) -> Self {
        let key = match algorithm {
            Algorithm::ES256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
                EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref())
            }
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::generate().unwrap();
                EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref())
            }
            Algorithm::RS256 => {
                let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
                let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
                let text = BASE64_STANDARD.encode(der.as_ref());
                let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
                EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()
            }
            Algorithm::HS256 => EncodingKey::from_secret(CLIENT_SECRET.as_bytes()),
            other @ (Algorithm::HS384
            | Algorithm::HS512
            | Algorithm::ES384
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512
            | _) => panic!("no test signs with {other:?}"),
        };
        Self { id, algorithm, key }
    }
}

/// What a person would come back with.
#[derive(Clone, Debug)]
pub struct Back {
    /// The sign-in's.
    pub state: String,
    /// To be redeemed.
    pub code: String,
}

/// A token that is about to be signed.
pub struct Word {
    /// What it says.
    pub claims: Value,
    /// What its header says beside algorithm and key.
    pub header: Header,
    /// What signs it.
    pub key: SigningKey,
    /// What the finished token is made into.
    pub spoil: fn(String) -> String,
    /// What the provider says when it is asked about the person.
    pub info: Value,
}

impl OpenIdProvider {
    /// At a port of its own.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(Told { origin: origin.clone(), ..Told::default() }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/person", get(person))
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { origin, state }
    }

    /// Its address, which is its name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Publishes these keys, and no others any more.
    ///
    /// # Panics
    /// When a key has no public side.
    pub fn publish(&self, keys: &[&SigningKey]) {
        let published = keys.iter().map(|key| {
            let mut jwk =
                serde_json::to_value(Jwk::from_encoding_key(&key.key, key.algorithm).unwrap()).unwrap();
            jwk["kid"] = json!(key.id);
            jwk["use"] = json!("sig");
            jwk
        });
        // What is for other things is there, too, and in no server's way.
        let others = [
            json!({ "kty": "unheard-of", "kid": "x" }),
            json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "hs" }),
        ];
        self.state.lock().unwrap().published = published.chain(others).collect();
    }

    /// How often it was asked for its keys, or for a token.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn asked(&self, what: &str) -> u32 {
        self.state.lock().unwrap().asked.get(what).copied().unwrap_or_default()
    }

    /// Lets a person in who was sent to `url`, and gives its word as `edit` wants it.
    ///
    /// # Panics
    /// When the address lacks what it has to have.
    pub fn let_in(&self, url: &str, key: &SigningKey, edit: impl FnOnce(&mut Word)) -> Back {
        let asked = query(url);
        assert_eq!(
            (asked["response_type"].as_str(), asked["code_challenge_method"].as_str()),
            ("code", "S256")
        );
        assert_eq!(asked["client_id"], CLIENT_ID);
        let now = SystemClock.now().as_second();
        let claims = json!({
            "iss": self.origin, "sub": "account-of-mori", "aud": CLIENT_ID, "iat": now, "exp": now + 300, "auth_time": now,
            "nonce": asked["nonce"], "email": PERSON, "email_verified": true, "amr": ["pwd", "mfa"],
        });
        let header = Header { kid: Some(key.id.to_owned()), ..Header::new(key.algorithm) };
        let mut word = Word { claims, header, key: key.clone(), spoil: |token| token, info: Value::Null };
        edit(&mut word);
        let id_token = (word.spoil)(jsonwebtoken::encode(&word.header, &word.claims, &word.key.key).unwrap());
        let code = format!("code-{}", asked["state"]);
        let grant = Grant {
            challenge: asked["code_challenge"].clone(),
            back: asked["redirect_uri"].clone(),
            id_token,
            info: word.info,
        };
        self.state.lock().unwrap().grants.insert(code.clone(), grant);
        Back { state: asked["state"].clone(), code }
    }
}

/// The values of an address.
fn query(url: &str) -> HashMap<String, String> {
    let (_, query) = url.split_once('?').unwrap();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let hex: Vec<u8> = rest.by_ref().take(2).collect();
                u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).unwrap()
}

type Shared = State<Arc<Mutex<Told>>>;

async fn configuration(State(told): Shared) -> Json<Value> {
    let told = told.lock().unwrap();
    let at = |path: &str| format!("{}/{path}", told.origin);
    Json(json!({
        "issuer": told.origin, "authorization_endpoint": at("in"), "token_endpoint": at("token"),
        "jwks_uri": at("keys"), "userinfo_endpoint": at("person"),
    }))
}

async fn keys(State(told): Shared) -> Json<Value> {
    let mut told = told.lock().unwrap();
    *told.asked.entry("keys").or_default() += 1;
    Json(json!({ "keys": told.published }))
}

async fn token(
    State(told): Shared,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let mut told = told.lock().unwrap();
    *told.asked.entry("token").or_default() += 1;
    let basic = headers[AUTHORIZATION].to_str().unwrap().strip_prefix("Basic ").unwrap().to_owned();
    let basic = String::from_utf8(BASE64_STANDARD.decode(basic).unwrap()).unwrap();
    let (id, secret) = basic.split_once(':').unwrap();
    if (decoded(id).as_str(), decoded(secret).as_str()) != (CLIENT_ID, CLIENT_SECRET) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let refused = || (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))).into_response();
    let Some(grant) = told.grants.remove(&form["code"]) else { return refused() };
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, form["code_verifier"].as_bytes());
    let is_own = BASE64_URL_SAFE_NO_PAD.encode(digest) == grant.challenge;
    if !is_own || form["redirect_uri"] != grant.back || form["grant_type"] != "authorization_code" {
        return refused();
    }
    let access_token = format!("access-{}", form["code"]);
    let answer = json!({ "id_token": grant.id_token, "access_token": access_token, "token_type": "Bearer" });
    told.grants.insert(access_token, grant);
    Json(answer).into_response()
}

async fn person(State(told): Shared, headers: HeaderMap) -> Response {
    let told = told.lock().unwrap();
    let token = headers[AUTHORIZATION].to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    let grant = told.grants.get(&token);
    grant.map_or_else(
        || StatusCode::UNAUTHORIZED.into_response(),
        |grant| Json(grant.info.clone()).into_response(),
    )
}
