//! The console over real HTTP, as a browser asks for it; the peer stands in the information-management server's place.
//!
//! What a browser itself makes of the pages is tried with a browser, on whole clusters. Surprising: every form here goes the way of a page that has no script.

use std::time::Instant;

use musubi_domain::caller::Role;
use musubi_proto::company::v1::{
    CreateMachineRequest, InviteOperatorRequest, operator_service_client::OperatorServiceClient,
};
use musubi_proto::convert::people::wire_roles;
use reqwest::{
    Client, RequestBuilder, Response, StatusCode,
    header::{COOKIE, LOCATION, SET_COOKIE},
    redirect::Policy,
};
use totp_rs::Totp;

use super::*;
use crate::console::encoded;

const WITH_CONSOLE: &str = "[console]\nlisten = '127.0.0.1:0'\n";
const PASSWORD: &str = "kirin 87 bridge umbrella";

/// A browser, with what it was given to keep.
struct Browser<'a> {
    company: &'a Company,
    client: Client,
    cookie: String,
}

impl<'a> Browser<'a> {
    fn new(company: &'a Company) -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { company, client, cookie: String::new() }
    }

    /// Somebody who is invited with these roles and has signed in.
    async fn signed_in(company: &'a Company, name: &str, roles: &[Role]) -> Self {
        let mut browser = Self::new(company);
        let authenticator = browser.accepts(&invite(company, name, roles).await).await;
        let answer = browser.signs_in(name, PASSWORD, &code(company, &authenticator)).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{name}");
        browser.keep(&answer);
        browser
    }

    fn keep(&mut self, answer: &Response) {
        let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
        self.cookie = cookie.split(';').next().unwrap().to_owned();
    }

