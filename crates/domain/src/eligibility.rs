//! The gate: whether a message may leave for a follower, now. And which message of a distribution it is to be.
//!
//! Everything that starts an attempt calls [`gate`] inside the transaction that records the start (I1, I2, I3). It fails
//! closed: what isn't known to be allowed is not. Nothing else in Musubi decides this.

use jiff::Timestamp;

use crate::{
    id::{CustomerId, DialogueId, TieId},
    silence::{Doubt, Holder},
};

/// What the store knows of a follower at this moment, read in the transaction that starts the attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The follower is on a list.
    pub following: bool,
    /// The company's people hold back what is individual, whatever tie there is.
    pub suspended: bool,
    /// The live tie, if there is one.
    pub tie: Option<Tie>,
    /// The present dialogue, if there is one.
    pub dialogue: Option<DialogueId>,
}

/// A live tie of a follower to a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tie {
    /// Which.
    pub id: TieId,
    /// To whom.
    pub customer_id: CustomerId,
    /// Held back for now: the number is missing from a quarantined list.
    pub suspended: bool,
    /// When it is too old to be trusted.
    pub expire_time: Timestamp,
    /// Whether the number is still that person's.
    pub holder: Holder,
}

/// What is about to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A step of a dialogue.
    Request(DialogueId),
    /// Content made for the customer of this tie.
    Individual(TieId, CustomerId),
    /// What everybody may get.
    Uniform,
}

/// Why a message may not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closed {
    /// The follower follows no more.
    NotFollowing,
    /// The dialogue is over or another.
    OtherDialogue,
    /// There is no tie.
    NoTie,
    /// The tie is another than the content was made for.
    OtherTie,
    /// The company's people hold it back.
    SuspendedByCompany,
    /// The tie is suspended.
    Suspended,
    /// The tie is too old.
    TieExpired,
    /// Nobody has said of late that the number is still the customer's.
    Silent,
}

/// Why a follower that has a tie gets nothing individual, in the words of the wire and of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Held {
    /// The company's people have suspended the follower.
    ByCompany,
    /// The number is missing from a quarantined list.
    Quarantined,
    /// The tie is too old.
    Expired,
    /// Nobody has said of late that the number is still the customer's; and what was said instead.
    Silent(Option<Doubt>),
}

impl Held {
    /// What the gate has against a tie, whoever it is to; and whether the company's people have suspended its follower.
    #[must_use]
    pub fn of(tie: &Tie, suspended: bool, now: Timestamp) -> Option<Self> {
        let standing = Standing { following: true, suspended, tie: Some(tie.clone()), dialogue: None };
        match gate(&Outgoing::Individual(tie.id, tie.customer_id.clone()), &standing, now) {
            Err(Closed::SuspendedByCompany) => Some(Self::ByCompany),
            Err(Closed::Suspended) => Some(Self::Quarantined),
            Err(Closed::TieExpired) => Some(Self::Expired),
            Err(Closed::Silent) => Some(Self::Silent(tie.holder.doubt)),
            Ok(()) | Err(Closed::NotFollowing | Closed::OtherDialogue | Closed::NoTie | Closed::OtherTie) => {
                None
            }
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ByCompany => "by_company",
            Self::Quarantined => "list_quarantined",
            Self::Expired => "tie_expired",
            Self::Silent(None) => "number_silent",
            Self::Silent(Some(doubt)) => doubt.as_str(),
        }
    }
}

/// Whether it may leave now.
///
/// # Errors
/// Why not.
pub fn gate(outgoing: &Outgoing, standing: &Standing, now: Timestamp) -> Result<(), Closed> {
    if !standing.following {
        return Err(Closed::NotFollowing);
    }
    match outgoing {
        Outgoing::Uniform => Ok(()),
        Outgoing::Request(dialogue) if standing.dialogue == Some(*dialogue) => Ok(()),
        Outgoing::Request(_) => Err(Closed::OtherDialogue),
        Outgoing::Individual(id, customer_id) => match &standing.tie {
            None => Err(Closed::NoTie),
            Some(tie) if tie.id != *id || tie.customer_id != *customer_id => Err(Closed::OtherTie),
            Some(_) if standing.suspended => Err(Closed::SuspendedByCompany),
            Some(tie) if tie.suspended => Err(Closed::Suspended),
            Some(tie) if tie.expire_time <= now => Err(Closed::TieExpired),
            Some(tie) if tie.holder.is_silent(now) => Err(Closed::Silent),
            Some(_) => Ok(()),
        },
    }
}

