//! People who fail, each for another cause that a person can bring about, and people who know everything about a customer and can prove
//! nothing: nobody is tied, nobody is told more than anybody else or sooner, and the audit has each try.
//!
//! Surprising: all proofs come in one batch, so that whoever is told something at another time than the others is told apart by that.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use musubi_domain::identity::IdentityMethod::{self, Carrier, Document, Jpki};
use musubi_proto::carrier::v1::IncomingMessage;
use musubi_tests::processes::System;
use prost::Message as _;
use serde_json::{Value, json};

use super::{KUMO, Links, Person, Phones, Stolen, push, right, with};
use crate::{
    SAMPLES,
    people::{BANK, GAS, does, refused},
};

/// How long after the proof what failed is told.
const TOLD_AFTER: Duration = Duration::from_secs(3);
/// Wrong account numbers of one verified person.
const OF_ONE: usize = 5;
/// Texts without an account number, after which a dialogue gives up.
const UNREADABLE: usize = 3;
/// An account number that the bank has not.
const NOBODYS: usize = 1_000_001;

/// Where a try ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Rejected,
    Review,
    Locked,
    Abandoned,
}

impl End {
    /// As companies are shown it, and as the audit tells of it.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Rejected => ("rejected", "rejected"),
            Self::Review => ("review", "sent to review"),
            Self::Locked => ("locked", "locked"),
            Self::Abandoned => ("abandoned", "moved"),
        }
    }
}

/// A try, and where it has to end.
struct Try {
    person: Person,
    /// Who is attested to the person, and by what; none types what nobody can read until the dialogue gives up.
    attested: Option<(IdentityMethod, Value)>,
    ends: End,
}

/// A customer of a company's master.
pub(super) fn customer(company: &str, id: &str) -> Value {
    let master = std::fs::read_to_string(format!("{SAMPLES}/customers-{company}.csv")).unwrap();
    let row: Vec<_> = master.lines().find(|line| line.starts_with(id)).unwrap().split(',').collect();
    json!({ "name": row[1], "name_kana": row[2], "birth_date": row[3], "address": row[4], "account": row[6] })
}

/// Every cause, at the bank but for the last. `tied` is a customer who has a number.
fn tries(tied: &str) -> Vec<Try> {
    let of = |id| customer(BANK, id);
    let stranger = |year: usize| json!({ "name": "見知 蘭", "name_kana": "ミシ ラン", "birth_date": format!("{year}-02-03"), "address": "東京都港区芝公園四丁目2-8" });
    let no_account = |more: usize| (NOBODYS + more).to_string();
    let number = |customer: &Value| customer["account"].as_str().unwrap().to_owned();
    let mut tries = Vec::new();
    let mut fails = |account, types: String, attested, ends| {
        let number = format!("+8180333310{:02}", tries.len());
        tries.push(Try { person: Person { number, account, types }, attested, ends });
    };
    let mut at_the_bank = |types, method, attested, ends| fails(BANK, types, Some((method, attested)), ends);
    // No such account, whoever asks; somebody else's.
    at_the_bank(no_account(0), Jpki, of("A000006"), End::Rejected);
    at_the_bank(number(&of("A000008")), Jpki, stranger(1980), End::Rejected);
    at_the_bank(number(&of("A000008")), Carrier, of("A000010"), End::Rejected);
    // One thing is otherwise: name, birth date, branch; address and family name are for people.
    let named = json!({ "name": "別名 二郎", "name_kana": "ベツメイ ジロウ" });
    at_the_bank(number(&of("A000012")), Jpki, with(&of("A000012"), named), End::Rejected);
    let born = json!({ "birth_date": "1985-11-30" });
    at_the_bank(number(&of("A000013")), Jpki, with(&of("A000013"), born), End::Rejected);
    at_the_bank(format!("999-{}", number(&of("A000014"))), Jpki, of("A000014"), End::Rejected);
    let moved = json!({ "address": "北海道旭川市神楽岡五条三丁目36-14" });
    at_the_bank(number(&of("A000018")), Jpki, with(&of("A000018"), moved), End::Review);
    let married = json!({ "name": "別名 野々花", "name_kana": "ベツメイ ノノカ" });
    at_the_bank(number(&of("A000019")), Carrier, with(&of("A000019"), married), End::Review);
    // All of it is right, and the customer has another number.
    at_the_bank(number(&of(tied)), Jpki, of(tied), End::Review);
    // All of it is right, and nothing proves it but papers.
    at_the_bank(number(&of("A000021")), Document, of("A000021"), End::Review);
    // One person from many numbers, once too often.
    for round in 0..=OF_ONE {
        let ends = if round < OF_ONE { End::Rejected } else { End::Locked };
        at_the_bank(no_account(1 + round), Jpki, stranger(1990), ends);
    }
    fails(BANK, "わかりません".to_owned(), None, End::Abandoned);
    // The other company matches nobody any more.
    let gas = customer(GAS, "H000002");
    let account = number(&gas);
    fails(GAS, account, Some((Jpki, gas)), End::Locked);
    tries
}

