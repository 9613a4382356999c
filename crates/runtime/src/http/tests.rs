//! What browsers and others are told, over real connections.

use std::{
    future::Future,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    routing::{get, post},
};
use http::{HeaderMap, StatusCode};
use reqwest::{Certificate, Client};
use tokio::sync::Notify;

use super::{tls::Shown, *};
use crate::{
    Clock as _, Shutdown, SystemClock,
    grpc::server::ServerError,
    tls::authority::{Authority, Validity},
};

fn plain() -> HttpConfig {
    HttpConfig::plain("127.0.0.1:0".parse().unwrap())
}

/// Serves a router while something is asked of it.
async fn serving<T, F: Future<Output = T>>(
    config: &HttpConfig,
    router: Router,
    ask: impl FnOnce(String, SocketAddr) -> F,
) -> T {
    let bound = HttpServer::bind(config).await.unwrap();
    let (origin, address) = (bound.origin(), bound.local_address());
    let shutdown = Shutdown::new(Duration::from_secs(5));
    shutdown.spawn("http", bound.serve(router, shutdown.clone()));
    let answer = ask(origin, address).await;
    shutdown.begin();
    shutdown.drained().await.unwrap();
    answer
}

fn page() -> Router {
    let page = get(|| async { "a page" }).post(|| async { "changed" });
    Router::new().route("/", page).merge(pages::assets())
}

fn pages() -> Router {
    pages::guard(page())
}

#[tokio::test]
async fn only_a_loopback_address_goes_without_a_certificate_and_a_pair_of_files_belongs_together() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (issued(folder.path()), issued(folder.path()));
    let open: ListenAddress = "0.0.0.0:0".parse().unwrap();
    let config = |listen, certificate: Option<&Path>, key: Option<&Path>| HttpConfig {
        listen,
        certificate: certificate.map(Path::to_owned),
        key: key.map(Path::to_owned),
    };
    let loopback = plain().listen;
    let missing = folder.path().join("missing.pem");
    let cases = [
        (config(open, None, None), "listen: is no loopback address and has no certificate"),
        (config(loopback, Some(&one.0), None), "key: is not there"),
        (config(loopback, None, Some(&one.1)), "certificate: is not there"),
        (config(loopback, Some(&missing), Some(&one.1)), "certificate: "),
        (config(loopback, Some(&one.1), Some(&one.1)), "certificate: holds no certificate as PEM"),
        (config(loopback, Some(&one.0), Some(&one.0)), "key: holds no key as PEM"),
        (config(loopback, Some(&one.0), Some(&other.1)), "key: is not the key of the certificate"),
    ];
    for (config, told) in cases {
        let error = HttpServer::bind(&config).await.unwrap_err().to_string();
        assert!(error.starts_with(told), "{config:?}: {error}");
    }
    assert!(HttpServer::bind(&config(open, Some(&one.0), Some(&one.1))).await.is_ok());
    let taken = HttpServer::bind(&plain()).await.unwrap();
    let again = HttpConfig::plain(taken.local_address().to_string().parse().unwrap());
    assert!(matches!(HttpServer::bind(&again).await, Err(ServerError::PortTaken(_))));
}