/// Which message of a distribution a follower is to get, decided once, when its first attempt starts: the individual one
/// only when values were given for the customer and the gate is open for it.
#[must_use]
pub fn choose(standing: &Standing, values_for: impl Fn(&CustomerId) -> bool, now: Timestamp) -> Outgoing {
    standing
        .tie
        .as_ref()
        .filter(|tie| values_for(&tie.customer_id))
        .map(|tie| Outgoing::Individual(tie.id, tie.customer_id.clone()))
        .filter(|individual| gate(individual, standing, now).is_ok())
        .unwrap_or(Outgoing::Uniform)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::FollowerId, silence::Silence};

    fn now() -> Timestamp {
        "2026-11-23T00:00:00Z".parse().unwrap()
    }

    fn dialogue(turn: u32) -> DialogueId {
        DialogueId::derive(FollowerId::from_bytes([9; 16]), turn)
    }

    fn standing() -> Standing {
        let tie = Tie {
            id: TieId::derive(dialogue(0)),
            customer_id: "C1".parse().unwrap(),
            suspended: false,
            expire_time: "2027-01-01T00:00:00Z".parse().unwrap(),
            holder: Silence::of_days(30).proved("2026-11-20T00:00:00Z".parse().unwrap()),
        };
        Standing { following: true, suspended: false, tie: Some(tie), dialogue: Some(dialogue(0)) }
    }

    fn with_tie(change: impl Fn(&mut Tie)) -> Standing {
        let mut standing = standing();
        standing.tie.as_mut().into_iter().for_each(change);
        standing
    }

    fn individual() -> Outgoing {
        Outgoing::Individual(TieId::derive(dialogue(0)), "C1".parse().unwrap())
    }

    #[test]
    fn individual_content_leaves_only_for_its_own_live_tie() {
        let other_id = TieId::derive(dialogue(1));
        let other_customer: CustomerId = "C2".parse().unwrap();
        for (standing, expected) in [
            (standing(), Ok(())),
            (Standing { following: false, ..standing() }, Err(Closed::NotFollowing)),
            (Standing { tie: None, ..standing() }, Err(Closed::NoTie)),
            (with_tie(|tie| tie.id = other_id), Err(Closed::OtherTie)),
            (with_tie(|tie| tie.customer_id = other_customer.clone()), Err(Closed::OtherTie)),
            (Standing { suspended: true, ..standing() }, Err(Closed::SuspendedByCompany)),
            (with_tie(|tie| tie.suspended = true), Err(Closed::Suspended)),
            (with_tie(|tie| tie.expire_time = now()), Err(Closed::TieExpired)),
            (with_tie(|tie| tie.holder.silent_time = now()), Err(Closed::Silent)),
        ] {
            assert_eq!(gate(&individual(), &standing, now()), expected, "{standing:?}");
        }
    }

    /// One thing that a message needs, and how to take it away from a follower who has everything.
    struct Condition {
        closed: Closed,
        /// Of which messages: requests, individual ones, uniform ones.
        of: [bool; 3],
        take_away: fn(&mut Standing),
    }

    fn tie_of(standing: &mut Standing) -> &mut Tie {
        standing.tie.as_mut().unwrap()
    }

    /// All of them, in the order in which the gate names them. At a boundary, what is taken away is the last moment.
    const CONDITIONS: [Condition; 9] = [
        Condition { closed: Closed::NotFollowing, of: [true; 3], take_away: |it| it.following = false },
        Condition {
            closed: Closed::OtherDialogue,
            of: [true, false, false],
            take_away: |it| it.dialogue = Some(dialogue(1)),
        },
        Condition {
            closed: Closed::OtherDialogue,
            of: [true, false, false],
            take_away: |it| it.dialogue = None,
        },
        Condition {
            closed: Closed::OtherTie,
            of: [false, true, false],
            take_away: |it| tie_of(it).id = TieId::derive(dialogue(1)),
        },
        Condition {
            closed: Closed::OtherTie,
            of: [false, true, false],
            take_away: |it| tie_of(it).customer_id = "C2".parse().unwrap(),
        },
        Condition {
            closed: Closed::SuspendedByCompany,
            of: [false, true, false],
            take_away: |it| it.suspended = true,
        },
        Condition {
            closed: Closed::Suspended,
            of: [false, true, false],
            take_away: |it| tie_of(it).suspended = true,
        },
        Condition {
            closed: Closed::TieExpired,
            of: [false, true, false],
            take_away: |it| tie_of(it).expire_time = now(),
        },
        Condition {
            closed: Closed::Silent,
            of: [false, true, false],
            take_away: |it| tie_of(it).holder.silent_time = now(),
        },
    ];

    /// The gate as the list above says it, without these conditions.
    fn gate_without(missing: &[usize], kind: usize, taken: u32) -> Result<(), Closed> {
        let holds = |at: usize| taken >> at & 1 == 0;
        let asked = (0..CONDITIONS.len()).filter(|at| CONDITIONS[*at].of[kind] && !missing.contains(at));
        asked.into_iter().find(|at| !holds(*at)).map_or(Ok(()), |at| Err(CONDITIONS[at].closed))
    }

    /// Every follower that lacks some of the conditions, with every message: the gate opens for exactly those who lack none. And a gate
    /// that forgets any one condition would open for somebody among them, so each of such mutants is caught here.
    #[test]
    fn no_condition_of_the_gate_can_be_left_out() {
        let kinds = [Outgoing::Request(dialogue(0)), individual(), Outgoing::Uniform];
        let mut caught = [false; CONDITIONS.len()];
        for taken in 0..1_u32 << CONDITIONS.len() {
            let mut follower = standing();
            for (at, condition) in CONDITIONS.iter().enumerate() {
                if taken >> at & 1 == 1 {
                    (condition.take_away)(&mut follower);
                }
            }
            for (kind, outgoing) in kinds.iter().enumerate() {
                let is = gate(outgoing, &follower, now());
                assert_eq!(is, gate_without(&[], kind, taken), "{outgoing:?} {follower:?}");
                for (at, caught) in caught.iter_mut().enumerate() {
                    // Only this condition refuses it.
                    *caught |= is.is_err() && gate_without(&[at], kind, taken).is_ok();
                }
            }
        }
        assert_eq!(caught, [true; CONDITIONS.len()]);
        let untied = Standing { tie: None, ..standing() };
        assert_eq!(gate(&individual(), &untied, now()), Err(Closed::NoTie));
        // A moment earlier all of it is still there.
        let nearly = with_tie(|tie| {
            let next = now() + jiff::SignedDuration::from_nanos(1);
            (tie.expire_time, tie.holder.silent_time) = (next, next);
        });
        assert_eq!(gate(&individual(), &nearly, now()), Ok(()));
    }

    #[test]
    fn a_tie_that_is_held_says_why() {
        let doubted = |tie: &mut Tie| tie.holder = tie.holder.doubted(Doubt::NotFound, now());
        for (standing, word) in [
            (standing(), None),
            (Standing { suspended: true, ..standing() }, Some("by_company")),
            (with_tie(|tie| tie.suspended = true), Some("list_quarantined")),
            (with_tie(|tie| tie.expire_time = now()), Some("tie_expired")),
            (with_tie(|tie| tie.holder.silent_time = now()), Some("number_silent")),
            (with_tie(doubted), Some("number_not_found")),
        ] {
            let held = standing.tie.as_ref().and_then(|tie| Held::of(tie, standing.suspended, now()));
            assert_eq!(held.map(Held::as_str), word);
        }
    }

    #[test]
    fn requests_leave_only_in_their_own_dialogue() {
        assert_eq!(gate(&Outgoing::Request(dialogue(0)), &standing(), now()), Ok(()));
        assert_eq!(gate(&Outgoing::Request(dialogue(1)), &standing(), now()), Err(Closed::OtherDialogue));
        let gone = Standing { following: false, ..standing() };
        assert_eq!(gate(&Outgoing::Request(dialogue(0)), &gone, now()), Err(Closed::NotFollowing));
    }

    #[test]
    fn uniform_content_leaves_for_every_follower_and_nobody_else() {
        let untied = Standing { tie: None, dialogue: None, ..standing() };
        assert_eq!(gate(&Outgoing::Uniform, &untied, now()), Ok(()));
        let gone = Standing { following: false, ..untied };
        assert_eq!(gate(&Outgoing::Uniform, &gone, now()), Err(Closed::NotFollowing));
    }

    #[test]
    fn a_distribution_falls_back_to_uniform_on_any_doubt() {
        assert_eq!(choose(&standing(), |_| true, now()), individual());
        assert_eq!(choose(&standing(), |_| false, now()), Outgoing::Uniform);
        for doubtful in [
            Standing { tie: None, ..standing() },
            Standing { suspended: true, ..standing() },
            with_tie(|tie| tie.suspended = true),
            with_tie(|tie| tie.expire_time = now()),
            with_tie(|tie| tie.holder.silent_time = now()),
        ] {
            assert_eq!(choose(&doubtful, |_| true, now()), Outgoing::Uniform, "{doubtful:?}");
        }
    }
}
