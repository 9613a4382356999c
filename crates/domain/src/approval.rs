//! What one person of a company may not do alone: which acts that is, and what a second person's word makes of what the first has asked for.
//!
//! | stands | word | whose | becomes |
//! |---|---|---|---|
//! | waiting | approved | another's than who asked | done; an export: approved, until who asked fetches it |
//! | waiting, approved | rejected | anybody's | rejected |
//! | approved, done, rejected | the same | who has said it | the same: a call repeated |
//!
//! Every other word is refused, above all one's own approval. Surprising: a large distribution is no row of these. It waits as what it is, submitted; who starts
//! it has to be another than those who prepared it ([`check_starter`]), and sees the preview themselves.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    Error, ErrorKind,
    id::{CarrierId, FollowerId, OfficialAccountId, OperatorName},
    review::Verdict,
};

/// What may need a second person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// To be given everything that is held about a follower.
    Export,
    /// To have followers erased.
    Erase,
    /// To have a quarantined subscriber list believed.
    Release,
}

impl Act {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Export, Self::Erase, Self::Release];

    /// The word for it in configurations and in the audit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Erase => "erase",
            Self::Release => "release",
        }
    }
}

/// What a company's people do only two together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondPerson {
    /// These acts.
    pub acts: Vec<Act>,
    /// Distributions to more followers than this are submitted, and started by somebody who didn't prepare them; 0: all are.
    pub distribution_above: u64,
    /// How long what was asked for waits.
    pub wait: SignedDuration,
}

impl Default for SecondPerson {
    fn default() -> Self {
        let wait = SignedDuration::from_hours(7 * 24);
        Self { acts: Act::ALL.to_vec(), distribution_above: 100_000, wait }
    }
}

impl SecondPerson {
    /// Whether this act needs one.
    #[must_use]
    pub fn is_needed(&self, act: Act) -> bool {
        self.acts.contains(&act)
    }
}

/// What was asked for, without the people whom it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "lowercase")]
pub enum Subject {
    /// Everything that is held about one follower.
    Export {
        /// Of which account.
        account: OfficialAccountId,
    },
    /// That followers are erased.
    Erase {
        /// How many.
        people: u64,
    },
    /// That a quarantined list is believed.
    Release {
        /// Of which account.
        account: OfficialAccountId,
        /// At which carrier.
        carrier: CarrierId,
        /// How many followers it had.
        followers: u64,
        /// How many of them the snapshot lacks.
        missing: u64,
    },
}

impl Subject {
    /// What kind of thing it is.
    #[must_use]
    pub const fn act(&self) -> Act {
        match self {
            Self::Export { .. } => Act::Export,
            Self::Erase { .. } => Act::Erase,
            Self::Release { .. } => Act::Release,
        }
    }

    /// What the same thing asked for again has in common, within a company: the act and whom or what it is about. An export is given to who asked, so it is
    /// that person's, too.
    #[must_use]
    pub fn digest(&self, people: &[(OfficialAccountId, FollowerId)], asked_by: &OperatorName) -> [u8; 32] {
        let mut digest = Sha256::new_with_prefix(self.act().as_str());
        match self {
            Self::Export { .. } => digest.update(format!(" {asked_by}")),
            Self::Erase { .. } => {}
            Self::Release { account, carrier, .. } => digest.update(format!(" {account} {carrier}")),
        }
        for (account, follower) in people {
            digest.update(format!(" {account} {follower}"));
        }
        digest.finalize().into()
    }
}

/// Where what was asked for stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApprovalState {
    /// It waits for a second person.
    Waiting,
    /// An export that who asked may fetch, once.
    Approved,
    /// It is done.
    Done,
    /// Somebody said no, or who asked took it back.
    Rejected,
    /// Nobody decided or fetched it in time.
    Expired,
}

impl ApprovalState {
    /// All of them; their place is their number in stores, and those that are open come first.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Approved, Self::Done, Self::Rejected, Self::Expired];

    /// The word for it in messages, tables and the audit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Done => "done",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }

    /// Whether something may still come of it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Approved)
    }
}

/// What is known of something that was asked for, to judge a word on it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What kind of thing.
    pub act: Act,
    /// Where it stands.
    pub state: ApprovalState,
    /// Who asked.
    pub asked_by: &'a OperatorName,
    /// Who has decided.
    pub decided_by: Option<&'a OperatorName>,
}

