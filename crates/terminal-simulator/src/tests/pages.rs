//! The pages over real HTTP, with a peer that plays carrier: what somebody who holds a phone does there, and what is refused.
//! How they look and that nothing runs is tried in a real browser, in `tests/browser`.

use http::StatusCode;
use reqwest::{Client, Response, redirect::Policy};

use super::*;

/// A browser without a script, which follows nothing by itself.
struct Browser {
    client: Client,
    origin: String,
}

impl Browser {
    fn at(phones: &Phones) -> Self {
        let headers = [("sec-fetch-site", "same-origin"), ("accept-language", "en")];
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let client =
            Client::builder().redirect(Policy::none()).default_headers(headers.into_iter().collect());
        Self { client: client.build().unwrap(), origin: phones.origin.clone() }
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let answer = self.client.get(format!("{}{path}", self.origin)).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Response {
        let form: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let request = self.client.post(format!("{}{path}", self.origin)).body(form.join("&"));
        request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap()
    }

    /// Does something, which leads back to where the phone shows it.
    async fn does(&self, path: &str, form: &[(&str, &str)]) {
        let answer = self.post(path, form).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}: {}", answer.text().await.unwrap());
    }

    /// Waits until a page shows this.
    async fn until(&self, path: &str, shows: &str) -> String {
        for _ in 0..500 {
            let (_, text) = self.get(path).await;
            if text.contains(shows) {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{path} never shows {shows}")
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

const PERSON: [(&str, &str); 6] = [
    ("phone_number", "080-0000-0001"),
    ("carrier", "kumo"),
    ("official_account", "bank"),
    ("name", "見本　花子"),
    ("birth_date", "1990-01-02"),
    ("account_text", "080-1234567"),
];
const PHONE: &str = "/phones/818000000001";
const ROOM: &str = "/phones/818000000001/with/bank";

async fn start(folder: &Path, peer: &Peer) -> Phones {
    let mut config = config(folder, peer);
    let listen = "127.0.0.1:0".parse().unwrap();
    config.pages = Some(musubi_runtime::http::HttpConfig::plain(listen));
    Phones::start(config).await
}

#[tokio::test]
async fn whoever_holds_a_phone_does_by_hand_what_people_of_stories_do() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().unwrap());
    let mut phones = start(folder.path(), &peer).await;
    let browser = Browser::at(&phones);
    browser.does("/phones", &PERSON).await;
    browser.does(&format!("{ROOM}/follow"), &[]).await;
    let page = browser.until(ROOM, "question の本文").await;
    assert!(page.contains("見本銀行") && page.contains("080-1234567"), "{page}");
    // Nobody answers by themselves, and nothing is seen before somebody looks.
    eventually(|| peer.told(NUMBER).len() > 1).await;
    assert_eq!(peer.told(NUMBER), ["follow", "delivered question-1"]);
    browser.does(&format!("{ROOM}/see?count=1"), &[]).await;
    browser.does(&format!("{ROOM}/tap"), &[("message", "question-1"), ("suggestion", "0")]).await;
    browser.until(ROOM, "account の本文").await;
    browser.does(&format!("{ROOM}/type"), &[("text", " １２３４５６７ ")]).await;
    browser.until(ROOM, "identity の本文").await;
    let opened =
        browser.post(&format!("{ROOM}/tap"), &[("message", "identity-3"), ("suggestion", "0")]).await;
    let page = opened.headers()["location"].to_str().unwrap().to_owned();
    let (_, page) = browser.get(&page).await;
    assert!(page.contains("rel=\"noopener noreferrer\""), "a page outside is for the person to open: {page}");
    browser.does(&format!("{ROOM}/unfollow"), &[]).await;
    eventually(|| peer.told(NUMBER).last().is_some_and(|last| last == "unfollow")).await;
    let told = [
        "follow",
        "delivered question-1",
        "displayed question-1",
        "tapped 確認する under question-1: back:確認する",
        "delivered account-2",
        "typed １２３４５６７",
        "delivered identity-3",
        "tapped カード under identity-3: back:カード",
        "unfollow",
    ];
    assert_eq!(peer.told(NUMBER), told);
    let said = [
        "> true",
        "question の本文",
        "> 確認する",
        "account の本文",
        "> １２３４５６７",
        "identity の本文",
        "> カード",
        "> [https://jpki.kumo.example/v]",
        "> false",
    ];
    assert_eq!(phones.lines().await, said);
    let room = phones.rooms(ListTalkRoomsRequest::default()).await.remove(0);
    assert_eq!((room.step.as_str(), phones.progress().await.stories), ("held", 0));
    phones.kill().await;
}

#[tokio::test]
async fn a_phone_that_is_off_stays_off_over_a_restart_and_gets_what_waited_when_it_is_on() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().unwrap());
    let phones = start(folder.path(), &peer).await;
    let browser = Browser::at(&phones);
    browser.does("/phones", &PERSON).await;
    browser.does(&format!("{ROOM}/follow"), &[]).await;
    browser.until(ROOM, "question の本文").await;
    browser.does(&format!("{PHONE}/power"), &[("on", "false")]).await;
    peer.send(message("news", NUMBER));
    let refused = browser.post(&format!("{ROOM}/type"), &[("text", "1")]).await;
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    phones.kill().await;

