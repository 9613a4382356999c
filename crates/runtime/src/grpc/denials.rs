//! What was refused at a door, and handshakes that failed before it, counted until somebody writes it down.
//!
//! Who is denied a method, and who is nobody, is told at each look. Whatever else is refused to a caller, by a handler or because the caller calls
//! too often, what is wrong with a connection's frames, and what is posted at a door that is none of gRPC, is told now and then, and so are
//! handshakes. Surprising: an attacker chooses how often and what is called, so that calls are counted by who, what and why in our own words,
//! handshakes by why and from which network, and only so many of these are told apart.

use std::{
    collections::BTreeMap,
    mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use musubi_domain::caller::Caller;

/// How many are told apart between two times that they are told.
const MOST: usize = 256;
/// How many kinds of failed handshakes are.
const MOST_HANDSHAKES: usize = 32;
/// After how many looks, one each second, is told what is told now and then.
const LOOKS: u64 = 60;

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
    /// The certificate names nobody who is known, or a token is nobody's.
    NotKnown {
        /// From where.
        address: Option<IpAddr>,
    },
    /// Somebody who may call this was refused what they asked for.
    Refused {
        /// Who.
        caller: Caller,
        /// The method, as of [`Self::NotAllowed`].
        method: Option<&'static str>,
        /// Why: a gRPC code, or our words.
        why: &'static str,
    },
    /// Something was posted at a door where anybody may, and had no effect.
    Posted {
        /// At which door, in our words.
        door: String,
        /// Why, in our words.
        why: &'static str,
    },
    /// A connection, or a part of it, was broken off for what the peer sent.
    Frames {
        /// Whom the peer's certificate names first; no certificate, no name.
        caller: Option<Caller>,
        /// From which network one without a name came, as of [`Self::Handshake`].
        network: Option<IpAddr>,
        /// What was wrong: an error of HTTP/2, or our words.
        wrong: &'static str,
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
            Self::NotAllowed { caller, method } => ("denied", format!("{caller} {}", named(*method))),
            Self::NotKnown { address } => {
                let from = address.map_or_else(|| "somewhere".to_owned(), |address| address.to_string());
                ("refused", format!("somebody who is not known, from {from}"))
            }
            Self::Refused { caller, method, why } => {
                ("refused", format!("{caller} {}: {why}", named(*method)))
            }
            Self::Posted { door, why } => ("refused", format!("somebody at {door}: {why}")),
            Self::Frames { caller: Some(caller), wrong, .. } => {
                ("refused", format!("{caller} in its frames: {wrong}"))
            }
            Self::Frames { caller: None, network, wrong } => {
                ("refused", format!("somebody from {} in their frames: {wrong}", place(*network)))
            }
            Self::Handshake { network, reason } => {
                ("handshakes_failed", format!("{reason}, from {}", place(*network)))
            }
            Self::Others => ("refused", "others".to_owned()),
        };
        (action, format!("{what}, {count} times"))
    }

    /// Whose call it was, when somebody known called.
    #[must_use]
    pub fn caller(&self) -> Option<&Caller> {
        match self {
            Self::NotAllowed { caller, .. } | Self::Refused { caller, .. } => Some(caller),
            Self::Frames { caller, .. } => caller.as_ref(),
            Self::NotKnown { .. } | Self::Posted { .. } | Self::Handshake { .. } | Self::Others => None,
        }
    }
}

