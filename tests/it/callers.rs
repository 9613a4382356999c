//! Who may call what, on running nodes: every method of every contract, at every node, with every kind of certificate and
//! without one. Only what the tables of callers allow passes, and what was refused leaves nothing behind.
//!
//! The tables start the servers, so this holds the doors to the tables; whether a table says what it should is for its reader.
//! Surprising: a call that is allowed here asks for nothing, and what it is answered with doesn't matter.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use musubi_domain::caller::{Caller, CallerKind, MayCall, Role};
use musubi_proto::callers;
use musubi_runtime::{
    Clock as _, SystemClock,
    grpc::client::{ClientOptions, PeerChannel, connect, connect_with_token},
    tls::{
        Identity, TlsConfig,
        authority::{Authority, Validity},
    },
};
use musubi_tests::processes::{INFORMATION, Kind, Layout, OPERATOR, OPERATORS, Stored, System};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{Code, Request, client::Grpc};
use tonic_prost::ProstCodec;

use crate::{doors::contract, people::audit};

const BANK: &str = "aoba-bank";
const GAS: &str = "hinata-gas";
const KUMO: &str = "kumo";
const PHONES: &str = "phones";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
/// What no node serves.
const NOWHERE: [&str; 3] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/musubi.information.v1.FollowerService/DropEverything",
    "/musubi.information.v2.FollowerService/GetFunnel",
];

/// The nodes that keep an audit; of the companies' it is the bank's.
const AUDITED: [Kind; 2] = [Kind::Information, Kind::Company];

/// A node, its table, and the callers whom it knows, with the roles of its people.
type Node = (&'static str, &'static [MayCall], BTreeMap<Caller, &'static [Role]>);

fn nodes() -> [Node; 4] {
    let people = OPERATORS.map(|(person, roles)| (Layout::operator(person, BANK), roles));
    let nodes = |names: &[&str]| -> BTreeMap<Caller, &'static [Role]> {
        names.iter().map(|name| (Layout::party(name), &[][..])).collect()
    };
    // Each knows itself, and lets itself ask for its health and nothing else.
    [
        (BANK, callers::COMPANY, people.into_iter().chain(nodes(&[BANK, INFORMATION])).collect()),
        (INFORMATION, callers::INFORMATION, nodes(&[BANK, GAS, KUMO, "nami", INFORMATION])),
        (KUMO, callers::CARRIER, nodes(&[KUMO, INFORMATION, PHONES])),
        (
            PHONES,
            callers::TERMINAL,
            nodes(&[PHONES]).into_iter().chain([(Layout::operator(OPERATOR, PHONES), &[][..])]).collect(),
        ),
    ]
}

/// Everybody for whom the cluster's authority has issued a certificate.
fn everybody() -> Vec<Caller> {
    let named =
        ["company/nobody", "carrier/nobody", "company/aoba-bank/operator/mori", "terminal/operator/mori"];
    let nodes = [BANK, GAS, KUMO, "nami", INFORMATION, PHONES].map(Layout::party);
    let people = OPERATORS.map(|(person, _)| Layout::operator(person, BANK));
    let others = [GAS, PHONES].map(|node| Layout::operator(OPERATOR, node));
    nodes.into_iter().chain(people).chain(others).chain(named.map(|name| name.parse().unwrap())).collect()
}

fn paths() -> Vec<String> {
    let methods = contract::methods().into_iter();
    let methods = methods.map(|method| format!("/{}/{}", method.service, method.name));
    methods.chain(NOWHERE.map(str::to_owned)).collect()
}

