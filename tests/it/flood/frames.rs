//! HTTP/2 by hand: the frames of attackers, over a connection whose handshake was good.

use std::{io, sync::Arc};

use futures::future::BoxFuture;
use musubi_runtime::{config::Endpoint, tls::Identity};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(super) type Connection = TlsStream<TcpStream>;
/// Does its worst; an error when the server closes the connection meanwhile.
pub(super) type Attack = fn(&mut Connection) -> BoxFuture<'_, io::Result<()>>;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// How to connect with a good certificate.
#[derive(Clone)]
pub(super) struct Wire {
    connector: TlsConnector,
    address: Arc<str>,
}

impl Wire {
    pub(super) fn new(identity: Identity, endpoint: &Endpoint) -> Self {
        let address = endpoint.as_str().trim_start_matches("https://").into();
        Self { connector: TlsConnector::from(identity.client()), address }
    }

    pub(super) async fn connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect(&*self.address).await?;
        self.connector.connect("127.0.0.1".try_into().unwrap(), stream).await
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The headers of a call of `PushEvents`, and one more.
fn call(more: &[(&str, &str)]) -> Vec<u8> {
    // `:method POST` and `:scheme https` stand in HPACK's table; the others are literals that are not indexed.
    let mut block = vec![0x83, 0x87];
    let mut literal = |name: Result<u8, &str>, value: &str| {
        match name {
            Ok(index) => block.push(index),
            Err(name) => {
                block.push(0);
                block.push(u8::try_from(name.len()).unwrap());
                block.extend(name.as_bytes());
            }
        }
        block.push(u8::try_from(value.len()).unwrap());
        block.extend(value.as_bytes());
    };
    literal(Ok(4), "/musubi.information.v1.CarrierEventService/PushEvents");
    literal(Ok(1), "127.0.0.1");
    literal(Err("content-type"), "application/grpc");
    literal(Err("te"), "trailers");
    for (name, value) in more {
        literal(Err(name), value);
    }
    block
}

async fn send(connection: &mut Connection, bytes: &[u8]) -> io::Result<()> {
    connection.write_all(bytes).await?;
    connection.flush().await
}

/// Begins HTTP/2.
pub(super) async fn begin(connection: &mut Connection) -> io::Result<()> {
    send(connection, &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &[])[..]].concat()).await
}

/// Reads until the server goes away, closes, or ends a stream. True when it did.
pub(super) async fn until_refused(connection: &mut Connection) -> bool {
    let mut head = [0; 9];
    loop {
        if connection.read_exact(&mut head).await.is_err() {
            return true;
        }
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        if connection.read_exact(&mut payload).await.is_err() {
            return true;
        }
        let ends = matches!(head[3], GO_AWAY | RESET)
            || (matches!(head[3], HEADERS | DATA) && head[4] & END_STREAM == END_STREAM);
        if ends {
            return true;
        }
    }
}

/// Sends a part for each number, all of them odd streams.
async fn repeat(connection: &mut Connection, times: u32, part: impl Fn(u32) -> Vec<u8>) -> io::Result<()> {
    for chunk in 0..times / 50 {
        let parts: Vec<u8> = (0..50).flat_map(|place| part((chunk * 50 + place) * 2 + 1)).collect();
        send(connection, &parts).await?;
    }
    Ok(())
}

macro_rules! attack {
    ($name:ident($connection:ident) $body:expr) => {
        fn $name($connection: &mut Connection) -> BoxFuture<'_, io::Result<()>> {
            Box::pin(async move { $body.await })
        }
    };
}

attack!(malformed_headers(it) repeat(it, 2_000, |stream| frame(HEADERS, END_STREAM | END_HEADERS, stream, &[])));
attack!(rapid_reset(it) repeat(it, 4_000, |stream| {
    [frame(HEADERS, END_HEADERS, stream, &call(&[])), frame(RESET, 0, stream, &8_u32.to_be_bytes())].concat()
}));
attack!(endless_headers(it) async {
    send(it, &frame(HEADERS, 0, 1, &call(&[]))).await?;
    repeat(it, 4_000, |_| frame(CONTINUATION, 0, 1, &[[0, 4].as_slice(), b"more", &[4], b"more"].concat())).await
});
attack!(large_headers(it) repeat(it, 200, |stream| {
    let value = "x".repeat(120);
    let many: Vec<(&str, &str)> = (0..120).map(|_| ("more", value.as_str())).collect();
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &call(&many))
}));
attack!(pings(it) repeat(it, 50_000, |_| frame(PING, 0, 0, &[0; 8])));
attack!(settings(it) repeat(it, 50_000, |_| frame(SETTINGS, 0, 0, &[])));
attack!(empty_data(it) async {
    send(it, &frame(HEADERS, END_HEADERS, 1, &call(&[]))).await?;
    repeat(it, 50_000, |_| frame(DATA, 0, 1, &[])).await
});
attack!(open_streams(it) repeat(it, 2_000, |stream| frame(HEADERS, END_HEADERS, stream, &call(&[]))));
attack!(message_without_end(it) async {
    send(it, &frame(HEADERS, END_HEADERS, 1, &call(&[]))).await?;
    send(it, &frame(DATA, 0, 1, &[0, 0x7f, 0xff, 0xff, 0xff])).await
});
attack!(compressed_bomb(it) async {
    // A kilobyte that says to be a gigabyte; nobody unpacks it.
    send(it, &frame(HEADERS, END_HEADERS, 1, &call(&[("grpc-encoding", "gzip")]))).await?;
    let packed = [&[1, 0, 0, 4, 0][..], &[0x1f, 0x8b, 8, 0], &[0; 1020]].concat();
    send(it, &frame(DATA, END_STREAM, 1, &packed)).await
});
attack!(nested_message(it) async {
    // A hundred thousand groups, one in the other, in a field that nobody knows.
    let groups = vec![0x7b; 16_000];
    send(it, &frame(HEADERS, END_HEADERS, 1, &call(&[]))).await?;
    let length = u32::try_from(groups.len()).unwrap().to_be_bytes();
    send(it, &frame(DATA, END_STREAM, 1, &[&[0][..], &length, &groups].concat())).await
});

/// All of them, and what stands in the audit of each but the caller.
pub(super) const ATTACKS: [(Attack, &str); 11] = [
    (malformed_headers, "in its frames: ENHANCE_YOUR_CALM"),
    (rapid_reset, "in its frames: ENHANCE_YOUR_CALM"),
    (endless_headers, "in its frames: ENHANCE_YOUR_CALM"),
    (large_headers, "in its frames: headers that are too long"),
    (pings, "in its frames: too many that ask for nothing"),
    (settings, "in its frames: too many that ask for nothing"),
    (empty_data, "in its frames: ENHANCE_YOUR_CALM"),
    (open_streams, "in its frames: REFUSED_STREAM"),
    (message_without_end, "PushEvents: OUT_OF_RANGE"),
    (compressed_bomb, "PushEvents: UNIMPLEMENTED"),
    (nested_message, "PushEvents: INTERNAL"),
];
