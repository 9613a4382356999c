//! What nobody can guess: passwords, names of folders, ports to try. From the operating system, because this crate is
//! below `runtime`, which has the project's other source.

use std::fs::File;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use crate::Error;

const SOURCE: &str = "/dev/urandom";
/// Ports to try: above those of well-known servers, below those that the kernel hands to outgoing connections. In that
/// range a client which tries again and again while its server is down can be connected to itself, and the server never
/// gets its port back.
const PORTS: std::ops::Range<u16> = 20_000..32_768;
const TRIES: usize = 1_000;

/// 32 hexadecimal digits.
pub(crate) fn text() -> Result<String, Error> {
    Ok(bytes::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A port of loopback that was free a moment ago. Another process may take it before a server does.
pub(crate) fn free_port(name: &'static str) -> Result<u16, Error> {
    let mut port = PORTS.start;
    for _ in 0..TRIES {
        port = PORTS.start + u16::from_le_bytes(bytes()?) % (PORTS.end - PORTS.start);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Error::PortTaken { name, port })
}

fn bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    File::open(SOURCE)
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|source| Error::File { doing: "could not read", path: Path::new(SOURCE).into(), source })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_texts_differ_and_have_32_digits() {
        let (one, other) = (text().unwrap(), text().unwrap());
        assert_ne!(one, other);
        assert!(one.len() == 32 && one.chars().all(|c| c.is_ascii_hexdigit()), "{one}");
    }

    #[test]
    fn port_is_free_and_none_of_outgoing_connections() {
        let port = free_port("any").unwrap();
        assert!(PORTS.contains(&port));
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    }
}
