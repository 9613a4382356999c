//! What may happen in the life of a number, drawn by lot, the same in every run.

use std::collections::VecDeque;

use musubi_domain::phone_number::PhoneNumber;

use super::DAYS;

/// How long a carrier keeps a number back at least before it gives it to somebody else, in days.
const KEPT_BACK: i64 = 45;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Whoever has the number follows, over this carrier.
    Follows(&'static str),
    /// Ceases to follow.
    Unfollows(&'static str),
    /// Proves to be a customer, if asked.
    Proves,
    /// Proves it again, before the tie ends.
    ProvesAgain,
    /// The number is given back, and the carrier tells of it.
    Surrenders(String),
    /// The number is given up, and nobody is told.
    GivesUp,
    /// Somebody else has it now, and nobody is told.
    GoesTo(String),
    /// The number goes to the other carrier with its holder.
    Ports,
}

/// The life of a number.
pub(super) struct Life {
    /// Which.
    pub(super) number: PhoneNumber,
    /// What happens, with its day, in order.
    pub(super) deeds: VecDeque<(i64, Deed)>,
    /// One person has it all the time, at one carrier, follows and proves to be a customer.
    pub(super) faithful: bool,
    /// Everybody who ever has it.
    pub(super) customers: Vec<String>,
}

/// Lots.
struct Dice(u64);

impl Dice {
    /// A number of this range.
    fn roll(&mut self, range: std::ops::Range<i64>) -> i64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let width = u64::try_from(range.end - range.start).unwrap();
        range.start + i64::try_from((mixed ^ (mixed >> 31)) % width).unwrap()
    }
}

/// So many lives.
pub(super) fn lives(count: usize) -> Vec<Life> {
    let mut dice = Dice(20_261_128);
    (0..count).map(|place| life(place, &mut dice)).collect()
}

fn life(place: usize, dice: &mut Dice) -> Life {
    let (first, second, third) = (format!("C{place}"), format!("N{place}"), format!("N{place}b"));
    let follow = dice.roll(0..14);
    let proves = dice.roll(0..10) > 0;
    let mut deeds = vec![(follow, Deed::Follows("kumo"))];
    if proves {
        deeds.push((follow + dice.roll(0..10), Deed::Proves));
    }
    let end = dice.roll(follow + 20..160);
    let given_away = end + KEPT_BACK + dice.roll(0..60);
    let fate = dice.roll(0..20);
    match fate {
        // One person; most of them renew.
        0..7 => {
            if dice.roll(0..10) > 2 {
                deeds.push((168 + follow, Deed::ProvesAgain));
            }
        }
        // Given up unseen, and then somebody else's who knows of nothing, or follows (again), or does as well as the one before.
        7..14 => {
            deeds.push((end, Deed::GivesUp));
            deeds.push((given_away, Deed::GoesTo(second)));
            let later = given_away + dice.roll(0..20);
            match dice.roll(0..4) {
                0 => {}
                1 => deeds.push((later, Deed::Follows("kumo"))),
                2 => {
                    deeds.push((later, Deed::Follows("kumo")));
                    deeds.extend((0..6).map(|week| (later + 7 * week, Deed::Proves)));
                }
                _ => {
                    deeds.push((later, Deed::Unfollows("kumo")));
                    deeds.push((later, Deed::Follows("kumo")));
                    deeds.push((later + 1, Deed::Proves));
                }
            }
            // And once more.
            if dice.roll(0..4) == 0 {
                let again = later + 60;
                deeds.push((again, Deed::GivesUp));
                deeds.push((again + KEPT_BACK, Deed::GoesTo(third)));
            }
        }
        // Leaves the list in good order before.
        14 => {
            deeds.push((end, Deed::Unfollows("kumo")));
            deeds.push((end, Deed::GivesUp));
            deeds.push((given_away, Deed::GoesTo(second)));
            deeds.push((given_away + 3, Deed::Follows("kumo")));
            deeds.push((given_away + 5, Deed::Proves));
        }
        // Told by the carrier.
        15 => {
            deeds.push((end, Deed::Surrenders(second)));
            deeds.push((end + 3, Deed::Follows("kumo")));
            deeds.push((end + 5, Deed::Proves));
        }
        // Goes to another carrier; the old one's list may keep it. There it is given up one day.
        16 | 17 => {
            deeds.push((end, Deed::Ports));
            deeds.push((end, Deed::Follows("nami")));
            if dice.roll(0..2) == 0 {
                deeds.push((end, Deed::Unfollows("kumo")));
            }
            deeds.push((end + 10, Deed::GivesUp));
            deeds.push((end + 10 + KEPT_BACK, Deed::GoesTo(second)));
        }
        // Never given away within the time looked at.
        18 => deeds.push((end, Deed::GivesUp)),
        // Goes, and comes back.
        _ => {
            deeds.push((end, Deed::Unfollows("kumo")));
            deeds.push((end + 9, Deed::Follows("kumo")));
            deeds.push((end + 12, Deed::Proves));
        }
    }
    // In order, as they were drawn where they come on one day.
    deeds.sort_by_key(|(day, _)| *day);
    deeds.retain(|(day, _)| *day <= DAYS);
    let later_holders = deeds.iter().filter_map(|(_, deed)| match deed {
        Deed::Surrenders(to) | Deed::GoesTo(to) => Some(to.clone()),
        Deed::Follows(_)
        | Deed::Unfollows(_)
        | Deed::Proves
        | Deed::ProvesAgain
        | Deed::GivesUp
        | Deed::Ports => None,
    });
    Life {
        number: format!("+8190{place:08}").parse().unwrap(),
        customers: std::iter::once(first).chain(later_holders).collect(),
        faithful: fate < 7 && proves,
        deeds: deeds.into(),
    }
}
