//! Companies and their official accounts: what each chooses, and what is left out.

use std::{ops::RangeInclusive, time::Duration};

use jiff::SignedDuration;
use musubi_domain::{
    Error,
    approval::{Act, SecondPerson},
    content::{Action, Content, Suggestion},
    dialogue::Rules,
    guess::Limits,
    id::{CarrierId, CompanyId, OfficialAccountId},
    identity::IdentityMethod,
    link::LinkHosts,
    quiet_hours::QuietHours,
    silence::{DEFAULT_SILENT_DAYS, Silence},
};
use musubi_matching::{AccountFormat, Policy};
use musubi_runtime::config::{Endpoint, duration};
use serde::Deserialize;

use super::{Config, signed};
use crate::directory::{Account, Company, Matching, Texts, Undecided};

/// The most wrong guesses that anybody may have in 24 hours (NIST SP 800-63B-4: 100 one after the other).
const SAFE_LIMIT: u32 = 100;

/// How long a number may be silent, in days.
const SILENT_DAYS: RangeInclusive<u16> = 1..=365;
/// How many days before a tie ends its person is asked for a new proof, when nobody says and it lasts longer than that.
const RENEW_DAYS: u32 = 14;
/// More followers than anybody has: then one person is enough for every distribution.
const MOST_ALONE: u64 = 1_000_000_000;
/// How long what waits for a second person may wait.
const APPROVAL_DAYS: RangeInclusive<u32> = 1..=90;
/// The shortest and the longest time of a match.
const MATCH_WITHIN: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(720 * 3600);

/// A company.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompanyConfig {
    /// Its id.
    pub id: CompanyId,
    /// How its customers are matched.
    #[serde(default = "inquiry")]
    pub matching: Matching,
    /// Its server.
    pub endpoint: Endpoint,
    /// Digits of an account number.
    #[serde(default = "seven")]
    pub account_digits: u8,
    /// Digits of a branch number.
    #[serde(default = "three")]
    pub branch_digits: u8,
    /// What it demands of a match in custody.
    #[serde(default)]
    pub policy: Policy,
    /// Who decides what a blind copy doesn't tell.
    #[serde(default = "ask")]
    pub blind_undecided: Undecided,
    /// The methods that it accepts.
    #[serde(default = "strong_methods")]
    pub methods: Vec<IdentityMethod>,
    /// Wrong account numbers by one follower.
    #[serde(default = "follower_limit")]
    pub follower_limit: u32,
    /// At one account number.
    #[serde(default = "account_limit")]
    pub account_limit: u32,
    /// In the whole company.
    #[serde(default = "company_limit")]
    pub company_limit: u32,
    /// By one verified person.
    #[serde(default = "person_limit")]
    pub person_limit: u32,
    /// By one follower in all.
    #[serde(default = "life_limit")]
    pub life_limit: u32,
    /// Where links in its distributions may lead; empty: they have none.
    #[serde(default)]
    pub link_hosts: Vec<String>,
    /// Messages of all its accounts; 0: any number.
    #[serde(default)]
    pub messages_per_second: u32,
    /// What its people do only two together.
    #[serde(default = "every_act")]
    pub second_person: Vec<Act>,
    /// Above how many followers a distribution is submitted, and somebody starts it who didn't prepare it.
    #[serde(default = "many")]
    pub second_person_above: u64,
    /// How long what waits for a second person waits.
    #[serde(default = "a_week")]
    pub approval_days: u32,
}

/// An official account.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountConfig {
    /// Its id.
    pub id: OfficialAccountId,
    /// Whose.
    pub company: CompanyId,
    /// The verified sender's name.
    pub display_name: String,
    /// Where it is open.
    pub carriers: Vec<CarrierId>,
    /// How long a tie is trusted.
    #[serde(default = "half_a_year")]
    pub tie_days: u32,
    /// How long a number may be silent before its carrier is asked.
    #[serde(default = "silent_days")]
    pub silent_days: u16,
    /// How long before a tie ends its person is asked for a new proof.
    #[serde(default)]
    pub renew_days: Option<u32>,
    /// Messages over all carriers; 0: any number.
    #[serde(default)]
    pub messages_per_second: u32,
    /// For quiet hours.
    #[serde(default = "tokyo")]
    pub time_zone: String,
    /// When nobody is asked.
    #[serde(default)]
    pub quiet_hours: String,
    /// Between question and reminder.
    #[serde(default = "a_day", with = "duration")]
    pub remind_after: Duration,
    /// How many reminders.
    #[serde(default = "one")]
    pub reminders: u8,
    /// How many unreadable texts.
    #[serde(default = "two")]
    pub unreadable: u8,
    /// How many account numbers.
    #[serde(default = "three")]
    pub tries: u8,
    /// Until who had no account is asked again.
    #[serde(default = "ninety_days", with = "duration")]
    pub ask_again_after: Duration,
    /// Until who declined is asked again.
    #[serde(default = "a_year", with = "duration")]
    pub declined_for: Duration,
    /// How long a review waits.
    #[serde(default = "a_fortnight")]
    pub review_days: u32,
    /// Whether two persons have to approve one.
    #[serde(default)]
    pub review_second_person: bool,
    /// How long what was typed is kept of a person who doesn't go on.
    #[serde(default = "a_quarter")]
    pub retain_failed_minutes: u32,
    /// How long a match may take.
    #[serde(default = "a_day", with = "duration")]
    pub match_within: Duration,
    /// When who follows no more is erased.
    #[serde(default = "a_month")]
    pub erase_unfollowed_after_days: u32,
    /// What it says.
    #[serde(default)]
    pub texts: Texts,
}

