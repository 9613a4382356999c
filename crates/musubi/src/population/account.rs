//! A company: its customers as it registers them, and what is typed into its talk room for an account number.
//!
//! The surprising thing: the numbers that nobody has are taken from the same pool as the customers', so
//! that a customer who is registered later never gets one. No number is typed in two stories, since wrong tries at one
//! would lock its owner out.

use std::collections::HashSet;

use musubi_terminal_simulator::story::{Identity, IdentityMethod};

use super::draw::Draw;
use super::person::Person;
use super::spelling::{self, HYPHENS, full_width_digits};
use super::{CustomerRow, Master, OfficialAccountPlan};

/// The longest account numbers that a company may have.
const LONGEST: u32 = 20;
/// How many of their digits fit a number; what stands behind them makes no two numbers one.
const COUNTED: u32 = 18;
/// How many branches a company has.
const BRANCHES: usize = 9;

/// A company while its population is being made.
pub(super) struct Company<'a> {
    plan: &'a OfficialAccountPlan,
    account_digits: u32,
    branches: Vec<String>,
    rows: Vec<CustomerRow>,
    taken: HashSet<u64>,
    /// Who was entered last, with whom the next one may live.
    latest: Option<Person>,
}

impl<'a> Company<'a> {
    /// A company without customers, for at most so many followers.
    pub(super) fn found(plan: &'a OfficialAccountPlan, followers: usize, draw: &mut Draw) -> Self {
        // At most three numbers go to a follower; the pool is several times as large, so a free one is soon found.
        let enough = followers.max(1).ilog10() + 2;
        let branch_digits = u32::from(plan.branch_digits).min(9);
        let branch = |draw: &mut Draw| match branch_digits {
            0 => String::new(),
            _ => format!("{:0width$}", draw.below(10_u32.pow(branch_digits)), width = branch_digits as usize),
        };
        Self {
            plan,
            account_digits: u32::from(plan.account_digits).clamp(enough, LONGEST),
            branches: (0..BRANCHES).map(|_| branch(draw)).collect(),
            rows: Vec::new(),
            taken: HashSet::new(),
            latest: None,
        }
    }