/// Where a person's word brings it; none: they have said so before.
///
/// # Errors
/// `FailedPrecondition` for `approval_id` when it is one's own approval, or when it is decided or over.
pub fn decide(
    asked: Asked<'_>,
    verdict: Verdict,
    operator: &OperatorName,
) -> Result<Option<ApprovalState>, Error> {
    use ApprovalState as S;
    let refused = |problem: String, remedy: &str| {
        Err(Error::new(ErrorKind::FailedPrecondition, problem, remedy).at("approval_id"))
    };
    let said = asked.decided_by == Some(operator);
    match (asked.state, verdict) {
        (S::Waiting, Verdict::Approved) if asked.asked_by == operator => refused(
            "you have asked for it, and a second person has to approve it".to_owned(),
            "have another approver or administrator approve it, or reject it to take it back",
        ),
        (S::Waiting, Verdict::Approved) => Ok(Some(match asked.act {
            Act::Export => S::Approved,
            Act::Erase | Act::Release => S::Done,
        })),
        (S::Waiting | S::Approved, Verdict::Rejected) => Ok(Some(S::Rejected)),
        (S::Approved | S::Done, Verdict::Approved) | (S::Rejected, Verdict::Rejected) if said => Ok(None),
        (S::Approved | S::Done | S::Rejected | S::Expired, Verdict::Approved)
        | (S::Done | S::Rejected | S::Expired, Verdict::Rejected) => refused(
            format!("it is {} already", asked.state.as_str()),
            "ask for it anew if it is still wanted",
        ),
    }
}

/// What is known of a distribution that waits to be started.
#[derive(Clone, Copy, Debug)]
pub struct Prepared<'a> {
    /// Who made it, gave it values or submitted it; nobody: it is not known.
    pub by: &'a [OperatorName],
    /// When it was submitted; none: it is a draft.
    pub submit_time: Option<Timestamp>,
    /// How many follow now.
    pub followers: u64,
}

/// Who starts it, and what they looked at.
#[derive(Clone, Copy, Debug)]
pub struct Starter<'a> {
    /// Who.
    pub operator: &'a OperatorName,
    /// When that was submitted; none: they take what stands.
    pub looked_at: Option<Timestamp>,
}

/// Whether one person alone may not send to so many, in a company that lets them reach this many; 0: nobody.
#[must_use]
pub const fn is_two_peoples(followers: u64, alone_up_to: u64) -> bool {
    alone_up_to == 0 || followers > alone_up_to
}

/// Whether this person may start what was prepared: only what they looked at; and above a number that the company chooses only what was submitted, and
/// not what they have prepared themselves.
///
/// # Errors
/// `FailedPrecondition` for `operator`; for no field when another may start it, but it was not submitted; for `submit_time` when it isn't what was looked
/// at.
pub fn check_starter(prepared: Prepared<'_>, starter: Starter<'_>, alone_up_to: u64) -> Result<(), Error> {
    let refused = |problem: String, remedy: &str| Error::new(ErrorKind::FailedPrecondition, problem, remedy);
    if is_two_peoples(prepared.followers, alone_up_to) {
        check_second(prepared, starter.operator, alone_up_to, refused)?;
    }
    if starter.looked_at.is_some() && starter.looked_at != prepared.submit_time {
        let problem = "it was sent back after that was submitted".to_owned();
        return Err(refused(problem, "look at it as it stands, then start it").at("submit_time"));
    }
    Ok(())
}

