//! Certificates that are good, and every way in which one isn't, over real handshakes.

use std::{net::Ipv4Addr, pin::Pin, task::Poll};

use tokio::{
    io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;

use super::{
    authority::{Authority, Validity, files},
    connection::Acceptor,
    *,
};
use crate::grpc::denials::Denials;

const DAY: u32 = 1;

fn party(name: &str) -> Caller {
    name.parse().unwrap()
}

fn now() -> Timestamp {
    SystemClock.now()
}

fn authority(folder: &Path) -> Authority {
    Authority::create(folder, Validity::days(now(), DAY)).unwrap()
}

/// Who calls and from what they were let in, or why the handshake ended.
async fn call(server: &Identity, client: &ClientConfig, host: &'static str) -> Result<Vec<Caller>, String> {
    call_where(Welcome::Certified, server, client, host).await
}

async fn call_where(
    welcome: Welcome,
    server: &Identity,
    client: &ClientConfig,
    host: &'static str,
) -> Result<Vec<Caller>, String> {
    use futures::StreamExt as _;
    let listener = Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
    let address = listener.local_addr().unwrap();
    let acceptor = Acceptor::new(listener, server.clone(), welcome, Denials::default()).unwrap();
    let accept = async {
        let mut connections = Box::pin(acceptor.connections());
        let mut connection = connections.next().await.unwrap().unwrap();
        let parties = tonic::transport::server::Connected::connect_info(&connection).parties.to_vec();
        connection.write_all(b"!").await.unwrap();
        connection.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        parties
    };
    let dial = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(client.clone()));
        let mut stream =
            connector.connect(host.try_into().unwrap(), stream).await.map_err(|error| error.to_string())?;
        // In TLS 1.3 the client hears only now whether its own certificate was taken.
        let mut byte = [0];
        stream.read_exact(&mut byte).await.map_err(|error| error.to_string())
    };
    tokio::select! {
        biased;
        parties = accept => Ok(parties),
        error = async {
            match dial.await {
                Err(error) => error,
                Ok(_) => std::future::pending().await,
            }
        } => Err(error),
    }
}

#[tokio::test]
async fn both_sides_are_known_by_their_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let server = authority.identity(&party("information")).unwrap();
    let client = authority.identity(&party("company/tf-bank")).unwrap();
    for host in ["localhost", "127.0.0.1"] {
        let parties = call(&server, &client.client(), host).await;
        assert_eq!(parties, Ok(vec![party("company/tf-bank")]));
    }
    let elsewhere = call(&server, &client.client(), "information.example").await;
    assert!(elsewhere.unwrap_err().contains("not valid for name"));
}

#[tokio::test]
async fn a_connection_that_has_much_to_say_is_read_by_turns() {
    use futures::StreamExt as _;
    const SENT: usize = 64 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let server = authority.identity(&party("information")).unwrap();
    let client = authority.identity(&party("company/tf-bank")).unwrap();
    let listener = Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
    let address = listener.local_addr().unwrap();
    let acceptor = Acceptor::new(listener, server, Welcome::Certified, Denials::default()).unwrap();
    let mut connections = Box::pin(acceptor.connections());
    let dial = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let connector = TlsConnector::from(client.client());
        let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        stream.write_all(&[7; SENT]).await.unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let (accepted, _open) = tokio::join!(connections.next(), dial);
    let mut connection = accepted.unwrap().unwrap();
    // As much as is read until it lets others have their turn.
    let mut turns: Vec<usize> = Vec::new();
    while turns.iter().sum::<usize>() < SENT {
        let turn = std::future::poll_fn(|context| {
            let mut read = 0;
            loop {
                let mut bytes = [0; 4 * 1024];
                let mut buffer = ReadBuf::new(&mut bytes);
                match Pin::new(&mut connection).poll_read(context, &mut buffer) {
                    Poll::Ready(done) => done.unwrap(),
                    Poll::Pending => return Poll::Ready(read),
                }
                read += buffer.filled().len();
            }
        });
        turns.push(turn.await);
        tokio::task::yield_now().await;
    }
    assert!(turns.iter().all(|turn| *turn <= 20 * 1024), "{turns:?}");
}

#[tokio::test]
async fn a_certificate_that_is_late_early_strange_or_missing_does_not_come_in() {
    let folder = tempfile::tempdir().unwrap();
    let ours = authority(&folder.path().join("ours"));
    let theirs = authority(&folder.path().join("theirs"));
    let server = ours.identity(&party("information")).unwrap();
    let company = party("company/tf-bank");
    let hour = SignedDuration::from_hours(1);
    let (before, after) = (
        Validity { from: now() - hour * 2, until: now() - hour },
        Validity { from: now() + hour, until: now() + hour * 2 },
    );
    let good = || Validity::days(now(), DAY);
    let ours_files = files(&folder.path().join("ours"), &company);
    for (authority, validity, kind) in
        [(&ours, before, "expired"), (&ours, after, "early"), (&theirs, good(), "strange")]
    {
        let issued = authority.issue(&company, &[], validity).unwrap();
        let trusting = TlsConfig { authorities: ours_files.authorities.clone(), ..issued };
        let client = Identity::load(&trusting).unwrap();
        let refused = call(&server, &client.client(), "localhost").await.unwrap_err();
        assert!(refused.contains("received fatal alert"), "{kind}: {refused}");
        // And nobody calls a server that has such a certificate.
        let caller = ours.identity(&party("company/caller")).unwrap();
        let refused = call(&client, &caller.client(), "localhost").await.unwrap_err();
        assert!(refused.contains("invalid peer certificate"), "{kind}: {refused}");
    }
    let bare = uncertified(&ours_files.authorities, "--authorities").unwrap();
    let refused = call(&server, &bare, "localhost").await.unwrap_err();
    assert!(refused.contains("CertificateRequired"), "{refused}");
    // Where people sign in one may show no certificate, and still none that is bad.
    assert_eq!(call_where(Welcome::Anybody, &server, &bare, "localhost").await, Ok(vec![]));
    let strange = TlsConfig {
        authorities: ours_files.authorities.clone(),
        ..theirs.issue(&company, &[], good()).unwrap()
    };
    let strange = Identity::load(&strange).unwrap();
    let refused = call_where(Welcome::Anybody, &server, &strange.client(), "localhost").await.unwrap_err();
    assert!(refused.contains("received fatal alert"), "{refused}");
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_and_a_spoilt_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let server = authority.identity(&party("information")).unwrap();
    let client = authority.identity(&party("carrier/kumo")).unwrap();
    assert!(!server.renew(), "nothing changed");
    let before = server.current().files.clone();
    let files = authority.issue_temporary(&party("information")).unwrap();
    assert!(server.renew());
    assert_ne!(server.current().files, before);
    let kept = server.current().files.clone();
    std::fs::write(&files.certificate, "half of a certifi").unwrap();
    assert!(!server.renew());
    std::fs::remove_file(&files.certificate).unwrap();
    assert!(!server.renew());
    assert_eq!(server.current().files, kept);
    assert!(call(&server, &client.client(), "localhost").await.is_ok());
}

