//! The doors that are none of gRPC, where anybody may knock: a webhook of RCS Business Messaging, and a company's console. What is forged, spoilt, too old or
//! asked for by another site's page changes nothing; the audit counts it.

use std::collections::BTreeMap;

use aws_lc_rs::hmac::{HMAC_SHA512, Key, sign};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::{SignedDuration, Timestamp};
use musubi_runtime::{Clock as _, SystemClock};
use musubi_tests::processes::CLIENT_TOKEN;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::world::{BANK, NAMI, World};

/// Whom the forged events are about: nobody yet.
const NUMBER: &str = "+818044440001";

/// How often the audit has to tell of something, by its words.
pub(super) type Counts = BTreeMap<&'static str, u64>;

pub(super) fn signature(token: &str, data: &[u8]) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA512, token.as_bytes()), data).as_ref().to_vec()
}

fn follow(at: Timestamp) -> Vec<u8> {
    let event = json!({
        "agentId": format!("{BANK}-agent"), "senderPhoneNumber": NUMBER, "sendTime": at.to_string(),
        "eventType": "SUBSCRIBE", "eventId": "forged",
    });
    serde_json::to_vec(&event).unwrap()
}

pub(super) fn envelope(data: &[u8]) -> Vec<u8> {
    let message = json!({ "data": BASE64_STANDARD.encode(data), "messageId": "1" });
    serde_json::to_vec(&json!({ "message": message })).unwrap()
}

/// Posts what the platform never would.
pub(super) async fn at_the_webhook(world: &World) -> Counts {
    let (client, address) = (Client::new(), world.system.webhook(NAMI));
    let before = world.system.quiet().await;
    let post = async |signature: &[u8], body: Vec<u8>| {
        let signature = BASE64_STANDARD.encode(signature);
        let request = client.post(&address).header("X-Goog-Signature", signature).body(body);
        request.send().await.unwrap().status()
    };
    let now = SystemClock.now();
    let data = follow(now);
    let good = signature(CLIENT_TOKEN, &data);
    let mut counts = Counts::new();
    let mut refused = async |why, status, signature: &[u8], body: Vec<u8>| {
        assert_eq!(post(signature, body).await, status, "{why}");
        *counts.entry(why).or_default() += 1;
    };
    let forbidden = StatusCode::FORBIDDEN;
    for bit in 0..64 {
        let (mut spoilt, mut mac) = (data.clone(), good.clone());
        spoilt[bit % data.len()] ^= 1 << (bit % 8);
        refused("the signature is not good", forbidden, &good, envelope(&spoilt)).await;
        mac[bit] ^= 1;
        refused("the signature is not good", forbidden, &mac, envelope(&data)).await;
    }
    let another = signature("another carrier's client token", &data);
    refused("the signature is not good", forbidden, &another, envelope(&data)).await;
    let pretty: Value = serde_json::from_slice(&data).unwrap();
    let pretty = serde_json::to_vec_pretty(&pretty).unwrap();
    refused("the signature is not good", forbidden, &good, envelope(&pretty)).await;
    let nobodys = String::from_utf8(data.clone()).unwrap().replace(&format!("{BANK}-agent"), "nobodys");
    let signed = signature(CLIENT_TOKEN, nobodys.as_bytes());
    refused("the agent is not the signature's", forbidden, &signed, envelope(nobodys.as_bytes())).await;
    let challenge = json!({ "clientToken": "guessed", "secret": "1" }).to_string();
    refused("the client token is not known", forbidden, &good, challenge.into_bytes()).await;
    let half = envelope(&data)[..40].to_vec();
    refused("no envelope as JSON", StatusCode::BAD_REQUEST, &good, half).await;
    // Signed, and of no effect all the same: acknowledged, or the platform would repeat it for a week.
    let old = follow(now - SignedDuration::from_hours(8 * 24 + 1));
    let signed = signature(CLIENT_TOKEN, &old);
    refused("an event of more than a week ago", StatusCode::OK, &signed, envelope(&old)).await;
    assert!(before == world.system.stored(), "a forged report has changed something");
    counts
}

/// Asks the console for changes, as pages of other sites make a browser ask. Gives how often.
pub(super) async fn at_the_console(world: &World) -> u64 {
    let (client, console) = (Client::new(), world.system.pages(BANK));
    let before = world.system.quiet().await;
    let mut count = 0;
    for path in ["/sign-in", "/sign-out", "/settings/sessions/end", "/nowhere"] {
        for (header, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.test"),
        ] {
            let request = client.post(format!("{console}{path}")).header(header, value);
            let status = request.body("name=sato").send().await.unwrap().status();
            assert_eq!(status, StatusCode::FORBIDDEN, "{path}, {header}: {value}");
            count += 1;
        }
    }
    assert!(before == world.system.stored(), "another site's page has changed something");
    count
}