fn check_second(
    Prepared { by, submit_time, followers }: Prepared<'_>,
    operator: &OperatorName,
    alone_up_to: u64,
    refused: impl Fn(String, &str) -> Error,
) -> Result<(), Error> {
    if by.is_empty() {
        let problem = format!("nobody knows who prepared it, and {followers} follow");
        let remedy = "make the distribution anew, and submit it to a second person";
        return Err(refused(problem, remedy).at("operator"));
    }
    if by.contains(operator) {
        let problem = format!(
            "{operator} has prepared it, {followers} follow, and above {alone_up_to} a second person has to start it"
        );
        let remedy = "submit it, and have an approver start it who has not prepared it";
        return Err(refused(problem, remedy).at("operator"));
    }
    if submit_time.is_none() {
        let problem = format!(
            "it is a draft, {followers} follow, and above {alone_up_to} only what was submitted starts"
        );
        return Err(refused(problem, "have who prepares it submit it first"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn name(name: &str) -> OperatorName {
        name.parse().unwrap()
    }

    #[test]
    fn nobody_approves_what_they_asked_for_and_every_other_word_is_as_the_table_says() {
        use ApprovalState as S;
        let (sato, kato, ito) = (name("sato"), name("kato"), name("ito"));
        for act in Act::ALL {
            let approved = if act == Act::Export { S::Approved } else { S::Done };
            for (state, decided_by, verdict, operator, becomes) in [
                (S::Waiting, None, Verdict::Approved, &sato, None),
                (S::Waiting, None, Verdict::Approved, &kato, Some(Some(approved))),
                (S::Waiting, None, Verdict::Rejected, &sato, Some(Some(S::Rejected))),
                (S::Waiting, None, Verdict::Rejected, &kato, Some(Some(S::Rejected))),
                (S::Approved, Some(&kato), Verdict::Approved, &kato, Some(None)),
                (S::Approved, Some(&kato), Verdict::Approved, &sato, None),
                (S::Approved, Some(&kato), Verdict::Approved, &ito, None),
                (S::Approved, Some(&kato), Verdict::Rejected, &ito, Some(Some(S::Rejected))),
                (S::Done, Some(&kato), Verdict::Approved, &kato, Some(None)),
                (S::Done, Some(&kato), Verdict::Approved, &sato, None),
                (S::Done, Some(&kato), Verdict::Rejected, &kato, None),
                (S::Rejected, Some(&kato), Verdict::Rejected, &kato, Some(None)),
                (S::Rejected, Some(&kato), Verdict::Rejected, &ito, None),
                (S::Rejected, Some(&kato), Verdict::Approved, &ito, None),
                (S::Expired, None, Verdict::Approved, &kato, None),
                (S::Expired, None, Verdict::Rejected, &kato, None),
            ] {
                let asked = Asked { act, state, asked_by: &sato, decided_by };
                let said = decide(asked, verdict, operator);
                assert_eq!(said.as_ref().ok(), becomes.as_ref(), "{act:?} {state:?} {verdict:?} {operator}");
                if let Err(error) = said {
                    assert_eq!((error.kind, &*error.field), (ErrorKind::FailedPrecondition, "approval_id"));
                }
            }
        }
    }

    #[test]
    fn a_large_distribution_is_started_when_it_is_submitted_and_by_who_did_not_prepare_it() {
        let both = [name("sato"), name("kato")];
        let (operator, draft) = (Some("operator"), Some(""));
        for (by, who, followers, alone_up_to, [of_draft, of_submitted]) in [
            (&both[..], "sato", 10, 10, [None, None]),
            (&both[..], "sato", 11, 10, [operator, operator]),
            (&both[..], "kato", 11, 10, [operator, operator]),
            (&both[..], "ito", 11, 10, [draft, None]),
            (&both[..], "sato", 0, 0, [operator, operator]),
            (&both[..], "ito", 0, 0, [draft, None]),
            (&[], "ito", 11, 10, [operator, operator]),
            (&[], "ito", 10, 10, [None, None]),
        ] {
            for (submit_time, field) in [(None, of_draft), (Some(at(1)), of_submitted)] {
                let prepared = Prepared { by, submit_time, followers };
                let starter = Starter { operator: &name(who), looked_at: submit_time };
                let error = check_starter(prepared, starter, alone_up_to).err();
                assert_eq!(error.as_ref().map(|it| &*it.field), field, "{who} {prepared:?} {alone_up_to}");
                assert!(error.is_none_or(|it| it.kind == ErrorKind::FailedPrecondition));
            }
        }
    }

    #[test]
    fn nothing_is_started_but_what_was_looked_at() {
        let (by, ito) = ([name("sato")], name("ito"));
        let stale = Some("submit_time");
        for (submit_time, looked_at, field) in [
            (Some(at(2)), None, None),
            (Some(at(2)), Some(at(2)), None),
            (Some(at(2)), Some(at(1)), stale),
            (None, Some(at(1)), stale),
            (None, None, None),
        ] {
            let prepared = Prepared { by: &by, submit_time, followers: 3 };
            let error = check_starter(prepared, Starter { operator: &ito, looked_at }, 3).err();
            assert_eq!(error.as_ref().map(|it| &*it.field), field, "{submit_time:?} {looked_at:?}");
        }
    }

    #[test]
    fn the_same_thing_asked_for_again_is_the_same() {
        let account = || "bank".parse::<OfficialAccountId>().unwrap();
        let people = |last: u8| [(account(), FollowerId::from_bytes([last; 16]))];
        let (sato, kato) = (name("sato"), name("kato"));
        let export = Subject::Export { account: account() };
        let erase = Subject::Erase { people: 1 };
        let release = |missing| {
            let carrier = "kumo".parse().unwrap();
            Subject::Release { account: account(), carrier, followers: 9, missing }
        };
        let all = [
            export.digest(&people(1), &sato),
            export.digest(&people(1), &kato),
            export.digest(&people(2), &sato),
            erase.digest(&people(1), &sato),
            erase.digest(&people(2), &sato),
            release(3).digest(&[], &sato),
        ];
        let apart: std::collections::BTreeSet<_> = all.into_iter().collect();
        assert_eq!(apart.len(), all.len());
        assert_eq!(erase.digest(&people(1), &kato), erase.digest(&people(1), &sato), "whoever asks");
        assert_eq!(release(4).digest(&[], &kato), release(3).digest(&[], &sato), "however much is missing");
    }
}
