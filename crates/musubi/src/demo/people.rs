//! People whose phones anybody may pick up at the pages: customers of the masters whom no story tells of, with numbers of their own.
//!
//! They are read from the masters as any file has them, so that whoever picks one up can be confirmed. Nothing of them is played.
//! Surprising: a customer whom a story has tried before is left out, since their guesses may be used up.

use std::{
    borrow::Cow,
    collections::HashSet,
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
};

use csv::StringRecord;
use encoding_rs::SHIFT_JIS;
use musubi_terminal_simulator::story::{
    Expected, Identity, IdentityMethod, Reply, Story, UnfollowAfter, write_stories,
};

use super::material::{AccountMaterial, Material, MaterialError};

/// How many of each company.
const OF_EACH: usize = 6;
/// Columns of a master: who somebody is, and their account.
const COLUMNS: [&str; 6] = ["name", "name_kana", "birth_date", "address", "branch_number", "account_number"];

/// Chooses people and writes them to the folder, as a stories file. Gives the file.
///
/// # Errors
/// When a master can't be read, or the file can't be written.
pub(super) fn write(material: &Material, folder: &Path) -> Result<PathBuf, MaterialError> {
    let path = folder.join("people.csv");
    let mut people = Vec::new();
    let tried = Tried::of(&material.stories);
    for account in &material.accounts {
        let file = std::fs::read(&account.master)
            .map_err(|source| MaterialError::File { path: account.master.clone(), source })?;
        for customer in customers(&file).filter(|it| !tried.has(it)).take(OF_EACH) {
            let index = people.len();
            let carrier = &material.carriers[index % material.carriers.len()];
            let number = tried.free_number(index);
            people.push(person(account, carrier.as_str(), number, customer));
        }
    }
    let file = File::create(&path).map_err(|source| MaterialError::File { path: path.clone(), source })?;
    write_stories(&people, BufWriter::new(file))
        .map_err(|source| MaterialError::Stories { path: path.clone(), source })?;
    Ok(path)
}

/// What stories say of whom they try.
struct Tried {
    numbers: HashSet<String>,
    typed: HashSet<String>,
    births: HashSet<String>,
}

impl Tried {
    fn of(stories: &[Story]) -> Self {
        let births = stories.iter().filter_map(|story| Some(digits(&story.identity.as_ref()?.birth_date)));
        Self {
            numbers: stories.iter().map(|story| story.phone_number.clone()).collect(),
            typed: stories.iter().map(|story| digits(&story.account_text)).collect(),
            births: births.collect(),
        }
    }

    fn has(&self, customer: &Customer) -> bool {
        let (branch, number) = (digits(&customer.branch), digits(&customer.account));
        self.births.contains(&digits(&customer.birth_date))
            || self.typed.contains(&format!("{branch}{number}"))
            || self.typed.contains(&number)
    }

    /// A number of 070, which no story has.
    fn free_number(&self, index: usize) -> String {
        let number = |tail: usize| format!("+81701000{tail:04}");
        (index + 1..)
            .step_by(1_000)
            .map(number)
            .find(|number| !self.numbers.contains(number))
            .unwrap_or_default()
    }
}

/// A row of a master.
struct Customer {
    name: String,
    name_kana: String,
    birth_date: String,
    address: String,
    branch: String,
    account: String,
}

/// The customers of a master, UTF-8 or Shift_JIS, who have all that a proof needs.
fn customers(file: &[u8]) -> impl Iterator<Item = Customer> {
    let text = match std::str::from_utf8(file) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => SHIFT_JIS.decode(file).0,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().cloned().unwrap_or_default();
    let places = COLUMNS.map(|name| header.iter().position(|column| column.trim() == name));
    let customer = |record: StringRecord| {
        let [name, name_kana, birth_date, address, branch, account] = places
            .map(|place| place.and_then(|place| record.get(place)).unwrap_or_default().trim().to_owned());
        let whole = [&name, &birth_date, &address, &account].iter().all(|value| !value.is_empty());
        whole.then_some(Customer { name, name_kana, birth_date, address, branch, account })
    };
    // A row that can't be read is the import's to name.
    reader.records().filter_map(Result::ok).filter_map(customer).collect::<Vec<_>>().into_iter()
}

fn person(account: &AccountMaterial, carrier: &str, phone_number: String, customer: Customer) -> Story {
    let Customer { name, name_kana, birth_date, address, branch, account: number } = customer;
    Story {
        phone_number,
        carrier: carrier.to_owned(),
        official_account: account.id.to_string(),
        reply: Reply::Ignore,
        account_text: if branch.is_empty() { number } else { format!("{branch}-{number}") },
        identity: Some(Identity { method: IdentityMethod::Jpki, name, name_kana, birth_date, address }),
        unfollow_after: UnfollowAfter::Never,
        expected: Expected::Unanswered,
        expected_customer_id: None,
        story: "held by whoever picks it up".to_owned(),
    }
}

/// The digits of a text, as ASCII.
fn digits(text: &str) -> String {
    let digit =
        |c: char| c.to_digit(10).or_else(|| u32::from(c).checked_sub(u32::from('０')).filter(|it| *it < 10));
    text.chars().filter_map(digit).filter_map(|digit| char::from_digit(digit, 10)).collect()
}

#[cfg(test)]
mod tests {
    use musubi_terminal_simulator::story::read_stories;

    use super::*;
    use crate::demo::tests::args;

    #[test]
    fn people_are_customers_whom_no_story_tries_with_numbers_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let invented = args(&["--followers", "200", "--companies", "3"].map(str::to_owned));
        let material = Material::prepare(&invented, folder.path()).unwrap();
        let path = write(&material, folder.path()).unwrap();
        let people = read_stories(File::open(path).unwrap()).unwrap();
        assert_eq!(people.len(), 3 * OF_EACH);
        let tried = Tried::of(&material.stories);
        for person in &people {
            let identity = person.identity.as_ref().unwrap();
            assert!(!tried.numbers.contains(&person.phone_number));
            assert!(!tried.typed.contains(&digits(&person.account_text)));
            assert!(!tried.births.contains(&digits(&identity.birth_date)) && !identity.address.is_empty());
        }
    }

    #[test]
    fn digits_of_any_width_are_read() {
        assert_eq!(digits("口座番号は１２3-４です"), "1234");
    }
}