fn named(method: Option<&'static str>) -> &'static str {
    method.unwrap_or("a method that there isn't")
}

fn place(network: Option<IpAddr>) -> String {
    match network {
        Some(network @ IpAddr::V4(_)) => format!("{network}/{V4_BITS}"),
        Some(network @ IpAddr::V6(_)) => format!("{network}/{V6_BITS}"),
        None => "elsewhere".to_owned(),
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

/// Counts of what was refused. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Denials(Arc<Mutex<Counts>>);

#[derive(Debug)]
struct Counts {
    /// What is told at each look.
    at_once: Tally,
    /// What is told now and then.
    refusals: Tally,
    handshakes: Tally,
    /// Since that was told, and after how many it is.
    looks: u64,
    most_looks: u64,
}

impl Default for Counts {
    fn default() -> Self {
        let [at_once, refusals, handshakes] = [Tally::new(), Tally::new(), Tally::new()];
        Self { at_once, refusals, handshakes, looks: 0, most_looks: LOOKS }
    }
}

type Tally = BTreeMap<Denial, u64>;

/// Counts one more; it is `other` where there are too many to tell them apart.
fn add(tally: &mut Tally, most: usize, denial: Denial, other: Denial) {
    let is_told_apart = tally.len() < most || tally.contains_key(&denial);
    *tally.entry(if is_told_apart { denial } else { other }).or_default() += 1;
}

impl Denials {
    /// Tells so often, and not each minute, what is told now and then.
    pub(super) fn telling_every(every: Duration) -> Self {
        Self(Arc::new(Mutex::new(Counts { most_looks: every.as_secs(), ..Counts::default() })))
    }

    /// Counts a call.
    pub fn count(&self, denial: Denial) {
        let mut counts = self.counts();
        add(counts.of(&denial), MOST, denial, Denial::Others);
    }

    /// Counts a handshake that failed for this reason.
    pub(crate) fn count_handshake(&self, address: IpAddr, reason: &'static str) {
        let denial = |network| Denial::Handshake { network, reason };
        let handshakes = &mut self.counts().handshakes;
        add(handshakes, MOST_HANDSHAKES, denial(Some(network(address))), denial(None));
    }

    /// Counts frames of a peer that were broken off: of whom a certificate names, or else of a network.
    pub(crate) fn count_frames(&self, caller: Option<&Caller>, address: IpAddr, wrong: &'static str) {
        let network = caller.is_none().then(|| network(address));
        self.count(Denial::Frames { caller: caller.cloned(), network, wrong });
    }

    /// What was counted since the last look, of which there is one each second; what is told now and then only when its time has come.
    #[must_use]
    pub fn take(&self) -> BTreeMap<Denial, u64> {
        let mut counts = self.counts();
        counts.looks += 1;
        let mut taken = mem::take(&mut counts.at_once);
        if counts.looks >= counts.most_looks {
            counts.looks = 0;
            let refusals = mem::take(&mut counts.refusals);
            // Too many to be told apart may be among both.
            refusals.into_iter().for_each(|(denial, count)| *taken.entry(denial).or_default() += count);
            taken.append(&mut counts.handshakes);
        }
        taken
    }

    /// All that was counted, at the end.
    #[must_use]
    pub fn take_all(&self) -> BTreeMap<Denial, u64> {
        {
            let mut counts = self.counts();
            counts.looks = counts.most_looks;
        }
        self.take()
    }

    /// Counts what could not be written down once more.
    pub fn give_back(&self, denials: BTreeMap<Denial, u64>) {
        let mut counts = self.counts();
        for (denial, count) in denials {
            *counts.of(&denial).entry(denial).or_default() += count;
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Where it is counted.
    fn of(&mut self, denial: &Denial) -> &mut Tally {
        match denial {
            Denial::NotAllowed { .. } | Denial::NotKnown { .. } | Denial::Others => &mut self.at_once,
            Denial::Refused { .. } | Denial::Frames { .. } | Denial::Posted { .. } => &mut self.refusals,
            Denial::Handshake { .. } => &mut self.handshakes,
        }
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

    #[test]
    fn what_is_refused_to_callers_is_told_now_and_then_by_who_what_and_why() {
        let denials = Denials::telling_every(Duration::from_secs(3));
        let refused = |caller: &str, method| Denial::Refused {
            caller: caller.parse().unwrap(),
            method,
            why: "NOT_FOUND",
        };
        let posted = Denial::Posted { door: "the webhook of kumo".to_owned(), why: "no good signature" };
        let bad = |caller: Option<&str>| {
            let caller = caller.map(|caller| caller.parse().unwrap());
            denials.count_frames(caller.as_ref(), "192.0.2.7".parse().unwrap(), "PROTOCOL_ERROR");
        };
        bad(Some("carrier/kumo"));
        bad(None);
        for denial in [refused("company/bank", Some("GetReview")), refused("carrier/kumo", None), posted] {
            denials.count(denial.clone());
            denials.count(denial);
        }
        assert!(denials.take().is_empty() && denials.take().is_empty());
        let told: Vec<_> = denials.take().iter().map(|(denial, count)| denial.told(*count)).collect();
        assert_eq!(
            told.iter().map(|(action, detail)| (*action, detail.as_str())).collect::<Vec<_>>(),
            [
                ("refused", "company/bank GetReview: NOT_FOUND, 2 times"),
                ("refused", "carrier/kumo a method that there isn't: NOT_FOUND, 2 times"),
                ("refused", "somebody at the webhook of kumo: no good signature, 2 times"),
                ("refused", "somebody from 192.0.2.0/24 in their frames: PROTOCOL_ERROR, 1 times"),
                ("refused", "carrier/kumo in its frames: PROTOCOL_ERROR, 1 times"),
            ]
        );
        for count in 0..1_000 {
            denials.count(refused(&format!("company/c{count}"), None));
        }
        let counts = denials.take_all();
        assert_eq!((counts.len(), counts[&Denial::Others]), (MOST + 1, 1_000 - MOST as u64));
    }
}