#[tokio::test]
async fn every_answer_binds_the_browser() {
    serving(&plain(), pages(), |origin, _| async move {
        for path in ["/", "/nothing", "/assets/nothing", &pages::asset("base.css"), &pages::asset("htmx.js")]
        {
            let answer = reqwest::get(format!("{origin}{path}")).await.unwrap();
            let header =
                |name| answer.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default();
            let policy = header("content-security-policy");
            for part in
                ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "form-action 'self'"]
            {
                assert!(policy.contains(part), "{path}: {policy}");
            }
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(header("x-content-type-options"), "nosniff");
            let kept = if path.contains('?') { "public, max-age=31536000, immutable" } else { "no-store" };
            assert_eq!(header("cache-control"), kept, "{path}");
            let missing = path.ends_with("nothing");
            assert_eq!(
                answer.status(),
                if missing { StatusCode::NOT_FOUND } else { StatusCode::OK },
                "{path}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_change_at_the_request_of_another_sites_page_is_refused() {
    let counted = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&counted);
    let pages = pages::guard_and_count(page(), move || {
        counts.fetch_add(1, Ordering::Relaxed);
    });
    serving(&plain(), pages, |origin, address| async move {
        let elsewhere = format!("http://127.0.0.1:{}", address.port() ^ 1);
        let cases: [(&[(&str, &str)], bool); 9] = [
            (&[], false),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("origin", &origin)], true),
            (&[("origin", &elsewhere)], false),
            (&[("origin", "null")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", &origin)], false),
        ];
        for (headers, taken) in cases {
            let headers: HeaderMap =
                headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            for method in [reqwest::Method::POST, reqwest::Method::DELETE] {
                let answer =
                    Client::new().request(method.clone(), &origin).headers(headers.clone()).send().await;
                let refused = answer.unwrap().status() == StatusCode::FORBIDDEN;
                assert_eq!(refused, !taken, "{method} {headers:?}");
            }
            let looked = Client::new().get(&origin).headers(headers).send().await.unwrap();
            assert_eq!(looked.status(), StatusCode::OK);
        }
    })
    .await;
    assert_eq!(counted.load(Ordering::Relaxed), 14, "seven of the nine, by two methods");
}

#[tokio::test]
async fn without_a_certificate_no_foreign_name_reaches_the_server() {
    serving(&plain(), pages(), |origin, address| async move {
        let port = address.port();
        let named = |name: String| async {
            Client::new().get(&origin).header("host", name).send().await.unwrap().status()
        };
        for name in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
            assert_eq!(named(name).await, StatusCode::OK);
        }
        for name in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "192.0.2.1", ""] {
            assert_eq!(named(name.to_owned()).await, StatusCode::MISDIRECTED_REQUEST, "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_has_a_limit_and_the_router_may_set_its_own() {
    let taken = |body: Bytes| async move { body.len().to_string() };
    let wide = Router::new().route("/wide", post(taken)).layer(axum::extract::DefaultBodyLimit::max(3 << 20));
    let router = Router::new().route("/", post(taken)).merge(wide);
    serving(&plain(), router, |origin, _| async move {
        let send = |path: &'static str, bytes: usize| {
            let request = Client::new().post(format!("{origin}{path}")).body(vec![b'x'; bytes]);
            async move { request.send().await.unwrap().status() }
        };
        assert_eq!(send("/", 1 << 20).await, StatusCode::OK);
        assert_eq!(send("/", (1 << 20) + 1).await, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(send("/wide", 2 << 20).await, StatusCode::OK);
        assert_eq!(send("/wide", (3 << 20) + 1).await, StatusCode::PAYLOAD_TOO_LARGE);
    })
    .await;
}

#[tokio::test]
async fn the_drain_answers_what_was_asked_and_takes_nothing_more() {
    let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
        get(move || async move {
            asked.notify_one();
            answer.notified().await;
            "done"
        })
    };
    let bound = HttpServer::bind(&plain()).await.unwrap();
    let origin = bound.origin();
    let shutdown = Shutdown::new(Duration::from_secs(5));
    shutdown.spawn("http", bound.serve(Router::new().route("/", slow), shutdown.clone()));
    let under_way = tokio::spawn(reqwest::get(origin.clone()));
    asked.notified().await;
    shutdown.begin();
    while reqwest::get(&origin).await.is_ok() {
        tokio::task::yield_now().await;
    }
    answer.notify_one();
    assert_eq!(under_way.await.unwrap().unwrap().text().await.unwrap(), "done");
    shutdown.drained().await.unwrap();
}

/// A certificate for 127.0.0.1, and its key.
fn issued(folder: &Path) -> (PathBuf, PathBuf) {
    let folder = tempfile::tempdir_in(folder).unwrap().keep();
    let validity = Validity::days(SystemClock.now(), 1);
    let authority = Authority::create(&folder, validity).unwrap();
    let issued =
        authority.issue(&"information".parse().unwrap(), &["127.0.0.1".to_owned()], validity).unwrap();
    std::fs::copy(&issued.authorities, folder.join("authority-of-it.pem")).unwrap();
    (issued.certificate, issued.key)
}

/// A client that believes the authority of one certificate alone, and keeps no connection.
fn believer(certificate: &Path) -> Client {
    let authority = std::fs::read(certificate.with_file_name("authority-of-it.pem")).unwrap();
    let authority = Certificate::from_pem(&authority).unwrap();
    Client::builder().tls_certs_only([authority]).pool_max_idle_per_host(0).build().unwrap()
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (issued(folder.path()), issued(folder.path()));
    let (certificate, key) = (folder.path().join("shown.pem"), folder.path().join("shown.key"));
    let show = |from: &(PathBuf, PathBuf)| {
        std::fs::copy(&from.0, &certificate).unwrap();
        std::fs::copy(&from.1, &key).unwrap();
    };
    show(&old);
    let shown = Shown::load(&certificate, &key).unwrap();
    let config =
        HttpConfig { listen: plain().listen, certificate: Some(certificate.clone()), key: Some(key.clone()) };
    let mut bound = HttpServer::bind(&config).await.unwrap();
    bound.shown = Some(Arc::clone(&shown));
    let origin = bound.origin();
    let shutdown = Shutdown::new(Duration::from_secs(5));
    shutdown.spawn("http", bound.serve(pages(), shutdown.clone()));
    let believed = |by: Client| {
        let origin = origin.clone();
        async move { by.get(&origin).send().await.is_ok_and(|answer| answer.status() == StatusCode::OK) }
    };
    assert!(believed(believer(&old.0)).await);
    assert!(!believed(believer(&new.0)).await);
    std::fs::write(&certificate, "half a certifi").unwrap();
    assert!(shown.renew().is_err());
    assert!(believed(believer(&old.0)).await);
    show(&new);
    shown.renew().unwrap();
    assert!(believed(believer(&new.0)).await);
    assert!(!believed(believer(&old.0)).await);
    let plainly = origin.replace("https", "http");
    assert!(reqwest::get(plainly).await.is_err());
    shutdown.begin();
    shutdown.drained().await.unwrap();
}

#[test]
fn addresses_of_this_machine_alone_go_without_tls() {
    for (text, good) in [
        ("https://rbm.example", true),
        ("https://rbm.example:8443/base/", true),
        ("http://127.0.0.1:9000", true),
        ("http://[::1]:9000", true),
        ("http://localhost:9000", true),
        ("http://localhost.example", false),
        ("http://192.0.2.1", false),
        ("ftp://rbm.example", false),
        ("https://user:password@rbm.example", false),
        ("", false),
    ] {
        assert_eq!(safe_address(text).is_ok(), good, "{text}");
    }
}
