//! Certificates and lists of revocation: what a peer shows in a handshake is read before anything else of it, and files are an
//! operator's, half-written ones included.

use musubi_domain::caller::Caller;
use musubi_runtime::tls::{certificate::Certificate, revocation::Revocations};

pub(super) fn hold(data: &[u8]) {
    for certificate in [Certificate::read(data), Certificate::read_pem(data)].into_iter().flatten() {
        assert_ne!(certificate.serial.first(), Some(&0), "a serial number has one spelling");
        for party in certificate.names.iter().filter_map(|name| Caller::from_uri(name).map(|it| (name, it))) {
            assert_eq!(&party.1.uri(), party.0, "a party has one name");
        }
    }
    if let Ok(revocations) = Revocations::read_pem(data) {
        assert!(revocations.revoked.iter().all(|revoked| revocations.name(&revoked.serial)));
    }
}
