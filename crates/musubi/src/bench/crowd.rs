//! The people of measurements: populations as the demo's, one after the other, as one company's master and the answers to it.
//!
//! A population is made whole, so a large one is made of many small ones; memory holds one at a time. Surprising: an account number
//! ends with the number of its population, so that neighbours in the file are strangers in the index, as with any real master.

use std::collections::HashSet;

use jiff::Timestamp;
use musubi_domain::{
    Error, ErrorKind,
    customer::{Customer, GivenAccount, KeyedCustomer},
    identity::{AttestedIdentity, IdentityMethod},
};
use musubi_matching::{AccountFormat, keyed, parse_account_text};
use musubi_storage::company::{CompanyStore, ImportEnding};
use musubi_terminal_simulator::story::{self, Story};
use tokio::sync::mpsc;

use crate::population::{CustomerRow, OfficialAccountPlan, Plan, generate};

/// Customers of one population.
pub(super) const ROWS: usize = 30_000;
/// Digits of an account number inside of a population, and of the population's own.
const DIGITS: (u8, usize) = (6, 4);
/// Digits of an account key.
pub(super) const KEY_DIGITS: usize = DIGITS.0 as usize + DIGITS.1;
/// The most customers of a crowd.
pub(super) const MOST_ROWS: usize = ROWS * 10_000;
/// An answer to so many customers at most: not every follower of a story answers.
pub(super) const ROWS_PER_ANSWER: usize = 4;

/// What a follower typed and an authority attests.
pub(super) struct Answer {
    pub(super) account: GivenAccount,
    pub(super) identity: AttestedIdentity,
    /// It is a customer's, and enough to be sure of it.
    pub(super) confirmed: bool,
}

/// Rows of one transaction of an import.
const BATCH: usize = 1_000;

/// One population's share of a crowd.
pub(super) struct Part {
    /// By customer id, which grows from part to part.
    pub(super) customers: Vec<Customer>,
    pub(super) answers: Vec<Answer>,
}

/// Makes a crowd of so many customers and answers on a thread of its own and puts it into a store, as an import does; `stored` sees
/// what was stored, part by part. Gives the answers, in no order of the master, as followers answer.
pub(super) async fn import(
    store: &dyn CompanyStore,
    (rows, answers): (usize, usize),
    mut stored: impl FnMut(&[KeyedCustomer]),
) -> Result<Vec<Answer>, Error> {
    let (sender, mut made) = mpsc::channel(1);
    let making = tokio::task::spawn_blocking(move || {
        for part in parts(rows, answers) {
            let keyed =
                |Part { customers, answers }| (customers.into_iter().map(keyed).collect::<Vec<_>>(), answers);
            if sender.blocking_send(part.map(keyed)).is_err() {
                return;
            }
        }
    });
    let mut answers: Vec<Answer> = Vec::with_capacity(answers);
    store.begin_import().await?;
    while let Some(part) = made.recv().await {
        let (customers, more) = part?;
        for batch in customers.chunks(BATCH) {
            store.stage_customers(batch).await?;
        }
        stored(&customers);
        answers.extend(more);
    }
    making.await.map_err(|_| Error::new(ErrorKind::Internal, "the making of people panicked", ""))?;
    store
        .finish_import(
            ImportEnding::Replace { now: Timestamp::UNIX_EPOCH, encoding: "UTF-8", digest: [0; 32] },
            None,
        )
        .await?;
    let length = answers.len().max(1);
    let mut answers: Vec<_> = answers.into_iter().enumerate().collect();
    answers.sort_by_key(|(place, _)| place.wrapping_mul(0x9E37_79B9_7F4A_7C15) % length);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}

/// A crowd of so many customers and answers, part by part; the same ones each time.
fn parts(rows: usize, answers: usize) -> impl Iterator<Item = Result<Part, Error>> {
    (0..rows.div_ceil(ROWS)).map(move |number| {
        // Answers lie evenly over the master: so many up to here, less those before.
        let upto = |number: usize| (number * ROWS).min(rows);
        let share = |number: usize| upto(number) * answers / rows;
        part(number, upto(number + 1) - upto(number), share(number + 1) - share(number))
    })
}

/// One population's share: so many customers, and at most so many answers to them.
pub(super) fn part(number: usize, rows: usize, answers: usize) -> Result<Part, Error> {
    let (digits, width) = DIGITS;
    let plan = Plan {
        seed: number as u64,
        followers: rows * 2 / 3 + 2,
        official_accounts: vec![OfficialAccountPlan {
            id: "bench".to_owned(),
            account_digits: digits,
            branch_digits: 3,
            customer_prefix: format!("{number:0width$}"),
        }],
        carriers: vec!["alpha".to_owned()],
    };
    let mut population = generate(&plan);
    let master = population.masters.pop().map(|master| master.rows).unwrap_or_default();
    let suffix = format!("{number:0width$}");
    let customers: Vec<_> =
        master.into_iter().take(rows).map(|row| customer(row, &suffix)).collect::<Result<_, _>>()?;
    // A population may have a few more customers than are wanted: nobody is sure of those who are left out.
    let accounts: HashSet<&str> = customers.iter().map(|customer| customer.account_key.as_str()).collect();
    let format = AccountFormat { account_digits: digits, branch_digits: 3 };
    let answers =
        population.stories.into_iter().filter_map(|story| answer(story, format, &suffix)).take(answers);
    let answers = answers.map(|mut answer| {
        answer.confirmed &= accounts.contains(answer.account.account_number.as_str());
        answer
    });
    let answers = answers.collect();
    Ok(Part { customers, answers })
}

fn customer(row: CustomerRow, suffix: &str) -> Result<Customer, Error> {
    let account_number = row.account_number + suffix;
    Ok(Customer {
        customer_id: row.customer_id.parse()?,
        name: row.name,
        name_kana: row.name_kana,
        birth_date: row.birth_date,
        address: row.address,
        branch_number: row.branch_number,
        account_key: account_number.clone(),
        account_number,
        identity_verification: row.identity_verification,
    })
}

fn answer(story: Story, format: AccountFormat, suffix: &str) -> Option<Answer> {
    let (identity, confirmed) = (story.identity?, story.expected == story::Expected::Confirmed);
    let account = parse_account_text(&story.account_text, &format).ok()?;
    Some(Answer {
        account: GivenAccount {
            branch_number: account.branch_number,
            account_number: account.account_number + suffix,
        },
        identity: AttestedIdentity {
            method: match identity.method {
                story::IdentityMethod::Jpki => IdentityMethod::Jpki,
                story::IdentityMethod::Carrier => IdentityMethod::Carrier,
                story::IdentityMethod::Document => IdentityMethod::Document,
            },
            name: identity.name,
            name_kana: Some(identity.name_kana).filter(|kana| !kana.is_empty()),
            birth_date: identity.birth_date,
            address: identity.address,
        },
        confirmed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_can_be_confirmed_is_a_customer() {
        for (number, rows) in [(0, 300), (1, 1_000), (2, 5_000)] {
            let part = part(number, rows, usize::MAX).unwrap();
            let accounts: HashSet<_> = part.customers.iter().map(|it| it.account_key.clone()).collect();
            assert_eq!(part.customers.len(), rows);
            let confirmed: Vec<_> = part.answers.iter().filter(|it| it.confirmed).collect();
            assert!(confirmed.len() * 5 > rows, "{}", confirmed.len());
            let strangers = confirmed.iter().filter(|it| !accounts.contains(&it.account.account_number));
            assert_eq!(strangers.count(), 0, "of {rows} customers");
        }
    }
}
