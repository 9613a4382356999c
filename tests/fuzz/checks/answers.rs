//! What people type in the talk room, as the dialogue reads it: a choice, or an account number.

use std::sync::LazyLock;

use jiff::Timestamp;
use musubi_domain::{
    dialogue::{Dialogue, Event, Rules, State},
    id::{DialogueId, FollowerId},
};
use musubi_information_server::{directory::Texts, request::reading::read_text};
use musubi_matching::AccountFormat;

const FORMATS: [AccountFormat; 3] = [
    AccountFormat { account_digits: 7, branch_digits: 3 },
    AccountFormat { account_digits: 10, branch_digits: 3 },
    AccountFormat { account_digits: 1, branch_digits: 0 },
];
static TEXTS: LazyLock<Texts> = LazyLock::new(Texts::default);
static BEGUN: LazyLock<Dialogue> = LazyLock::new(|| {
    let id = DialogueId::derive(FollowerId::from_bytes([5; 16]), 0);
    Dialogue::begin(id, 0, &Rules::default(), Timestamp::UNIX_EPOCH)
});

pub(super) fn hold(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for format in &FORMATS {
        let asked: Vec<bool> = State::ALL
            .iter()
            .map(|state| {
                let dialogue = Dialogue { state: *state, ..BEGUN.clone() };
                read_text(&dialogue, &text, &TEXTS, format) == Some(Event::EraseAsked)
            })
            .collect();
        assert!(asked.iter().all(|it| *it == asked[0]), "whoever wants to be erased may say so at any time");
        if asked[0] {
            continue;
        }
        for state in State::ALL {
            let dialogue = Dialogue { state, ..BEGUN.clone() };
            let read = read_text(&dialogue, &text, &TEXTS, format);
            match (state, read) {
                (State::Asked, None | Some(Event::Chose(_)))
                | (State::AccountAsked, Some(Event::Unreadable)) => {}
                (State::AccountAsked, Some(Event::AccountGiven(given))) => {
                    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
                    assert!(digits(&given.account_number));
                    assert_eq!(given.account_number.len(), usize::from(format.account_digits));
                    assert!(given.branch_number.is_none_or(|branch| digits(&branch)));
                }
                (_, read) => assert_eq!(read, None, "{state:?}"),
            }
        }
    }
}