    let phones = start(folder.path(), &peer).await;
    let browser = Browser::at(&phones);
    eventually(|| peer.is_heard()).await;
    assert!(browser.get(ROOM).await.1.contains("The phone is off"));
    assert!(!peer.told(NUMBER).iter().any(|told| told.contains("news")));
    browser.does(&format!("{PHONE}/power"), &[("on", "true")]).await;
    let page = browser.until(ROOM, "news の本文").await;
    assert!(page.contains("question の本文") && page.contains("見本　花子"), "{page}");
    phones.kill().await;
}

#[tokio::test]
async fn what_is_not_there_or_wrong_is_refused_and_changes_nothing() {
    let (peer, folder) = (Peer::start().await, tempfile::tempdir().unwrap());
    let mut phones = start(folder.path(), &peer).await;
    let browser = Browser::at(&phones);
    phones.play(vec![story(7, "ignore")]).await;
    browser.does("/phones", &PERSON).await;
    let with = |name, value| PERSON.map(|pair| if pair.0 == name { (name, value) } else { pair });
    let long = "あ".repeat(3073);
    type Request<'a> = (&'a str, &'a [(&'a str, &'a str)], StatusCode);
    let requests: [Request<'_>; 16] = [
        ("/phones", &PERSON, StatusCode::CONFLICT),
        ("/phones", &with("phone_number", "110"), StatusCode::UNPROCESSABLE_ENTITY),
        ("/phones", &with("carrier", "nami"), StatusCode::UNPROCESSABLE_ENTITY),
        ("/phones", &with("official_account", "<b>"), StatusCode::UNPROCESSABLE_ENTITY),
        ("/phones", &with("name", " "), StatusCode::UNPROCESSABLE_ENTITY),
        ("/phones", &[("person", "99")], StatusCode::NOT_FOUND),
        ("/phones", &[("surprise", "1")], StatusCode::UNPROCESSABLE_ENTITY),
        // Of a phone that its own person holds, and of one that isn't there.
        ("/phones/818000000007/with/bank/type", &[("text", "1")], StatusCode::NOT_FOUND),
        ("/phones/818000000007/power", &[("on", "false")], StatusCode::NOT_FOUND),
        ("/phones/818000000009/with/bank/follow", &[], StatusCode::NOT_FOUND),
        ("/phones/0/with/bank/follow", &[], StatusCode::UNPROCESSABLE_ENTITY),
        ("/phones/818000000001/with/%3Cb%3E/follow", &[], StatusCode::UNPROCESSABLE_ENTITY),
        ("/phones/818000000001/with/bank/type", &[("text", " ")], StatusCode::UNPROCESSABLE_ENTITY),
        ("/phones/818000000001/with/bank/type", &[("text", &long)], StatusCode::UNPROCESSABLE_ENTITY),
        (
            "/phones/818000000001/with/bank/tap",
            &[("message", "<script>"), ("suggestion", "0")],
            StatusCode::NOT_FOUND,
        ),
        (
            "/phones/818000000001/with/bank/page",
            &[("message", "question-1"), ("suggestion", "0"), ("batch", "1")],
            StatusCode::NOT_FOUND,
        ),
    ];
    for (path, form, status) in requests {
        let answer = browser.post(path, form).await;
        let (answered, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(answered, status, "{path} {form:?}: {text}");
        assert!(!text.contains("<script>") && !text.contains("<b>"), "{text}");
    }
    for path in ["/phones/818000000009", "/phones/818000000001/with/nobody%22", "/phones?n=1", "/phones"] {
        let (status, _) = browser.get(path).await;
        assert!(status.is_client_error(), "{path}: {status}");
    }
    assert_eq!(browser.get("/phones/818000000007").await.0, StatusCode::OK, "anybody may look");
    assert!(browser.get("/find?number=nobody").await.1.contains("There is no phone of this number"));
    phones.until(|progress| progress.pending_actions == 0).await;
    assert_eq!(peer.told(NUMBER), [""; 0]);
    phones.kill().await;
}