    fn with_cookie(&self, request: RequestBuilder) -> RequestBuilder {
        if self.cookie.is_empty() { request } else { request.header(COOKIE, &self.cookie) }
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = self.client.get(format!("{}{path}", self.company.console));
        let answer = self.with_cookie(request).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let request = self.client.post(format!("{}{path}", self.company.console));
        let encoded: Vec<_> =
            fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let request = request.header("sec-fetch-site", "same-origin").body(encoded.join("&"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.with_cookie(request).send().await.unwrap()
    }

    /// Sends a file as a form does.
    async fn upload(&self, path: &str, fields: &[&str], name: &str, file: &str) -> (StatusCode, String) {
        let mut body = String::new();
        for field in fields {
            body.push_str(&format!(
                "--edge\r\ncontent-disposition: form-data; name=\"{field}\"\r\n\r\non\r\n"
            ));
        }
        let name = name.replace('"', "%22");
        body.push_str(&format!(
            "--edge\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\ncontent-type: text/csv\r\n\r\n{file}\r\n--edge--\r\n"
        ));
        let request = self.client.post(format!("{}{path}", self.company.console));
        let request = request.header("sec-fetch-site", "same-origin").body(body);
        let request = request.header("content-type", "multipart/form-data; boundary=edge");
        let answer = self.with_cookie(request).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// Takes an invitation; gives the authenticator.
    async fn accepts(&self, invitation: &str) -> Totp {
        let fields = [("invitation", invitation), ("password", PASSWORD), ("again", PASSWORD)];
        let answer = self.post("/invitation", &fields).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let page = answer.text().await.unwrap();
        assert!(page.contains("<svg class=\"qr\""), "{page}");
        let codes: Vec<_> = page.split("<code>").skip(1).filter_map(|rest| rest.split('<').next()).collect();
        let uri = format!("otpauth://totp/Musubi:{}?secret={}&issuer=Musubi", codes[0], codes[1]);
        Totp::from_url(uri).unwrap()
    }

    async fn signs_in(&self, name: &str, password: &str, code: &str) -> Response {
        self.post("/sign-in", &[("name", name), ("password", password), ("code", code), ("to", "/audit")])
            .await
    }
}

fn code(company: &Company, authenticator: &Totp) -> String {
    authenticator.generate(company.now().as_second().try_into().unwrap()).to_string()
}

async fn invite(company: &Company, name: &str, roles: &[Role]) -> String {
    let request = InviteOperatorRequest {
        name: name.to_owned(),
        roles: wire_roles(roles),
        ..InviteOperatorRequest::default()
    };
    let mut operators = OperatorServiceClient::new(company.channel(OPERATOR));
    operators.invite_operator(request).await.unwrap().into_inner().invitation
}

#[tokio::test]
async fn who_is_invited_signs_in_looks_around_and_signs_out() {
    let company = Company::start(WITH_CONSOLE).await;
    let mut browser = Browser::new(&company);
    // Nobody has signed in: every page sends to where one does, and says where one wanted to go.
    let request = browser.client.get(format!("{}/reviews?state=4", company.console)).send().await.unwrap();
    assert_eq!(request.status(), StatusCode::SEE_OTHER);
    assert_eq!(request.headers()[LOCATION], "/sign-in?to=%2Freviews%3Fstate%3D4");

    let authenticator = browser.accepts(&invite(&company, "mori", &[Role::Auditor]).await).await;
    let right = code(&company, &authenticator);
    let begun = Instant::now();
    for (name, password) in [("mori", "kirin 87 bridge umbrellas"), ("nobody", PASSWORD)] {
        let answer = browser.signs_in(name, password, &right).await;
        assert_eq!((answer.status(), answer.headers().get(SET_COOKIE)), (StatusCode::UNAUTHORIZED, None));
        let page = answer.text().await.unwrap();
        assert!(page.contains("role=\"alert\"") && !page.contains(password), "{page}");
    }
    assert!(begun.elapsed().as_millis() >= 1_000, "each takes its half second");

    let answer = browser.signs_in("mori", PASSWORD, &right).await;
    assert_eq!(
        (answer.status(), &answer.headers()[LOCATION]),
        (StatusCode::SEE_OTHER, &"/audit".parse().unwrap())
    );
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("musubi-session-tf-bank=musubi-session-"), "a cookie of this company's");
    for flag in ["; Path=/", "; SameSite=Strict", "; HttpOnly"] {
        assert!(cookie.contains(flag), "{flag}");
    }
    browser.keep(&answer);
    let (status, page) = browser.get("/").await;
    assert!(status == StatusCode::OK && page.contains("mori") && page.contains("フォロワー"), "{page}");
    let (status, page) = browser.get("/audit?action=signed_in").await;
    assert!(status == StatusCode::OK && page.contains("<td>mori</td>"), "{page}");

    let answer = browser.post("/sign-out", &[]).await;
    assert!(answer.headers()[SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(
        browser.get("/").await.0,
        StatusCode::SEE_OTHER,
        "the session has ended, and not the cookie alone"
    );
}

#[tokio::test]
async fn a_sessions_token_opens_the_console_and_no_other_token_does() {
    let company = Company::start(WITH_CONSOLE).await;
    let browser = Browser::signed_in(&company, "mori", &[Role::Viewer]).await;
    let (_, token) = browser.cookie.split_once('=').unwrap();
    let other = Browser::new(&company);
    let answer = other.post("/sign-in/token", &[("token", &format!(" {token}\n"))]).await;
    assert_eq!(
        (answer.status(), &answer.headers()[LOCATION]),
        (StatusCode::SEE_OTHER, &"/".parse().unwrap())
    );

    let machine =
        CreateMachineRequest { name: "nightly".to_owned(), roles: wire_roles(&[Role::Viewer]), days: 9 };
    let mut operators = OperatorServiceClient::new(company.channel(OPERATOR));
    let key = operators.create_machine(machine).await.unwrap().into_inner().key;
    let invitation = invite(&company, "kato", &[Role::Viewer]).await;
    let unknown = "musubi-session-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for token in [&key, &invitation, unknown, "musubi-session-", ""] {
        let answer = other.post("/sign-in/token", &[("token", token)]).await;
        assert_eq!((answer.status(), answer.headers().get(SET_COOKIE)), (StatusCode::UNAUTHORIZED, None));
        let forged = Browser { cookie: format!("musubi-session-tf-bank={token}"), ..Browser::new(&company) };
        assert_eq!(forged.get("/").await.0, StatusCode::SEE_OTHER);
    }
}

/// Every role at every room: what it may not do is not offered, and refused when it is asked for all the same.
#[tokio::test]
async fn what_a_role_may_not_do_is_not_offered_and_refused_when_forced() {
    let company = Company::start(WITH_CONSOLE).await;
    // A page, and what a visitor has to be allowed to see it.
    let pages = [
        ("/", "GetFunnel"),
        ("/distributions", "ListDistributions"),
        ("/distributions/dst_1/preview", "PreviewDistribution"),
        ("/reviews", "ListReviews"),
        ("/approvals", "ListApprovals"),
        ("/dialogue", "ListAccounts"),
        ("/master/customers", "ListCustomers"),
        ("/audit", "ListAuditLines"),
        ("/settings", "WhoAmI"),
        ("/settings/sessions", "ListOwnSessions"),
    ];
    // A form, and what its sender has to be allowed.
    let forms = [
        ("/distributions/dst_1/submit", "SubmitDistribution"),
        ("/distributions/dst_1/return", "ReturnDistribution"),
        ("/distributions/dst_1/start", "StartDistribution"),
        ("/distributions/dst_1/pause", "PauseDistribution"),
        ("/distributions/dst_1/cancel", "CancelDistribution"),
        ("/reviews/rev_1/decision", "RejectReview"),
        ("/approvals/apv_1/decision", "RejectApproval"),
        ("/master/purge", "PurgeMaster"),
        ("/master/customers/B1/erase", "EraseCustomer"),
        ("/audit/verify", "VerifyAudit"),
        ("/audit/verify?node=information", "VerifyInformationAudit"),
        ("/distributions/dst_1/trials", "TryDistribution"),
        ("/settings/sessions/end", "EndOwnSessions"),
        ("/settings/sessions/nobody/end", "EndSessions"),
        ("/followers/tf-bank/flw_01010101010101010101010101010101/untie", "UntieFollower"),
        ("/followers/tf-bank/flw_01010101010101010101010101010101/suspend", "SuspendFollower"),
        ("/followers/tf-bank/flw_01010101010101010101010101010101/release", "SuspendFollower"),
        ("/settings/operators/nobody/remove", "RemoveOperator"),
    ];
    for role in Role::ALL {
        let browser = Browser::signed_in(&company, role.word(), &[role]).await;
        let may = |method: &str| {
            let row =
                musubi_proto::callers::COMPANY.iter().find(|row| row.methods.contains(&method)).unwrap();
            row.roles.contains(&role)
        };
        let (_, overview) = browser.get("/").await;
        for (path, method) in pages {
            let (status, page) = browser.get(path).await;
            assert_eq!(status == StatusCode::OK, may(method), "{role:?} at {path}: {status}");
            assert!(may(method) || status == StatusCode::FORBIDDEN, "{role:?} at {path}: {status} {page}");
            if !["/distributions/dst_1/preview", "/master/customers", "/settings/sessions"].contains(&path) {
                assert_eq!(
                    overview.contains(&format!("href=\"{path}\"")),
                    may(method),
                    "{role:?} is shown {path}"
                );
            }
        }
        for (path, method) in forms {
            company.peer.told.lock().unwrap().calls.clear();
            let status = browser.post(path, &[("verdict", "reject")]).await.status();
            assert_eq!(status == StatusCode::FORBIDDEN, !may(method), "{role:?} at {path}: {status}");
            let told = company.peer.told.lock().unwrap().calls.len();
            assert!(may(method) || told == 0, "{role:?} at {path} came through");
        }
    }
}

#[tokio::test]
async fn requests_of_other_sites_change_nothing() {
    let company = Company::start(WITH_CONSOLE).await;
    let browser = Browser::signed_in(&company, "mori", &Role::ALL).await;
    let purge = || browser.with_cookie(browser.client.post(format!("{}/master/purge", company.console)));
    for request in [
        purge(),
        purge().header("sec-fetch-site", "cross-site"),
        purge().header("sec-fetch-site", "same-site"),
        purge().header("origin", "https://evil.example"),
        purge().header("origin", "null"),
    ] {
        assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    }
    assert!(!company.peer.told.lock().unwrap().calls.iter().any(|call| call.starts_with("purge")));
    // A page of another site can't ask by GET either: whatever changes something has no GET.
    let (status, _) = browser.get("/master/purge").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(browser.post("/master/purge", &[]).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(company.peer.told.lock().unwrap().calls.last().unwrap(), "purge tf-bank");
}

#[tokio::test]
async fn what_others_wrote_stands_on_a_page_as_text() {
    let company = Company::start(WITH_CONSOLE).await;
    let browser = Browser::signed_in(&company, "mori", &Role::ALL).await;
    let hostile = "<img src=x onerror=alert(1)>'\"&{{7*7}}";
    let row = format!(
        "B1,\"{}\",,1948-05-04,神奈川県横浜市,760,0076317,\"<script>alert(1)</script>\"\n",
        hostile.replace('"', "\"\"")
    );
    let (status, page) = browser.upload("/master/import", &[], hostile, &format!("{HEADER}{row}")).await;
    assert!(status == StatusCode::OK && page.contains("&#60;img"), "{page}");
    let (_, customer) = browser.get("/master/customers/B1").await;
    let (_, failure) = browser.get("/master/customers/%3Cscript%3E").await;
    let (_, audit) = browser.get("/audit?text=%3Cscript%3E&action=a").await;
    assert!(customer.contains("{{7*7}}"), "{customer}");
    for page in [page, customer, failure, audit] {
        assert!(!page.contains("<img") && !page.contains("<script>"), "{page}");
    }
    // A parameter of an address is shown only where it is one of ours.
    let (_, page) = browser.get("/?done=%3Cscript%3E").await;
    assert!(!page.contains("role=\"status\""), "{page}");
}

#[tokio::test]
async fn an_import_is_checked_told_by_line_and_done() {
    let company = Company::start(WITH_CONSOLE).await;
    let browser = Browser::signed_in(&company, "mori", &[Role::Administrator]).await;
    let good = format!("{HEADER}{THREE}");
    let (status, page) = browser.upload("/master/import", &["dry_run"], "m.csv", &good).await;
    assert!(
        status == StatusCode::OK
            && page.contains("マスターは変わっていません")
            && page.contains("<dd>3</dd>"),
        "{page}"
    );
    assert!(company.ids().await.is_empty(), "only checked");
    let bad = good.replace("1940-12-15", "1940-13-15").replace("B000003", "B000001");
    let (_, page) = browser.upload("/master/import", &[], "m.csv", &bad).await;
    for (line, field) in [(3, "birth_date"), (4, "customer_id")] {
        assert!(
            page.contains(&format!("<td class=\"number\">{line}</td><td><code>{field}</code></td>")),
            "{page}"
        );
    }
    assert!(!page.contains("1940-13-15") && company.ids().await.is_empty(), "{page}");
    let (_, page) = browser.upload("/master/import", &[], "m.csv", &good).await;
    assert!(page.contains("マスターを置き換えました") && company.ids().await.len() == 3, "{page}");
    let (_, page) = browser.upload("/master/import", &[], "", "").await;
    assert!(page.contains("no file was chosen"), "{page}");
}

#[tokio::test]
async fn pages_speak_the_language_that_was_chosen_or_asked_for() {
    let company = Company::start(WITH_CONSOLE).await;
    let browser = Browser::new(&company);
    let page = |request: RequestBuilder| async { request.send().await.unwrap().text().await.unwrap() };
    let sign_in = || browser.client.get(format!("{}/sign-in", company.console));
    let english = page(sign_in().header("accept-language", "en-GB,ja;q=0.5")).await;
    assert!(english.contains("<html lang=\"en\">") && english.contains("Sign in"), "{english}");
    let answer = browser.post("/language", &[("language", "ja"), ("to", "//evil.example")]).await;
    assert_eq!(answer.headers()[LOCATION], "/");
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let japanese = page(sign_in().header("accept-language", "en").header(COOKIE, cookie)).await;
    assert!(japanese.contains("<html lang=\"ja\">") && japanese.contains("サインイン"), "{japanese}");
}

#[tokio::test]
async fn a_test_is_sent_to_who_is_typed_and_their_numbers_stand_nowhere() {
    let company = Company::start(WITH_CONSOLE).await;
    let browser = Browser::signed_in(&company, "mori", &[Role::Editor]).await;
    let fields =
        [("request_id", "00000000-0000-0000-0000-000000000001"), ("numbers", "090-1234-5678\n+819012345679")];
    let answer = browser.post("/distributions/dst_1/trials", &fields).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let page = answer.text().await.unwrap();
    assert!(page.contains("+**********78") && page.contains("+**********79"), "{page}");
    assert!(!page.contains("12345678"), "{page}");
    let calls = company.peer.told.lock().unwrap().calls.clone();
    assert!(calls.contains(&"try_distribution mori tf-bank".to_owned()), "{calls:?}");
}

#[tokio::test]
async fn sessions_are_seen_and_ended_by_their_person_and_an_administrator() {
    let company = Company::start(WITH_CONSOLE).await;
    let mori = Browser::signed_in(&company, "mori", &[Role::Viewer]).await;
    let kato = Browser::signed_in(&company, "kato", &[Role::Administrator]).await;
    let sessions = |page: &str| {
        let cut = page.split("<code>ses_").skip(1).map(|rest| rest[..16].to_owned());
        cut.collect::<Vec<_>>()
    };
    let (status, page) = mori.get("/settings/sessions").await;
    assert!(status == StatusCode::OK && page.contains("このセッション") && !page.contains("kato"), "{page}");
    let own = sessions(&page);
    assert_eq!(own.len(), 1);
    let (_, page) = kato.get("/settings/sessions").await;
    assert!(page.contains(">mori</th>") && page.contains("この画面"), "{page}");
    assert_eq!(sessions(&page).len(), 2);
    // Who is no administrator ends nobody else's, and learns of none.
    assert_eq!(mori.post("/settings/sessions/kato/end", &[]).await.status(), StatusCode::FORBIDDEN);
    let named = format!("ses_{}", sessions(&page)[0]);
    assert_eq!(
        mori.post("/settings/sessions/end", &[("session_id", &named)]).await.status(),
        StatusCode::SEE_OTHER
    );
    assert_eq!(kato.get("/settings/sessions").await.0, StatusCode::OK, "it is another's");
    let wrong = kato.post("/settings/sessions/mori/end", &[("session_id", "ses_x")]).await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);

    let ended = kato.post("/settings/sessions/mori/end", &[("session_id", &format!("ses_{}", own[0]))]).await;
    assert_eq!(ended.headers()[LOCATION], "/settings/sessions?done=sessions-ended");
    assert_eq!(mori.get("/").await.0, StatusCode::SEE_OTHER);
    let (_, audit) = kato.get("/audit?action=sessions_ended").await;
    assert!(audit.contains("mori, 1 sessions by kato"), "{audit}");
    // One's own others end at once, and the one that looks stays.
    kato.post("/settings/sessions/end", &[]).await;
    assert_eq!(kato.get("/settings/sessions").await.0, StatusCode::OK);
}

#[tokio::test]
async fn both_audits_are_read_and_faults_are_said_in_japanese() {
    let company = Company::start(WITH_CONSOLE).await;
    let browser = Browser::signed_in(&company, "mori", &[Role::Auditor]).await;
    let (status, page) = browser.get("/audit?node=information&account=tf-bank").await;
    assert!(status == StatusCode::OK && page.contains("<code>tied</code>"), "{page}");
    let answer = browser.post("/audit/verify?node=information", &[]).await.text().await.unwrap();
    assert!(answer.contains("封印はすべて正しく") && answer.contains("<code>3:ab</code>"), "{answer}");
    let (status, file) = browser.get("/audit/lines.jsonl?node=information").await;
    assert!(status == StatusCode::OK && file.contains("\"action\":\"tied\""), "{file}");
    let calls = company.peer.told.lock().unwrap().calls.clone();
    for call in ["audit of tf-bank tf-bank", "audit of  tf-bank", "verify tf-bank"] {
        assert!(calls.contains(&call.to_owned()), "{call}: {calls:?}");
    }
    let (status, page) = browser.get("/audit?action=Tied").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        page.contains("記録の種類が正しくありません（4文字、英字）") && page.contains("lang=\"en\""),
        "{page}"
    );
}
