//! Invented companies, customers and followers: as many as are asked for, the same ones for the same [`Plan`].
//!
//! The demo, the bench and the committed samples are made here. Nothing here reads a clock or a file, and no real
//! person's data may ever come in: names and places are lists of this project under `data/`, put together by chance.
//!
//! The surprising thing: a population starts from the people who hold the phones, and the customer masters are made
//! around them, so that the right answer of every story is known before anything is spelt. What a row and an
//! attested identity may differ in without being different people is in `spelling`; that two people who are to be
//! different never look alike is in `person`.

mod account;
mod customers;
mod draw;
mod kind;
mod lists;
mod person;
mod spelling;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use musubi_terminal_simulator::story::{IdentityMethod, Reply, Story};

use account::Company;
pub use customers::{CustomerRow, write_customers};
use draw::Draw;
use kind::Kind;
use person::Person;

/// What population to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Chooses one of the populations; the same seed gives the same one on every machine.
    pub seed: u64,
    /// How many stories. They are spread evenly over the official accounts.
    pub followers: usize,
    /// The official accounts, one company each.
    pub official_accounts: Vec<OfficialAccountPlan>,
    /// The carriers that share the phones.
    pub carriers: Vec<String>,
}

/// A company and its official account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfficialAccountPlan {
    /// The official account's id.
    pub id: String,
    /// Digits of an account number; more are used when so few can't number all customers. Up to 7 digits with a
    /// branch is a bank account, whose branch may be typed before it; anything else is a customer number.
    pub account_digits: u8,
    /// Digits of a branch number; 0 leaves the branch empty.
    pub branch_digits: u8,
    /// What customer ids begin with.
    pub customer_prefix: String,
}

/// Customer masters and the stories of those who follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Population {
    /// One master for each official account, in the order of the plan.
    pub masters: Vec<Master>,
    /// All stories, shuffled. One in fourteen belongs to a phone that follows a second account.
    pub stories: Vec<Story>,
}

/// The customer master of one company, about one and a half times as many rows as the account has followers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Master {
    /// The official account's id.
    pub official_account: String,
    /// The customers, by customer id.
    pub rows: Vec<CustomerRow>,
}

/// One phone in this many stories follows two accounts.
const STORIES_PER_SHARED_PHONE: usize = 14;

/// Makes the population of a plan. With no official account or no carrier it is empty.
pub fn generate(plan: &Plan) -> Population {
    let mut draw = Draw::new(plan.seed);
    let mut companies: Vec<Company<'_>> = plan
        .official_accounts
        .iter()
        .map(|account| Company::found(account, plan.followers, &mut draw))
        .collect();
    let (mut stories, answers) = if companies.is_empty() || plan.carriers.is_empty() {
        (Vec::new(), Vec::new())
    } else {
        tell(plan, &mut companies, &mut draw)
    };
    let mut followers = vec![0; companies.len()];
    answers.iter().for_each(|answer| followers[answer.company] += 1);
    for (company, followers) in companies.iter_mut().zip(followers) {
        company.grow_to(followers * 3 / 2, &mut draw);
        company.number_customers(&mut draw);
    }
    for (story, answer) in stories.iter_mut().zip(answers) {
        story.expected_customer_id = answer.row.map(|row| companies[answer.company].customer_id(row));
    }
    draw.shuffle(&mut stories);
    Population { masters: companies.into_iter().map(Company::into_master).collect(), stories }
}

/// The company of a story and the row of the customer that is its right answer, known before customers have ids.
struct Answer {
    company: usize,
    row: Option<usize>,
}

/// All stories with their answers.
fn tell(plan: &Plan, companies: &mut [Company<'_>], draw: &mut Draw) -> (Vec<Story>, Vec<Answer>) {
    let shared = if companies.len() > 1 { plan.followers / STORIES_PER_SHARED_PHONE } else { 0 };
    let (mut stories, mut answers) = (Vec::with_capacity(plan.followers), Vec::with_capacity(plan.followers));
    let mut numbers = HashSet::new();
    let mut phone = Phone::draw(draw, &mut numbers, &plan.carriers);
    for index in 0..plan.followers {
        // Among the first stories each two neighbours, which are of different companies, have one phone.
        let same_phone = index % 2 == 1 && index < 2 * shared;
        if index > 0 && !same_phone {
            phone = Phone::draw(draw, &mut numbers, &plan.carriers);
        }
        let company = index % companies.len();
        let (story, row) = tell_one(&phone, &mut companies[company], draw);
        stories.push(story);
        answers.push(Answer { company, row });
    }
    (stories, answers)
}

/// A phone and the person who holds it.
struct Phone<'a> {
    number: String,
    carrier: &'a str,
    holder: Person,
}

impl<'a> Phone<'a> {
    fn draw(draw: &mut Draw, numbers: &mut HashSet<u64>, carriers: &'a [String]) -> Self {
        let number = loop {
            // Japanese mobile numbers are 070, 080 or 090 and eight digits, the first of them not 0.
            let number = *draw.pick(&[70, 80, 90]) * 100_000_000 + 10_000_000 + draw.below_u64(90_000_000);
            if numbers.insert(number) {
                break number;
            }
        };
        let carrier = &carriers[draw.index(carriers.len())];
        Self { number: format!("+81{number}"), carrier, holder: Person::draw(draw) }
    }
}

/// Tells one story of the phone's holder, entering into the company's master whoever it needs.
fn tell_one(phone: &Phone<'_>, company: &mut Company<'_>, draw: &mut Draw) -> (Story, Option<usize>) {
    let kind = Kind::draw(draw);
    let holder = &phone.holder;
    let owner = match kind {
        Kind::AsWritten | Kind::WrittenOtherwise | Kind::LeavesLater | Kind::LeavesAtQuestion => {
            Some(company.enter(holder, draw))
        }
        Kind::NewSurname => Some(company.enter(&holder.with_another_surname(draw), draw)),
        Kind::Moved => Some(company.enter(&holder.with_another_home(draw), draw)),
        Kind::Relative => Some(company.enter(&holder.relative(draw), draw)),
        Kind::Stranger => Some(company.enter(&holder.somebody_else(draw), draw)),
        Kind::OthersNumber => {
            company.enter(holder, draw);
            Some(company.enter(&holder.somebody_else(draw), draw))
        }
        Kind::NobodysNumber => {
            company.enter(holder, draw);
            None
        }
        Kind::NoAccount | Kind::Declines | Kind::Silent => None,
    };
    let answers = kind.reply() == Reply::Confirm;
    let account_text = match owner {
        Some(row) => company.typed_number_of(row, draw),
        None if answers => company.typed_number_of_nobody(draw),
        None => String::new(),
    };
    let identity = answers.then(|| {
        let method = if draw.chance(650) { IdentityMethod::Jpki } else { IdentityMethod::Carrier };
        match owner {
            Some(row) if kind == Kind::AsWritten => company.attest_as_written(row, method),
            Some(row) if kind == Kind::WrittenOtherwise => loop {
                let identity = spelling::attest(holder, method, draw);
                if identity != company.attest_as_written(row, method) {
                    break identity;
                }
            },
            Some(_) | None => spelling::attest(holder, method, draw),
        }
    });
    let story = Story {
        phone_number: phone.number.clone(),
        carrier: phone.carrier.to_owned(),
        official_account: company.official_account().to_owned(),
        reply: kind.reply(),
        account_text,
        identity,
        unfollow_after: kind.unfollow_after(),
        expected: kind.expected(),
        expected_customer_id: None,
        story: kind.in_words().to_owned(),
    };
    (story, owner.filter(|_| kind.ends_with_customer()))
}
