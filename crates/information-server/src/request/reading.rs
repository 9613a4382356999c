//! What a person's answer means: a tap, or a text read generously.

use musubi_domain::{
    customer::GivenAccount,
    dialogue::{Choice, Dialogue, Event, State},
    id::{DialogueId, TieId},
    postback::Postback,
};
use musubi_matching::{AccountFormat, parse_account_text};
use musubi_storage::information::FollowerKey;

use crate::directory::Texts;

/// What a tap means to the present dialogue.
#[derive(Debug, PartialEq, Eq)]
pub enum Tap {
    /// A button of the present step.
    Now(Event),
    /// "This is not me", below a message for the live tie.
    NotMe,
    /// A button of an earlier step or dialogue of the same follower: no effect.
    Late,
    /// Not this follower's: forged or stolen.
    Foreign,
}

/// Holds an authenticated postback against the follower's dialogue.
#[must_use]
pub fn read_tap(key: &FollowerKey, dialogue: &Dialogue, postback: &Postback) -> Tap {
    if postback.dialogue == dialogue.id {
        if postback.step == dialogue.step { Tap::Now(Event::Chose(postback.choice)) } else { Tap::Late }
    } else if (0..dialogue.turn).any(|turn| DialogueId::derive(key.follower, turn) == postback.dialogue) {
        Tap::Late
    } else {
        Tap::Foreign
    }
}

/// Holds an authenticated "this is not me" against the follower's live tie, which any message of it may name, whatever was said since.
/// A dialogue that renews a tie names it by itself.
#[must_use]
pub fn read_not_me(key: &FollowerKey, dialogue: &Dialogue, live: Option<TieId>, named: TieId) -> Tap {
    let of_turn = |turn| TieId::derive(DialogueId::derive(key.follower, turn));
    match live {
        Some(tie) if tie == named || of_turn(dialogue.turn) == named => Tap::NotMe,
        Some(_) | None if (0..=dialogue.turn).any(|turn| of_turn(turn) == named) => Tap::Late,
        Some(_) | None => Tap::Foreign,
    }
}

/// What a person may type, at any time, to have all that is held about them erased; without spaces and marks, in lower case.
const ERASE: [&str; 9] = [
    "削除",
    "削除して",
    "削除してください",
    "個人情報を削除",
    "個人情報を削除して",
    "個人情報を削除してください",
    "データを削除",
    "erasemydata",
    "deletemydata",
];

/// Reads a typed text. `None`: the dialogue doesn't wait for one. That people want to be erased is read whatever it waits for.
#[must_use]
pub fn read_text(dialogue: &Dialogue, text: &str, texts: &Texts, format: &AccountFormat) -> Option<Event> {
    if ERASE.contains(&plain(text).as_str()) {
        return Some(Event::EraseAsked);
    }
    match dialogue.state {
        State::Asked => read_choice(text, texts).map(Event::Chose),
        State::AccountAsked => Some(parse_account_text(text, format).map_or(Event::Unreadable, |read| {
            Event::AccountGiven(GivenAccount {
                branch_number: read.branch_number,
                account_number: read.account_number,
            })
        })),
        State::Waiting
        | State::IdentityAsked
        | State::Matching
        | State::Confirmed
        | State::Rejected
        | State::Review
        | State::NoAccount
        | State::Declined
        | State::Unanswered
        | State::Abandoned
        | State::Locked
        | State::Ended => None,
    }
}

/// A button's label, its number, or yes and no, in any width.
fn read_choice(text: &str, texts: &Texts) -> Option<Choice> {
    let plain = plain(text);
    let is = |label: &str| plain == self::plain(label);
    if is(&texts.confirm) || ["1", "b1", "はい", "yes"].contains(&plain.as_str()) {
        Some(Choice::Confirm)
    } else if is(&texts.no_account) || ["2", "b2"].contains(&plain.as_str()) {
        Some(Choice::NoAccount)
    } else if is(&texts.decline) || ["3", "b3", "いいえ", "no"].contains(&plain.as_str()) {
        Some(Choice::Decline)
    } else {
        None
    }
}