/// The code of a call without content.
async fn call(channel: &PeerChannel, path: &str) -> Code {
    let mut client = Grpc::new(channel.with_deadline(Duration::from_secs(10)));
    client.ready().await.unwrap();
    let codec = ProstCodec::<(), ()>::default();
    let answer = client.server_streaming(Request::new(()), path.parse().unwrap(), codec).await;
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test]
async fn only_what_the_tables_allow_passes() {
    let mut system = System::start_quiet().await;
    let elsewhere = |mut stored: Stored| {
        stored.retain(|(node, ..)| ![INFORMATION, BANK].contains(node));
        stored
    };
    let before = elsewhere(system.quiet().await);
    let mut lines_before = BTreeMap::new();
    for kind in AUDITED {
        lines_before.insert(kind.as_str(), audit(&mut system, kind).await.len());
    }
    let (mut faults, mut passed) = (vec![], BTreeSet::new());
    for (node, table, known) in nodes() {
        for caller in everybody() {
            let channel = system.channel_as(&caller, node);
            for path in paths() {
                let roles = known.get(&caller);
                let is_known = roles.is_some();
                let kind = if is_known { caller.kind() } else { CallerKind::Anybody };
                let row = table.iter().find(|row| row.is_about(&path));
                let may = row.is_some_and(|row| row.allows(kind, roles.copied().unwrap_or_default()));
                if may {
                    // Tried last: what is allowed may have an effect.
                    passed.insert((node, caller.clone(), path));
                    continue;
                }
                let expected = if is_known { Code::PermissionDenied } else { Code::Unauthenticated };
                let code = call(&channel, &path).await;
                if code != expected {
                    faults.push(format!("{caller} calls {path} at {node}: {code:?}, not {expected:?}"));
                }
            }
            let code = call(&channel, HEALTH).await;
            let may = known.contains_key(&caller);
            if (code == Code::Unauthenticated) == may {
                faults.push(format!("{caller} asks for the health of {node}: {code:?}"));
            }
        }
    }
    // These keep an audit, and that is all that has changed there.
    assert!(before == elsewhere(system.quiet().await), "a refused call left something behind");
    for kind in AUDITED {
        let lines = audit(&mut system, kind).await.split_off(lines_before[kind.as_str()]);
        let told = |action: &str| lines.iter().filter(|line| line["action"] == action).count();
        assert!(told("denied") > 20 && told("refused") > 0, "the audit says too little: {lines:?}");
        assert_eq!(told("denied") + told("refused"), lines.len(), "something else happened: {lines:?}");
    }
    assert!(passed.len() > 60, "{} cells of the tables are open", passed.len());
    for (node, caller, path) in passed {
        let code = call(&system.channel_as(&caller, node), &path).await;
        if [Code::PermissionDenied, Code::Unauthenticated].contains(&code) {
            faults.push(format!("{caller} may call {path} at {node}, and gets {code:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Certificates that no handshake may take: of an unknown authority, expired, not yet good. Each names somebody who may call.
fn unwelcome(system: &System, party: &Caller, folder: &std::path::Path) -> Vec<(&'static str, Identity)> {
    let ours = system.certificate(party);
    let issuer = Authority::of(ours.authorities.parent().unwrap()).unwrap();
    let now = SystemClock.now();
    let hour = Duration::from_secs(3600);
    let kinds = [
        ("unknown authority", Validity::days(now, 1), true),
        ("expired", Validity { from: now - hour * 2, until: now - hour }, false),
        ("not yet good", Validity { from: now + hour, until: now + hour * 2 }, false),
    ];
    kinds
        .map(|(kind, validity, strange)| {
            let place = folder.join(format!("{kind} {party}").replace('/', "-"));
            let issued = if strange {
                Authority::temporary(&place).unwrap().issue(party, &[], validity).unwrap()
            } else {
                // Issued where the node's own stands, and put back: the process takes what its file says.
                let kept = [&ours.certificate, &ours.key].map(|path| std::fs::read(path).unwrap());
                let issued = issuer.issue(party, &[], validity).unwrap();
                std::fs::create_dir_all(&place).unwrap();
                let moved = |path: &std::path::Path| {
                    let to = place.join(path.file_name().unwrap());
                    std::fs::copy(path, &to).unwrap();
                    to
                };
                let (certificate, key) = (moved(&issued.certificate), moved(&issued.key));
                std::fs::write(&ours.certificate, &kept[0]).unwrap();
                std::fs::write(&ours.key, &kept[1]).unwrap();
                TlsConfig { certificate, key, ..issued }
            };
            let trusting = TlsConfig { authorities: ours.authorities.clone(), ..issued };
            (kind, Identity::load(&trusting).unwrap())
        })
        .into()
}

#[tokio::test]
async fn no_handshake_without_a_good_certificate_and_no_word_in_the_clear() {
    let mut system = System::start_quiet().await;
    let folder = tempfile::tempdir().unwrap();
    let before = system.quiet().await;
    for (node, table, known) in nodes() {
        let endpoint = system.endpoint(node);
        let address = endpoint.as_str().trim_start_matches("https://");
        // A caller for each row of the table, who would be let in with a certificate that is good.
        for row in table {
            let allowed = |(caller, roles): &(&Caller, &&[Role])| row.allows(caller.kind(), roles);
            let (caller, _) = known.iter().find(allowed).unwrap();
            for (kind, identity) in
                unwelcome(&system, caller, &folder.path().join(row.service).join(row.methods[0]))
            {
                let channel = connect(&identity, &endpoint, None, ClientOptions::default()).unwrap();
                for method in row.methods {
                    let path = format!("/{}/{method}", row.service);
                    let code = call(&channel, &path).await;
                    assert_eq!(code, Code::Unavailable, "{path} at {node} with a certificate that is {kind}");
                }
                assert_eq!(call(&channel, HEALTH).await, Code::Unavailable, "{node}, {kind}");
            }
        }
        // Nobody in particular: only a company server lets that in, and only to what is everybody's.
        let authorities = system.certificate(&Caller::Information).authorities;
        let channel = connect_with_token(&authorities, None, &endpoint, ClientOptions::default()).unwrap();
        for path in paths().iter().map(String::as_str).chain([HEALTH]) {
            let is_everybodys = |row: &MayCall| row.is_about(path) && row.allows(CallerKind::Anybody, &[]);
            let expected = match (node == BANK, table.iter().any(is_everybodys)) {
                (false, _) => Code::Unavailable,
                (true, false) => Code::Unauthenticated,
                // There is no provider in this cluster.
                (true, true) if path.ends_with("OpenId") => Code::FailedPrecondition,
                (true, true) => Code::InvalidArgument,
            };
            assert_eq!(call(&channel, path).await, expected, "{path} at {node} without a certificate");
        }
        // HTTP/2 in the clear, with what a call begins with.
        let mut plain = TcpStream::connect(address).await.unwrap();
        plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut said = Vec::new();
        let _reset =
            tokio::time::timeout(Duration::from_secs(5), plain.read_to_end(&mut said)).await.unwrap();
        assert!(said.len() < 32 && said.first() != Some(&0), "{node} answers in the clear: {said:?}");
    }
    // Who keeps an audit has it there, and nothing else.
    let after = system.stored();
    let changed = before.iter().zip(&after).filter(|(one, other)| one != other).map(|(one, _)| one.0);
    let changed: Vec<_> = changed.filter(|node| ![INFORMATION, BANK].contains(node)).collect();
    assert_eq!(changed, Vec::<&str>::new(), "a refused call left something behind");
    for kind in AUDITED {
        let lines = audit(&mut system, kind).await;
        let failed = lines.iter().filter(|line| line["action"] == "handshakes_failed");
        let told: Vec<_> = failed.map(|line| line["detail"].as_str().unwrap()).collect();
        for reason in ["nobody here believes", "has ended", "is not good yet", "does not speak TLS"] {
            let is_told = |line: &&str| line.contains(reason) && line.contains("from 127.0.0.0/24");
            assert!(told.iter().any(is_told), "{reason}: {told:#?}");
        }
        let others = ["tied", "untied", "moved", "customers_imported"];
        assert!(lines.iter().all(|line| !others.contains(&line["action"].as_str().unwrap())), "{lines:#?}");
    }
}