    pub(super) fn official_account(&self) -> &'a str {
        &self.plan.id
    }

    /// Registers a customer and tells the row.
    pub(super) fn enter(&mut self, person: &Person, draw: &mut Draw) -> usize {
        let account_number = self.free_number(draw);
        self.rows.push(CustomerRow {
            customer_id: String::new(),
            name: spelling::registered_name(person, draw),
            name_kana: spelling::registered_kana(person, draw),
            birth_date: person.birth_date.to_string(),
            address: spelling::registered_address(person, draw),
            branch_number: draw.pick(&self.branches).clone(),
            account_number,
            identity_verification: verification(person, draw),
        });
        self.latest = Some(person.clone());
        self.rows.len() - 1
    }

    /// Registers people who don't follow, until there are so many customers. One in eight lives with another.
    pub(super) fn grow_to(&mut self, customers: usize, draw: &mut Draw) {
        while self.rows.len() < customers {
            let person = match &self.latest {
                Some(latest) if draw.chance(125) => latest.relative(draw),
                Some(_) | None => Person::draw(draw),
            };
            self.enter(&person, draw);
        }
    }

    /// Gives the customers their ids in an order that tells nothing of who follows.
    pub(super) fn number_customers(&mut self, draw: &mut Draw) {
        let mut numbers: Vec<usize> = (1..=self.rows.len()).collect();
        draw.shuffle(&mut numbers);
        for (row, number) in self.rows.iter_mut().zip(numbers) {
            row.customer_id = format!("{}{number:06}", self.plan.customer_prefix);
        }
    }

    /// The id of a row, once the customers are numbered.
    pub(super) fn customer_id(&self, row: usize) -> String {
        self.rows[row].customer_id.clone()
    }

    pub(super) fn into_master(mut self) -> Master {
        self.rows.sort_by(|one, other| {
            (one.customer_id.len(), &one.customer_id).cmp(&(other.customer_id.len(), &other.customer_id))
        });
        Master { official_account: self.plan.id.clone(), rows: self.rows }
    }

    /// What a verifier attests that spells everything as the company does.
    pub(super) fn attest_as_written(&self, row: usize, method: IdentityMethod) -> Identity {
        let row = &self.rows[row];
        Identity {
            method,
            name: row.name.clone(),
            name_kana: row.name_kana.clone(),
            birth_date: row.birth_date.clone(),
            address: row.address.clone(),
        }
    }

    /// What somebody types who knows the customer's number.
    pub(super) fn typed_number_of(&self, row: usize, draw: &mut Draw) -> String {
        let row = &self.rows[row];
        self.typed(&row.branch_number, &row.account_number, draw)
    }

    /// What somebody types whose number no customer has or will have.
    pub(super) fn typed_number_of_nobody(&mut self, draw: &mut Draw) -> String {
        let number = self.free_number(draw);
        let branch = draw.pick(&self.branches).clone();
        self.typed(&branch, &number, draw)
    }

    /// A number that isn't taken, which then is. One in ten begins with more zeros than chance gives.
    fn free_number(&mut self, draw: &mut Draw) -> String {
        let counted = self.account_digits.min(COUNTED);
        let pool = 10_u64.pow(counted);
        let low = if draw.chance(100) { pool / 100 } else { pool };
        let mut number = draw.below_u64(low);
        while !self.taken.insert(number) {
            number = draw.below_u64(pool);
        }
        let mut text = format!("{number:0width$}", width = counted as usize);
        for _ in counted..self.account_digits {
            text.push_str(&draw.below(10).to_string());
        }
        text
    }

    /// The number as people type it; nine in ten in one of the common ways.
    fn typed(&self, branch: &str, number: &str, draw: &mut Draw) -> String {
        let is_bank = !branch.is_empty() && number.len() <= 7;
        let noun = if is_bank { "口座番号" } else { "お客様番号" };
        let wide = full_width_digits(number);
        if draw.chance(900) {
            return match (draw.below(9), is_bank) {
                (0..=1, _) => number.to_owned(),
                (2..=3, _) => wide,
                (4, _) => format!(" {number} "),
                (5, _) => format!("{noun}は{number}です"),
                (6, true) => format!("{branch} {number}"),
                (7, true) => format!("{branch}-{number}"),
                (_, true) => format!("{}－{wide}", full_width_digits(branch)),
                (6, false) => number.to_owned(),
                (_, false) => in_groups(number, '-'),
            };
        }
        let hyphen = *draw.pick(&HYPHENS);
        match (draw.below(8), is_bank) {
            (0, _) => format!("\u{3000}{wide}\u{3000}"),
            (1, _) => format!("{number}です。"),
            (2, _) => format!("{noun}：{wide}"),
            (3, _) => format!("{noun}は{wide}です。よろしくお願いします"),
            (4, true) => format!("支店番号{branch} {noun}{number}"),
            (5, true) => format!("{branch} 普通 {number}"),
            (6, true) => format!("{branch}{number}"),
            (_, true) => format!("{branch}{hyphen}{number}"),
            (4, false) => format!("{noun} {number}"),
            (_, false) => in_groups(&wide, hyphen),
        }
    }
}

/// The first three digits, a hyphen and the rest, as on a bill.
fn in_groups(number: &str, hyphen: char) -> String {
    number.chars().enumerate().fold(String::new(), |mut text, (at, digit)| {
        if at == 3 {
            text.push(hyphen);
        }
        text.push(digit);
        text
    })
}

/// How and when the company verified the customer: of age, and by a card that existed.
fn verification(person: &Person, draw: &mut Draw) -> String {
    let year = draw.between((person.birth_date.year + 18).max(2012), 2025);
    let methods: &[&str] = match year {
        ..2016 => &["drivers_licence", "passport"],
        2016.. => &["drivers_licence", "passport", "my_number_card"],
    };
    format!("{}:{year}-{:02}", draw.pick(methods), draw.between(1, 12))
}