/// Without spaces and closing marks, full-width signs made half-width, in lower case.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '。' | '.' | '！' | '!' | '．'))
        .map(|c| match c {
            '！'..='～' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
            other => other,
        })
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use musubi_domain::{dialogue::Rules, id::FollowerId};

    use super::*;

    const FORMAT: AccountFormat = AccountFormat { account_digits: 7, branch_digits: 3 };

    fn dialogue(state: State, turn: u32) -> Dialogue {
        let id = DialogueId::derive(key().follower, turn);
        let begun = Dialogue::begin(id, turn, &Rules::default(), Timestamp::UNIX_EPOCH);
        Dialogue { state, step: 2, ..begun }
    }

    fn key() -> FollowerKey {
        FollowerKey { account: "a".parse().unwrap(), follower: FollowerId::from_bytes([5; 16]) }
    }

    #[test]
    fn an_answer_may_be_typed_instead_of_tapped() {
        let texts = Texts::default();
        for (text, choice) in [
            ("１", Some(Choice::Confirm)),
            ("はい。", Some(Choice::Confirm)),
            (texts.confirm.as_str(), Some(Choice::Confirm)),
            (" ２ ", Some(Choice::NoAccount)),
            (texts.decline.as_str(), Some(Choice::Decline)),
            ("いいえ", Some(Choice::Decline)),
            ("こんにちは", None),
            ("", None),
        ] {
            let read = read_text(&dialogue(State::Asked, 0), text, &texts, &FORMAT);
            assert_eq!(read, choice.map(Event::Chose), "{text}");
        }
    }

    #[test]
    fn a_text_where_none_is_awaited_means_nothing() {
        for state in State::ALL {
            let read = read_text(&dialogue(state, 0), "1234567", &Texts::default(), &FORMAT);
            assert_eq!(read.is_some(), state == State::AccountAsked, "{state:?}");
        }
        let read = read_text(&dialogue(State::AccountAsked, 0), "分かりません", &Texts::default(), &FORMAT);
        assert_eq!(read, Some(Event::Unreadable));
    }

    #[test]
    fn who_wants_to_be_erased_may_say_so_at_any_time() {
        for state in State::ALL {
            for text in [
                "削除",
                " 個人情報を削除。",
                "Erase my data!",
                "ｄｅｌｅｔｅ　ｍｙ　ｄａｔａ",
                "個人情報を 削除してください",
            ] {
                let read = read_text(&dialogue(state, 0), text, &Texts::default(), &FORMAT);
                assert_eq!(read, Some(Event::EraseAsked), "{state:?} {text}");
            }
            let read = read_text(&dialogue(state, 0), "削除しないで", &Texts::default(), &FORMAT);
            assert_ne!(read, Some(Event::EraseAsked));
        }
    }

    #[test]
    fn taps_are_now_late_or_foreign() {
        let dialogue = dialogue(State::Asked, 2);
        let tap =
            |id, step| read_tap(&key(), &dialogue, &Postback { dialogue: id, step, choice: Choice::Confirm });
        let own = |turn| DialogueId::derive(key().follower, turn);
        assert_eq!(tap(own(2), 2), Tap::Now(Event::Chose(Choice::Confirm)));
        assert_eq!(tap(own(2), 1), Tap::Late);
        assert_eq!(tap(own(1), 2), Tap::Late);
        assert_eq!(tap(own(3), 2), Tap::Foreign);
        assert_eq!(tap(DialogueId::derive(FollowerId::from_bytes([6; 16]), 2), 2), Tap::Foreign);
    }

    #[test]
    fn not_me_is_about_the_live_tie_and_no_other() {
        let dialogue = dialogue(State::Confirmed, 2);
        let of_turn = |turn| TieId::derive(DialogueId::derive(key().follower, turn));
        let tap = |live, named| read_not_me(&key(), &dialogue, live, named);
        assert_eq!(tap(Some(of_turn(2)), of_turn(2)), Tap::NotMe);
        assert_eq!(tap(Some(of_turn(1)), of_turn(1)), Tap::NotMe, "renewed in a later dialogue");
        assert_eq!(tap(Some(of_turn(1)), of_turn(2)), Tap::NotMe, "and named by that");
        assert_eq!(tap(Some(of_turn(2)), of_turn(1)), Tap::Late, "of a tie that has ended");
        assert_eq!(tap(None, of_turn(2)), Tap::Late);
        let foreign = TieId::derive(DialogueId::derive(FollowerId::from_bytes([6; 16]), 2));
        assert_eq!(tap(Some(of_turn(2)), foreign), Tap::Foreign);
    }
}