impl CompanyConfig {
    pub(super) fn read(&self) -> Result<Company, Error> {
        let at = |key: &str| format!("company {}: {key}", self.id);
        if self.methods.is_empty() {
            return Err(Error::invalid(at("methods"), "is empty", "name jpki, carrier or both"));
        }
        for (key, digits, allowed) in
            [("account_digits", self.account_digits, 4..=20), ("branch_digits", self.branch_digits, 0..=5)]
        {
            if !allowed.contains(&digits) {
                let remedy = format!("give {} to {}", allowed.start(), allowed.end());
                return Err(Error::invalid(at(key), format!("{digits} digits"), remedy));
            }
        }
        let limits = [
            ("follower_limit", self.follower_limit, SAFE_LIMIT),
            ("account_limit", self.account_limit, SAFE_LIMIT),
            ("person_limit", self.person_limit, SAFE_LIMIT),
            ("life_limit", self.life_limit, SAFE_LIMIT),
            ("company_limit", self.company_limit, u32::MAX),
        ];
        for (key, limit, most) in limits {
            if limit == 0 || limit > most {
                return Err(Error::invalid(at(key), format!("is {limit}"), format!("write 1 to {most}")));
            }
        }
        if self.second_person_above > MOST_ALONE {
            let problem = format!("is {}", self.second_person_above);
            let remedy = format!("write 0 to {MOST_ALONE}");
            return Err(Error::invalid(at("second_person_above"), problem, remedy));
        }
        if !APPROVAL_DAYS.contains(&self.approval_days) {
            let problem = format!("is {}", self.approval_days);
            return Err(Error::invalid(at("approval_days"), problem, "write 1 to 90"));
        }
        Ok(Company {
            id: self.id.clone(),
            matching: self.matching,
            account_format: AccountFormat {
                account_digits: self.account_digits,
                branch_digits: self.branch_digits,
            },
            policy: self.policy,
            methods: self.methods.clone(),
            limits: Limits {
                follower: self.follower_limit,
                account: self.account_limit,
                company: self.company_limit,
                person: self.person_limit,
                life: self.life_limit,
                ..Limits::default()
            },
            link_hosts: LinkHosts::parse(&self.link_hosts).map_err(|error| error.at(at("link_hosts")))?,
            messages_per_second: self.messages_per_second,
            second_person: SecondPerson {
                acts: self.second_person.clone(),
                distribution_above: self.second_person_above,
                wait: SignedDuration::from_hours(24 * i64::from(self.approval_days)),
            },
        })
    }
}

impl AccountConfig {
    pub(super) fn read(&self, config: &Config) -> Result<Account, Error> {
        let at = |key: &str| format!("official_account {}: {key}", self.id);
        if !config.company.iter().any(|company| company.id == self.company) {
            let problem = format!("{} is no company of this configuration", self.company);
            return Err(Error::invalid(at("company"), problem, "add a [[company]], or name another"));
        }
        for carrier in &self.carriers {
            if !config.carrier.iter().any(|known| known.id == *carrier) {
                let problem = format!("{carrier} is no carrier of this configuration");
                return Err(Error::invalid(at("carriers"), problem, "add a [[carrier]], or name another"));
            }
        }
        let length = self.display_name.chars().count();
        if !(1..=100).contains(&length) {
            let problem = format!("{length} characters");
            return Err(Error::invalid(at("display_name"), problem, "write 1 to 100 characters"));
        }
        if self.review_days == 0 {
            return Err(Error::invalid(at("review_days"), "is 0", "write 1 or more"));
        }
        if !SILENT_DAYS.contains(&self.silent_days) {
            let problem = format!("is {}", self.silent_days);
            return Err(Error::invalid(at("silent_days"), problem, "write 1 to 365"));
        }
        let renew_days = self.renew_days.unwrap_or(if self.tie_days > RENEW_DAYS { RENEW_DAYS } else { 0 });
        if renew_days > 0 && renew_days >= self.tie_days {
            let problem = format!("is {renew_days}, and a tie lasts {} days", self.tie_days);
            return Err(Error::invalid(at("renew_days"), problem, "write less than tie_days, or 0"));
        }
        if !(1..=1_440).contains(&self.retain_failed_minutes) {
            let problem = format!("is {}", self.retain_failed_minutes);
            return Err(Error::invalid(at("retain_failed_minutes"), problem, "write 1 to 1440"));
        }
        if !MATCH_WITHIN.contains(&self.match_within) {
            let problem = "is too short or too long";
            return Err(Error::invalid(at("match_within"), problem, "write 1m to 720h"));
        }
        if self.erase_unfollowed_after_days > 3_650 {
            let problem = format!("is {}", self.erase_unfollowed_after_days);
            return Err(Error::invalid(at("erase_unfollowed_after_days"), problem, "write 0 to 3650"));
        }
        self.check_texts()?;
        let quiet_hours = QuietHours::parse(&self.quiet_hours, &self.time_zone).map_err(|error| {
            let field = at(&error.field);
            error.at(field)
        })?;
        Ok(Account {
            id: self.id.clone(),
            company: self.company.clone(),
            display_name: self.display_name.clone(),
            carriers: self.carriers.clone(),
            rules: Rules {
                remind_after: signed(self.remind_after),
                reminders: self.reminders,
                unreadable: self.unreadable,
                tries: self.tries,
                ask_again_after: signed(self.ask_again_after),
                declined_for: signed(self.declined_for),
                review_for: SignedDuration::from_hours(24 * i64::from(self.review_days)),
                review_second_person: self.review_second_person,
                renew_after: (renew_days > 0)
                    .then(|| SignedDuration::from_hours(24 * i64::from(self.tie_days - renew_days))),
                retain_for: SignedDuration::from_mins(i64::from(self.retain_failed_minutes)),
                match_for: signed(self.match_within),
                erase_unfollowed_after: SignedDuration::from_hours(
                    24 * i64::from(self.erase_unfollowed_after_days),
                ),
                quiet_hours,
            },
            texts: self.texts.clone(),
            tie_days: self.tie_days,
            silence: Silence::of_days(self.silent_days),
            messages_per_second: self.messages_per_second,
        })
    }