/// What failed, for the audit to tell of it.
pub(crate) struct Failed {
    tries: Vec<Try>,
    /// Assertions of less than an account asks for.
    weak: u64,
}

/// Everybody fails. The other company has reached its limit of wrong account numbers.
pub(crate) async fn fail(system: &System, phones: &mut Phones, stolen: &Stolen, tied: &str) -> Failed {
    let tries = tries(tied);
    let (proving, giving_up): (Vec<_>, Vec<_>) = tries.into_iter().partition(|it| it.attested.is_some());
    let typed = gives_up(phones, &giving_up[0].person).await;

    let people: Vec<&Person> = proving.iter().map(|it| &it.person).collect();
    let links = phones.until_identity(&people).await;
    // Who knows a customer's birthday may say so.
    let knows = proving.iter().position(|it| matches!(it.attested, Some((Document, _)))).unwrap();
    phones.types(people[knows], "2006年1月23日生まれ、今井正雄です").await;
    let weak = weak(system, stolen, people[knows], &links[knows]).await
        + weak_at(system, stolen, people.last().unwrap(), links.last().unwrap()).await;
    let signed = proving.iter().zip(&links).map(|(it, links)| {
        let (method, attested) = it.attested.as_ref().unwrap();
        stolen.sign(*method, &with(&right(&it.person, links, *method), attested.clone()))
    });
    let signed = signed.collect();
    let proved = Instant::now();
    assert!(push(system, KUMO, signed).await.iter().all(Option::is_none), "an assertion is refused");
    let mut told = vec![(typed, phones.message(&giving_up[0].person, 1 + UNREADABLE).await)];
    for person in &people {
        told.push((proved, phones.message(person, 3).await));
    }

    let texts: BTreeSet<String> = told.iter().map(|(_, (_, message))| shape(message)).collect();
    assert_eq!(texts.len(), 1, "what failed is told by words: {texts:#?}");
    let waits: Vec<_> = told.iter().map(|(proved, (came, _))| came.duration_since(*proved)).collect();
    assert!(waits.iter().all(|wait| *wait >= TOLD_AFTER), "told too soon: {waits:?}");
    println!(
        "{} who failed were told after {:?} to {:?}",
        waits.len(),
        waits.iter().min(),
        waits.iter().max()
    );

    let tries: Vec<_> = proving.into_iter().chain(giving_up).collect();
    let stand: Vec<Value> = [BANK, GAS].into_iter().flat_map(|company| followers(system, company)).collect();
    for Try { person, ends, .. } in &tries {
        let is_theirs = |row: &&Value| {
            row["phone_number"] == person.number.as_str() && row["official_account"] == person.account
        };
        let row = stand.iter().find(is_theirs).unwrap();
        assert_eq!(row["outcome"], ends.words().0, "{row}");
    }
    Failed { tries, weak }
}

/// Who types nothing that is an account number, until the dialogue gives up. Gives when the last text was typed.
async fn gives_up(phones: &mut Phones, person: &Person) -> Instant {
    phones.until_account(&[person]).await;
    for round in 1..UNREADABLE {
        phones.types(person, &person.types).await;
        phones.message(person, 1 + round).await;
    }
    let typed = Instant::now();
    phones.types(person, &person.types).await;
    typed
}

