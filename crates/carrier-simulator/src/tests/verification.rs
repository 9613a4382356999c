//! Facts about authorities.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use musubi_proto::{
    carrier::v1::{
        AuthenticateRequest, Authentication, ListVerificationKeysRequest, Person, RegisterPersonsRequest,
        VerificationKey,
    },
    r#type::v1::{IdentityMethod, ItemError},
};
use tonic::{Code, Status};
use uuid::Uuid;

use super::{Carrier, msisdn};

fn person(credential_id: &str, method: IdentityMethod, last: u32) -> Person {
    Person {
        credential_id: credential_id.to_owned(),
        method: method.into(),
        msisdn: msisdn(last),
        pin: "1234".to_owned(),
        name: "山田 花子".to_owned(),
        name_kana: if method == IdentityMethod::Document {
            String::new()
        } else {
            "ヤマダ ハナコ".to_owned()
        },
        birth_date: "1980-02-03".to_owned(),
        address: "東京都千代田区一番町1-1".to_owned(),
    }
}

fn visit(method: &str, credential_id: &str, last: u32) -> Authentication {
    Authentication {
        url: format!("https://{method}.kumo.musubi.test/verify?aud=musubi&nonce=n%2F{last}"),
        msisdn: msisdn(last),
        credential_id: credential_id.to_owned(),
        pin: "1234".to_owned(),
    }
}

impl Carrier {
    async fn register(&self, persons: Vec<Person>) -> Result<(), Status> {
        self.pages.clone().register_persons(RegisterPersonsRequest { persons }).await.map(drop)
    }

    async fn authenticate(&self, batch: u128, authentications: Vec<Authentication>) -> Vec<ItemError> {
        let request = AuthenticateRequest { batch_id: Uuid::from_u128(batch).to_string(), authentications };
        self.pages.clone().authenticate(request).await.unwrap().into_inner().refused
    }

    async fn public_keys(&self) -> Vec<VerificationKey> {
        self.keys
            .clone()
            .list_verification_keys(ListVerificationKeysRequest {})
            .await
            .unwrap()
            .into_inner()
            .keys
    }
}

/// The claims, when the key that the header names signed them.
fn claims(keys: &[VerificationKey], assertion: &str) -> serde_json::Value {
    let header = decode_header(assertion).unwrap();
    let key = keys.iter().find(|key| Some(&key.key_id) == header.kid.as_ref()).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&["musubi"]);
    validation.set_issuer(&[&key.issuer]);
    validation.validate_exp = false;
    let decoding = DecodingKey::from_ec_pem(key.public_key_pem.as_bytes()).unwrap();
    decode(assertion, &decoding, &validation).unwrap().claims
}

#[tokio::test]
async fn each_authority_signs_with_its_key_what_it_knows() {
    let carrier = Carrier::start().await;
    use IdentityMethod::{Carrier as Contract, Document, Jpki};
    let persons = vec![person("card", Jpki, 1), person("contract", Contract, 2), person("card", Document, 3)];
    carrier.register(persons).await.unwrap();
    let visits =
        vec![visit("jpki", "card", 1), visit("carrier", "contract", 2), visit("document", "card", 3)];
    assert!(carrier.authenticate(1, visits).await.is_empty());
    let keys = carrier.public_keys().await;
    assert!(keys.iter().map(VerificationKey::method).eq([Jpki, Contract, Document]));
    let assertions = carrier.information.assertions(3).await;
    let now = carrier.now().as_second();
    for (assertion, (method, last, assurance)) in
        assertions.iter().zip([("jpki", 1, "high"), ("carrier", 2, "high"), ("document", 3, "low")])
    {
        let mut claims = claims(&keys, assertion);
        let jti = claims["jti"].take();
        assert!(Uuid::try_parse(jti.as_str().unwrap()).is_ok());
        let mut expected = serde_json::json!({
            "iss": format!("https://{method}.kumo.musubi.test"), "aud": "musubi", "nonce": format!("n/{last}"),
            "jti": null, "iat": now, "exp": now + 600, "phone_number": msisdn(last), "method": method,
            "assurance": assurance, "name": "山田 花子", "name_kana": "ヤマダ ハナコ", "birth_date": "1980-02-03",
            "address": "東京都千代田区一番町1-1",
        });
        if method == "document" {
            expected.as_object_mut().unwrap().remove("name_kana");
        }
        assert_eq!(claims, expected);
    }
}

