//! Facts about the page: what it shows and what it hides, who may act on it, and what that does.

use serde_json::{Value, json};

use super::{super::*, AGENT, Rbm, kinds, text};

impl Rbm {
    async fn page(&self) -> String {
        self.client.get(self.url("/")).send().await.unwrap().text().await.unwrap()
    }

    /// Sends the form as a browser would, from a page of this site or another.
    async fn act(&self, form: &[(&str, &str)], site: &str) -> u16 {
        let body: Vec<_> = form
            .iter()
            .map(|(name, value)| {
                let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
                format!("{name}={value}")
            })
            .collect();
        let request = self.client.post(self.url("/phone")).header("sec-fetch-site", site);
        let request =
            request.header("content-type", "application/x-www-form-urlencoded").body(body.join("&"));
        request.send().await.unwrap().status().as_u16()
    }
}

#[tokio::test]
async fn the_page_shows_what_happened_and_neither_numbers_nor_texts_of_people() {
    let rbm = Rbm::start().await;
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    assert_eq!(rbm.send(1, "<script>", text("秘密")).await.0, 200);
    rbm.told(1).await;
    let page =
        eventually(|| async { Some(rbm.page().await).filter(|page| page.contains("subscribed")) }).await;
    for shown in [
        AGENT,
        "みなと銀行",
        "LAUNCHED",
        "&#60;script&#62;",
        "waits",
        "+81…01",
        "challenge",
        "verified",
        "200 OK",
    ] {
        assert!(page.contains(shown), "{shown} is missing in {page}");
    }
    for hidden in ["秘密", &msisdn(1), "<script>", TOKEN_OF_NOBODY, "/hook"] {
        assert!(!page.contains(hidden), "{hidden} is shown");
    }
    let policy = rbm.client.get(rbm.url("/state")).send().await.unwrap();
    assert!(policy.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    assert_eq!(
        rbm.act(&[("agent", AGENT), ("number", &msisdn(1)), ("what", "subscribe")], "same-origin").await,
        400
    );
}

/// The webhook's secret never leaves the configuration.
const TOKEN_OF_NOBODY: &str = super::TOKEN;

#[tokio::test]
async fn a_person_acts_for_a_phone_of_the_simulators_own() {
    let rbm = Rbm::start_with(|section| section["phones"] = json!(true)).await;
    let number = msisdn(12_222);
    let asked = json!({ "contentMessage": { "text": "はい?", "suggestions": [
        { "action": { "text": "開く", "postbackData": "o", "openUrlAction": { "url": "https://a.example/" } } },
    ] } });
    let id = message_id(1);
    assert_eq!(rbm.send(12_222, &id, asked).await.0, 200);
    rbm.told(1).await;
    let page = rbm.page().await;
    assert!(page.contains("はい?") && page.contains(&number) && page.contains("開く"), "{page}");

    let act = |what: &'static str, more: Vec<(&'static str, String)>, site: &'static str| {
        let mut form =
            vec![("agent", AGENT.to_owned()), ("number", number.clone()), ("what", what.to_owned())];
        form.extend(more);
        let rbm = &rbm;
        async move {
            let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
            rbm.act(&form, site).await
        }
    };
    let say = |text: &str| vec![("text", text.to_owned())];
    assert_eq!(act("type", say("こんにちは"), "cross-site").await, 403, "another site's page");
    for (what, more) in [
        ("type", say("こんにちは")),
        ("tap", vec![("text", "開く".to_owned()), ("postback", "o".to_owned()), ("message", id.clone())]),
        ("subscribe", vec![]),
        ("unsubscribe", vec![]),
    ] {
        // A redirection to the page, which the client follows.
        assert_eq!(act(what, more, "same-origin").await, 200, "{what}");
    }
    let told: Vec<Value> = rbm.told(5).await;
    assert_eq!(kinds(&told), ["text", "suggestionResponse", "SUBSCRIBE", "text", "UNSUBSCRIBE"]);
    assert_eq!(told[0]["text"], "こんにちは");
    assert_eq!(told[1]["suggestionResponse"]["type"], "ACTION");
    assert_eq!(act("type", say(""), "same-origin").await, 400);
    assert_eq!(act("jump", vec![], "same-origin").await, 422);

    assert_eq!(act("subscribe", vec![], "same-origin").await, 200);
    assert_eq!(act("away", vec![], "same-origin").await, 200);
    assert_eq!(rbm.send(12_222, "later", text("a")).await.0, 200);
    assert_eq!(kinds(&rbm.told(1).await), ["SUBSCRIBE"]);
    assert!(rbm.hook.is_silent().await);
    assert_eq!(act("back", vec![], "same-origin").await, 200);
    assert_eq!(rbm.told(1).await[0]["messageId"], "later");
}