/// Less than a proof for whoever the account lets prove by papers. Gives how many were refused.
async fn weak(system: &System, stolen: &Stolen, person: &Person, links: &Links) -> u64 {
    let known = customer(BANK, "A000021");
    let of = |method| with(&right(person, links, method), known.clone());
    let refused = push(
        system,
        KUMO,
        vec![
            stolen.sign(Jpki, &with(&of(Jpki), json!({ "assurance": "low" }))),
            stolen.sign(Carrier, &with(&of(Carrier), json!({ "assurance": "none" }))),
            // Papers that pass for a card, by the link, the method or the key.
            stolen.sign(Document, &with(&of(Document), json!({ "nonce": links.nonces["jpki"] }))),
            stolen.sign(Document, &with(&of(Document), json!({ "method": "jpki" }))),
            stolen.sign(Jpki, &of(Document)),
        ],
    );
    let fields: Vec<_> = refused.await.into_iter().map(Option::unwrap).collect();
    assert_eq!(fields, ["assurance", "assurance", "nonce", "method", "iss"]);
    fields.len() as u64
}

/// Papers where the company takes none: it offers no link for them, and takes none by another's.
async fn weak_at(system: &System, stolen: &Stolen, person: &Person, links: &Links) -> u64 {
    assert_eq!((person.account, links.nonces.get("document")), (GAS, None));
    let claims = with(&right(person, links, Document), json!({ "nonce": links.nonces["jpki"] }));
    let claims = with(&claims, customer(GAS, "H000002"));
    assert_eq!(push(system, KUMO, vec![stolen.sign(Document, &claims)]).await, [Some("nonce".to_owned())]);
    1
}

/// What a phone can tell of a message: all but its id, whose it is, and what stands behind the buttons, of which only the length is seen.
fn shape(message: &IncomingMessage) -> String {
    let IncomingMessage { message_id, display_name, content, traffic_type, .. } = message;
    let mut content = content.clone().unwrap();
    for button in &mut content.suggestions {
        button.postback = "x".repeat(button.postback.len());
    }
    // Each account is called by its own name.
    let name = display_name.replace(BANK, "").replace(GAS, "");
    format!("{} {name} {traffic_type} {} {:?}", message_id.len(), content.text, content.encode_to_vec())
}

fn followers(system: &System, company: &str) -> Vec<Value> {
    let list = ["followers", "list", "--official-account", company, "--format", "json"];
    let rows: Vec<Value> = serde_json::from_str(&does(system, company, &list)).unwrap();
    rows.into_iter().map(|row| with(&row, json!({ "official_account": company }))).collect()
}

impl Failed {
    /// Holds the lines of the audit against what was tried.
    pub(crate) fn are_told(&self, lines: &[Value]) {
        for (company, end) in self.tries.iter().map(|it| (it.person.account, it.ends)) {
            let same = |it: &&Try| (it.person.account, it.ends) == (company, end);
            let tried = self.tries.iter().filter(same).count();
            let action = end.words().1;
            let told = lines.iter().filter(|line| line["company"] == company && line["action"] == action);
            assert!(told.count() >= tried, "{action} of {company}: {lines:#?}");
        }
        let weak = lines.iter().find(|line| {
            line["action"] == "sent to review" && line["detail"].as_str().unwrap().contains("identity.weak")
        });
        assert!(weak.is_some(), "{lines:#?}");
        assert!(refused(lines, &format!("carrier/{KUMO} PushAssertions: ")) >= self.weak, "{lines:#?}");
        // Ids and codes: nothing that was typed or attested.
        for Try { person, attested, .. } in &self.tries {
            let attested = attested.iter().flat_map(|(_, it)| {
                ["name", "name_kana", "birth_date", "address"].map(|claim| it[claim].as_str().unwrap())
            });
            for personal in attested.chain([person.number.as_str(), person.types.as_str()]) {
                let shown = lines.iter().find(|line| line.to_string().contains(personal));
                assert!(shown.is_none(), "{personal} stands in {shown:?}");
            }
        }
    }
}