#[tokio::test]
async fn a_certificate_that_was_taken_back_is_refused_by_both_sides_and_its_successor_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let (information, bank) = (party("information"), party("company/tf-bank"));
    authority.issue_temporary(&party("carrier/kumo")).unwrap();
    let list = authority.revoke(&party("carrier/kumo"), now()).unwrap();
    let knowing = |party: &Caller| {
        let files = authority.issue_temporary(party).unwrap();
        TlsConfig { revoked: Some(list.clone()), ..files }
    };
    let server_files = knowing(&information);
    let server = Identity::load(&server_files).unwrap();
    let client = authority.identity(&bank).unwrap();
    assert!(call(&server, &client.client(), "localhost").await.is_ok());
    let serial = client.current().certificate.serial.clone();
    assert!(!server.has_revoked(&serial));

    authority.revoke(&bank, now()).unwrap();
    assert!(server.renew() && server.has_revoked(&serial));
    let refused = call(&server, &client.client(), "localhost").await.unwrap_err();
    assert!(refused.contains("CertificateRevoked"), "{refused}");
    // The other way round: whoever calls a server with such a certificate ends it, too.
    let taken_back = Identity::load(&files(folder.path(), &bank)).unwrap();
    let caller = Identity::load(&knowing(&party("terminal"))).unwrap();
    let refused = call(&taken_back, &caller.client(), "localhost").await.unwrap_err();
    assert!(refused.contains("Revoked"), "{refused}");

    let again = authority.identity(&bank).unwrap();
    assert!(call(&server, &again.client(), "localhost").await.is_ok());
    // A list that can't be read is not used, and the one in use stays.
    std::fs::write(&list, "half of a li").unwrap();
    assert!(!server.renew() && server.has_revoked(&serial));
    let error = Identity::load(&server_files).unwrap_err();
    assert_eq!(error.field, "tls.revoked");
}

#[test]
fn files_that_do_not_fit_are_refused_by_their_key() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let good = authority.issue_temporary(&party("information")).unwrap();
    let other = authority.issue_temporary(&party("terminal")).unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let missing = folder.path().join("missing.pem");
    let cases = [
        (TlsConfig { certificate: missing, ..good.clone() }, "tls.certificate"),
        (TlsConfig { certificate: good.key.clone(), ..good.clone() }, "tls.certificate"),
        (TlsConfig { key: empty.clone(), ..good.clone() }, "tls.key"),
        (TlsConfig { key: other.key, ..good.clone() }, "tls.key"),
        (TlsConfig { authorities: empty, ..good.clone() }, "tls.authorities"),
    ];
    for (config, field) in cases {
        let error = Identity::load(&config).unwrap_err();
        assert_eq!(error.field, field, "{error}");
        assert!(!error.remedy.is_empty());
    }
    assert!(Identity::load(&good).is_ok());
}

#[test]
fn an_alias_names_who_another_authority_calls_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let files = authority
        .issue(&party("terminal"), &["tf-bank.example".to_owned()], Validity::days(now(), DAY))
        .unwrap();
    let pem = std::fs::read(&files.certificate).unwrap();
    let certificate = Certificate::read_pem(&pem).unwrap();
    let plain = Identity::load(&files).unwrap();
    assert_eq!(plain.parties(&certificate), [party("terminal")]);
    let name = vec![Alias { certificate: "tf-bank.example".to_owned(), is: party("company/tf-bank") }];
    let told = Identity::load(&TlsConfig { name, ..files }).unwrap();
    assert_eq!(told.parties(&certificate), [party("company/tf-bank"), party("terminal")]);
}

#[test]
fn an_authority_is_made_once_and_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = authority(folder.path());
    let again = Authority::create(folder.path(), Validity::days(now(), DAY)).err().unwrap();
    assert_eq!(again.kind, musubi_domain::ErrorKind::AlreadyExists);
    let opened = Authority::open(folder.path()).unwrap();
    for authority in [first, opened] {
        let identity = authority.identity(&party("terminal")).unwrap();
        let certificate = &identity.current().certificate;
        assert!(certificate.from < now() && certificate.until > now());
    }
    let nowhere = Authority::open(&folder.path().join("nowhere")).err().unwrap();
    assert!(nowhere.remedy.contains("musubi certs init"));
}
