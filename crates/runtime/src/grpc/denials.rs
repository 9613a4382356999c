//! Calls that were refused at the door, and handshakes that failed before it, counted until somebody writes them down.
//!
//! Surprising: an attacker chooses how often and what is called, so that calls are counted by who and what, handshakes by why and from which
//! network, and only so many of these are told apart. Handshakes cost an attacker least, so they are written down seldom.

use std::{
    collections::BTreeMap,
    mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use musubi_domain::caller::Caller;

/// How many are told apart between two looks.
const MOST: usize = 256;
/// How many kinds of failed handshakes are.
const MOST_HANDSHAKES: usize = 32;
/// How many looks after which failed handshakes are told: a minute, when one looks each second.
const LOOKS: u32 = 60;

/// A kind of call that was refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// Somebody who is known may not call this.
    NotAllowed {
        /// Who.
        caller: Caller,
        /// The method, when it is one of the node's; of others nothing is kept, because the caller wrote it.
        method: Option<&'static str>,
    },
    /// The certificate names nobody who is known, or a signature is nobody's.
    NotKnown {
        /// From where.
        address: Option<IpAddr>,
    },
    /// A connection whose handshake came to nothing.
    Handshake {
        /// From which network: a /24 of IPv4, a /48 of IPv6; elsewhere, when there were too many.
        network: Option<IpAddr>,
        /// Why, in our words.
        reason: &'static str,
    },
    /// More than could be told apart.
    Others,
}

impl Denial {
    /// How an audit tells of so many of them: what was done, and what it was.
    #[must_use]
    pub fn told(&self, count: u64) -> (&'static str, String) {
        let (action, what) = match self {
            Self::NotAllowed { caller, method } => {
                ("denied", format!("{caller} {}", method.unwrap_or("a method that there isn't")))
            }
            Self::NotKnown { address } => {
                let from = address.map_or_else(|| "somewhere".to_owned(), |address| address.to_string());
                ("refused", format!("somebody who is not known, from {from}"))
            }
            Self::Handshake { network, reason } => {
                let from = match network {
                    Some(network @ IpAddr::V4(_)) => format!("{network}/{}", V4_BITS),
                    Some(network @ IpAddr::V6(_)) => format!("{network}/{}", V6_BITS),
                    None => "elsewhere".to_owned(),
                };
                ("handshakes_failed", format!("{reason}, from {from}"))
            }
            Self::Others => ("refused", "others".to_owned()),
        };
        (action, format!("{what}, {count} times"))
    }
}

/// How much of an address names its network.
const V4_BITS: u8 = 24;
/// See [`V4_BITS`].
const V6_BITS: u8 = 48;

/// The network of an address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - V4_BITS))).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - V6_BITS))).into(),
    }
}

/// Counts of refused calls and failed handshakes. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Denials(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    calls: BTreeMap<Denial, u64>,
    handshakes: BTreeMap<Denial, u64>,
    /// Since the handshakes were told.
    looks: u32,
}

impl Denials {
    /// Counts a call.
    pub fn count(&self, denial: Denial) {
        let calls = &mut self.counts().calls;
        let is_told_apart = calls.len() < MOST || calls.contains_key(&denial);
        *calls.entry(if is_told_apart { denial } else { Denial::Others }).or_default() += 1;
    }

    /// Counts a handshake that failed for this reason.
    pub(crate) fn count_handshake(&self, address: IpAddr, reason: &'static str) {
        let handshakes = &mut self.counts().handshakes;
        let denial = Denial::Handshake { network: Some(network(address)), reason };
        let is_told_apart = handshakes.len() < MOST_HANDSHAKES || handshakes.contains_key(&denial);
        let denial = if is_told_apart { denial } else { Denial::Handshake { network: None, reason } };
        *handshakes.entry(denial).or_default() += 1;
    }

    /// What was counted since the last look; of handshakes only at each sixtieth.
    #[must_use]
    pub fn take(&self) -> BTreeMap<Denial, u64> {
        let mut counts = self.counts();
        counts.looks += 1;
        let mut taken = mem::take(&mut counts.calls);
        if counts.looks >= LOOKS {
            counts.looks = 0;
            taken.append(&mut counts.handshakes);
        }
        taken
    }

    /// All that was counted, at the end.
    #[must_use]
    pub fn take_all(&self) -> BTreeMap<Denial, u64> {
        self.counts().looks = LOOKS;
        self.take()
    }

    /// Counts what could not be written down once more.
    pub fn give_back(&self, denials: BTreeMap<Denial, u64>) {
        let mut counts = self.counts();
        for (denial, count) in denials {
            let is_handshake = matches!(denial, Denial::Handshake { .. });
            let kind = if is_handshake { &mut counts.handshakes } else { &mut counts.calls };
            *kind.entry(denial).or_default() += count;
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_kinds_is_counted_as_one() {
        let denials = Denials::default();
        for last in 0..1_000_u32 {
            denials.count(Denial::NotKnown { address: Some(IpAddr::from(last.to_be_bytes())) });
        }
        let counts = denials.take();
        assert_eq!((counts.len(), counts.values().sum::<u64>()), (MOST + 1, 1_000));
        assert!(counts[&Denial::Others] > 700 && denials.take().is_empty());
        denials.give_back(counts);
        assert_eq!(denials.take().values().sum::<u64>(), 1_000);
    }

    #[test]
    fn failed_handshakes_are_told_once_a_minute_by_network_and_reason() {
        let denials = Denials::default();
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        for address in ["192.0.2.1", "192.0.2.200", "::ffff:192.0.2.7", "2001:db8:1:2::3", "2001:db8:1:9::"] {
            denials.count_handshake(at(address), "no certificate");
        }
        denials.count(Denial::Others);
        assert_eq!(denials.take().into_keys().collect::<Vec<_>>(), [Denial::Others]);
        assert!((1..LOOKS - 1).all(|_| denials.take().is_empty()));
        let told: Vec<_> = denials.take().iter().map(|(denial, count)| denial.told(*count).1).collect();
        assert_eq!(
            told,
            ["no certificate, from 192.0.2.0/24, 3 times", "no certificate, from 2001:db8:1::/48, 2 times"]
        );
        for network in 0..1_000_u32 {
            denials.count_handshake((network << 8).to_be_bytes().into(), "too slow");
        }
        let counts = denials.take_all();
        assert_eq!((counts.len(), counts.values().sum::<u64>()), (MOST_HANDSHAKES + 1, 1_000));
        denials.give_back(counts);
        assert!(denials.take().is_empty() && denials.take_all().len() == MOST_HANDSHAKES + 1);
    }
}