#[tokio::test]
async fn who_is_refused_is_told_by_place_and_gets_no_assertion() {
    let carrier = Carrier::start().await;
    carrier.register(vec![person("card", IdentityMethod::Jpki, 1)]).await.unwrap();
    let wrong = [
        (
            Authentication {
                url: "https://jpki.nami.musubi.test/verify?aud=a&nonce=n".to_owned(),
                ..visit("jpki", "card", 1)
            },
            "url",
        ),
        (Authentication { msisdn: "1".to_owned(), ..visit("jpki", "card", 1) }, "msisdn"),
        (visit("jpki", "another", 1), "credential_id"),
        (visit("carrier", "card", 1), "credential_id"),
        (visit("jpki", "card", 2), "credential_id"),
        (Authentication { pin: "1235".to_owned(), ..visit("jpki", "card", 1) }, "pin"),
        (Authentication { pin: String::new(), ..visit("jpki", "card", 1) }, "pin"),
    ];
    let mut visits: Vec<_> = wrong.iter().map(|(visit, _)| visit.clone()).collect();
    visits.push(visit("jpki", "card", 1));
    let refused = carrier.authenticate(1, visits).await;
    assert_eq!(refused.iter().map(|item| item.index).collect::<Vec<_>>(), (0..7).collect::<Vec<_>>());
    for (item, (_, field)) in refused.iter().zip(wrong) {
        assert_eq!(item.field, field);
    }
    assert_eq!(carrier.information.assertions(1).await.len(), 1);
}

#[tokio::test]
async fn a_repeated_batch_is_answered_alike_and_signs_nothing() {
    let carrier = Carrier::start().await;
    carrier
        .register((0..1_000).map(|last| person(&last.to_string(), IdentityMethod::Jpki, last)).collect())
        .await
        .unwrap();
    let visits = || {
        let mut visits: Vec<_> = (0..1_000).map(|last| visit("jpki", &last.to_string(), last)).collect();
        visits[500].pin = "wrong".to_owned();
        visits
    };
    let first = carrier.authenticate(1, visits()).await;
    let again = carrier.authenticate(1, visits()).await;
    assert_eq!(first.iter().map(|item| item.index).collect::<Vec<_>>(), [500]);
    assert!(first == again);
    carrier.authenticate(2, vec![visit("jpki", "7", 7)]).await;
    let assertions = carrier.information.assertions(1_000).await;
    assert_eq!(assertions.len(), 1_000);
    let keys = carrier.public_keys().await;
    let jtis: std::collections::HashSet<_> =
        assertions.iter().map(|it| claims(&keys, it)["jti"].to_string()).collect();
    assert_eq!(jtis.len(), 1_000, "each has an id of its own");
}

#[tokio::test]
async fn a_bad_person_is_named_and_nobody_is_registered() {
    let carrier = Carrier::start().await;
    let good = || person("card", IdentityMethod::Jpki, 1);
    for (bad, field) in [
        (Person { credential_id: String::new(), ..good() }, "credential_id"),
        (Person { credential_id: "c".repeat(101), ..good() }, "credential_id"),
        (Person { method: 0, ..good() }, "method"),
        (Person { method: 9, ..good() }, "method"),
        (Person { msisdn: "090".to_owned(), ..good() }, "msisdn"),
        (Person { pin: "123".to_owned(), ..good() }, "pin"),
        (Person { pin: "1".repeat(17), ..good() }, "pin"),
        (Person { name: "名".repeat(201), ..good() }, "name"),
        (Person { address: "東\0京".to_owned(), ..good() }, "address"),
    ] {
        let status = carrier.register(vec![good(), bad]).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(&format!("persons[1].{field}: ")), "{}", status.message());
    }
    assert_eq!(carrier.authenticate(1, vec![visit("jpki", "card", 1)]).await.len(), 1);
    let request = AuthenticateRequest { batch_id: "1".to_owned(), authentications: Vec::new() };
    let status = carrier.pages.clone().authenticate(request).await.err().unwrap();
    assert_eq!(status.code(), Code::InvalidArgument);
}