    /// Every text as the content that it becomes.
    fn check_texts(&self) -> Result<(), Error> {
        let texts = &self.texts;
        let check = |key: &str, text: &str, labels: &[&String], url: Option<&String>| {
            let suggestions = labels.iter().map(|label| Suggestion {
                label: (*label).clone(),
                postback: String::new(),
                action: url.map(|url| Action::OpenUrl { url: url.clone(), webview: false }),
            });
            Content { text: text.to_owned(), suggestions: suggestions.collect(), card: None }.check().map_err(
                |error| {
                    let field = format!("official_account {}: texts.{key} ({})", self.id, error.field);
                    error.at(field)
                },
            )
        };
        let buttons = [&texts.confirm, &texts.no_account, &texts.decline];
        check("question", &texts.question, &buttons, Some(&texts.account_opening_url))?;
        check("account", &texts.account, &[], None)?;
        check("account_again", &texts.account_again, &[], None)?;
        check("identity", &texts.identity, &[&texts.jpki, &texts.carrier, &texts.document], None)?;
        check("confirmed", &texts.confirmed, &[&texts.untie, &texts.not_me], None)?;
        check("renewal", &texts.renewal, &[&texts.renew, &texts.untie, &texts.not_me], None)?;
        check("not_confirmed", &texts.not_confirmed, &[&texts.try_again], None)?;
        check("review_rejected", &texts.review_rejected, &[&texts.try_again], None)?;
        check("erase_asked", &texts.erase_asked, &[&texts.erase], None)?;
        check("erasing", &texts.erasing, &[], None)
    }
}

fn every_act() -> Vec<Act> {
    SecondPerson::default().acts
}
fn many() -> u64 {
    SecondPerson::default().distribution_above
}
const fn a_week() -> u32 {
    7
}
const fn ask() -> Undecided {
    Undecided::Ask
}
const fn inquiry() -> Matching {
    Matching::Inquiry
}
fn strong_methods() -> Vec<IdentityMethod> {
    vec![IdentityMethod::Jpki, IdentityMethod::Carrier]
}
fn follower_limit() -> u32 {
    Limits::default().follower
}
fn account_limit() -> u32 {
    Limits::default().account
}
fn person_limit() -> u32 {
    Limits::default().person
}
fn life_limit() -> u32 {
    Limits::default().life
}
fn company_limit() -> u32 {
    Limits::default().company
}
const fn seven() -> u8 {
    7
}
const fn three() -> u8 {
    3
}
const fn two() -> u8 {
    2
}
const fn one() -> u8 {
    1
}
const fn half_a_year() -> u32 {
    180
}
const fn silent_days() -> u16 {
    DEFAULT_SILENT_DAYS
}
const fn a_quarter() -> u32 {
    15
}
const fn a_month() -> u32 {
    30
}
const fn a_fortnight() -> u32 {
    14
}
fn tokyo() -> String {
    "Asia/Tokyo".to_owned()
}
const fn a_day() -> Duration {
    Duration::from_secs(24 * 3600)
}
const fn ninety_days() -> Duration {
    Duration::from_secs(90 * 24 * 3600)
}
const fn a_year() -> Duration {
    Duration::from_secs(365 * 24 * 3600)
}
