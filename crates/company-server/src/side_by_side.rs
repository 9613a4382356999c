//! What a person attested beside what the master has, field by field, as those see it who decide a review.
//!
//! Compared by the very crate that decides matches; nothing is decided here. Surprising: how long account numbers are is taken from the two that stand
//! there, because who looks may have no configuration of a server.

use musubi_matching::{
    AccountFormat, Compared, compare_accounts, compare_addresses, compare_birth_dates, compare_kana,
    compare_names,
};
use musubi_proto::{company::v1::Customer, information::v1::ReviewSubject};

/// One field of both.
pub struct Field {
    /// As the master calls it.
    pub name: &'static str,
    /// What was attested, or typed.
    pub attested: String,
    /// What the master has; empty without a customer.
    pub master: String,
    /// How they compare; none without a customer.
    pub compared: Option<Compared>,
}

/// Name, reading, birth date, address and account, of which the last was typed.
#[must_use]
pub fn side_by_side(subject: &ReviewSubject, customer: Option<&Customer>) -> Vec<Field> {
    let nobody = Customer::default();
    let master = customer.unwrap_or(&nobody);
    let typed = account(&subject.branch_number, &subject.account_number);
    let held = account(&master.branch_number, &master.account_number);
    let digits = |text: &str| u8::try_from(text.len()).unwrap_or(u8::MAX);
    let format = AccountFormat {
        account_digits: digits(&subject.account_number).max(digits(&master.account_number)),
        branch_digits: digits(&subject.branch_number).max(digits(&master.branch_number)),
    };
    type Compare<'a> = &'a dyn Fn(&str, &str) -> Compared;
    let rows: [(&str, &str, &str, Compare<'_>); 5] = [
        ("name", &subject.name, &master.name, &compare_names),
        ("name_kana", &subject.name_kana, &master.name_kana, &compare_kana),
        ("birth_date", &subject.birth_date, &master.birth_date, &compare_birth_dates),
        ("address", &subject.address, &master.address, &compare_addresses),
        ("account", &typed, &held, &|one, other| compare_accounts(one, other, &format)),
    ];
    let field = |(name, attested, master, compare): (&'static str, &str, &str, Compare<'_>)| Field {
        name,
        attested: attested.to_owned(),
        master: master.to_owned(),
        compared: customer.map(|_| compare(attested, master)),
    };
    rows.into_iter().map(field).collect()
}

fn account(branch: &str, number: &str) -> String {
    if branch.is_empty() { number.to_owned() } else { format!("{branch}-{number}") }
}
