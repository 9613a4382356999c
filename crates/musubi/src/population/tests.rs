//! What holds of every population, of large ones, and of the committed samples.

use std::collections::{HashMap, HashSet};

use musubi_terminal_simulator::story::{Expected, Reply, Story, UnfollowAfter, read_stories, write_stories};
use proptest::prelude::*;

use super::*;

/// The plan of the committed samples, as `samples/README.md` states it.
fn sample_plan() -> Plan {
    plan(20_251_123, 80)
}

fn plan(seed: u64, followers: usize) -> Plan {
    let account = |id: &str, account_digits, customer_prefix: &str| OfficialAccountPlan {
        id: id.to_owned(),
        account_digits,
        branch_digits: 3,
        customer_prefix: customer_prefix.to_owned(),
    };
    Plan {
        seed,
        followers,
        official_accounts: vec![account("aoba-bank", 7, "A"), account("hinata-gas", 10, "H")],
        carriers: ["kumo", "nami", "hoshi"].map(str::to_owned).to_vec(),
    }
}

fn master<'a>(population: &'a Population, story: &Story) -> &'a Master {
    population.masters.iter().find(|master| master.official_account == story.official_account).unwrap()
}

/// The digits of a text, whatever their width.
fn digits(text: &str) -> String {
    let digit = |c: char| match c {
        '０'..='９' => char::from_digit(c as u32 - '０' as u32, 10),
        _ => c.is_ascii_digit().then_some(c),
    };
    text.chars().filter_map(digit).collect()
}

/// The customer whose number is typed, with the branch if there is one.
fn owner<'a>(population: &'a Population, story: &Story) -> Option<&'a CustomerRow> {
    let typed = digits(&story.account_text);
    master(population, story).rows.iter().find(|row| {
        typed == row.account_number || typed == format!("{}{}", row.branch_number, row.account_number)
    })
}

/// Asserts what must hold of every population of that plan.
fn check(plan: &Plan) {
    let population = generate(plan);
    let mut file = Vec::new();
    write_stories(&population.stories, &mut file).unwrap();
    assert_eq!(read_stories(&*file).unwrap(), population.stories, "the stories are a valid file");
    assert_eq!(population.stories.len(), plan.followers);
    for master in &population.masters {
        let numbers: HashSet<&str> = master.rows.iter().map(|row| row.account_number.as_str()).collect();
        let ids: HashSet<&str> = master.rows.iter().map(|row| row.customer_id.as_str()).collect();
        assert_eq!((numbers.len(), ids.len()), (master.rows.len(), master.rows.len()));
    }
    let mut typed = HashSet::new();
    for story in &population.stories {
        check_story(&population, story);
        if story.reply == Reply::Confirm {
            let number = owner(&population, story).map(|row| row.account_number.clone());
            let number = number.unwrap_or_else(|| digits(&story.account_text));
            assert!(typed.insert((&story.official_account, number)), "no number is typed in two stories");
        }
    }
}

fn check_story(population: &Population, story: &Story) {
    assert_eq!(story.identity.is_some(), story.reply == Reply::Confirm);
    assert_eq!(story.account_text.is_empty(), story.reply != Reply::Confirm);
    assert_eq!(
        story.expected_customer_id.is_some(),
        matches!(story.expected, Expected::Confirmed | Expected::Review)
    );
    let Some(identity) = &story.identity else { return };
    let name = |text: &str| text.replace([' ', '\u{3000}'], "");
    let owner = owner(population, story);
    match story.expected {
        Expected::Confirmed | Expected::Review => {
            let owner = owner.unwrap();
            assert_eq!(Some(&owner.customer_id), story.expected_customer_id.as_ref());
            assert_eq!(owner.birth_date, identity.birth_date);
        }
        Expected::Unfollowed => assert_eq!(owner.unwrap().birth_date, identity.birth_date),
        Expected::Rejected => {
            let Some(owner) = owner else { return };
            assert_ne!(name(&owner.name), name(&identity.name));
            for (one, other) in owner.birth_date.split('-').zip(identity.birth_date.split('-')) {
                assert_ne!(one, other, "year, month and day all differ");
            }
        }
        Expected::NoAccount | Expected::Declined | Expected::Unanswered => {
            panic!("attests without confirming")
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_population_holds_the_answers_to_its_stories(seed: u64, followers in 0_usize..300) {
        check(&plan(seed, followers));
    }

    #[test]
    fn every_shape_of_plan_gives_a_valid_population(
        seed: u64,
        followers in 0_usize..60,
        companies in 0_usize..5,
        carriers in 1_usize..3,
        account_digits in 0_u8..22,
        branch_digits in 0_u8..12,
    ) {
        let official_accounts: Vec<OfficialAccountPlan> = (0..companies)
            .map(|at| OfficialAccountPlan {
                id: format!("account-{at}"),
                account_digits,
                branch_digits,
                customer_prefix: String::new(),
            })
            .collect();
        let followers = if companies == 0 { 0 } else { followers };
        let carriers = (0..carriers).map(|at| format!("carrier-{at}")).collect();
        check(&Plan { seed, followers, official_accounts, carriers });
    }

    #[test]
    fn same_plan_gives_the_same_population(seed: u64) {
        let one = generate(&plan(seed, 100));
        prop_assert_eq!(&one, &generate(&plan(seed, 100)));
        prop_assert_ne!(&one, &generate(&plan(seed.wrapping_add(1), 100)));
    }
}

#[test]
fn without_accounts_or_carriers_nobody_follows() {
    let nobody = Plan { official_accounts: Vec::new(), ..plan(1, 10) };
    assert_eq!(generate(&nobody), Population { masters: Vec::new(), stories: Vec::new() });
    let silent = generate(&Plan { carriers: Vec::new(), ..plan(1, 10) });
    assert!(silent.stories.is_empty() && silent.masters.iter().all(|master| master.rows.is_empty()));
}

#[test]
fn phones_are_japanese_mobiles_and_one_story_in_fourteen_shares_its_phone() {
    let population = generate(&plan(2, 2800));
    let mut phones: HashMap<&str, Vec<&Story>> = HashMap::new();
    for story in &population.stories {
        assert!(["+8170", "+8180", "+8190"].iter().any(|prefix| story.phone_number.starts_with(prefix)));
        assert_eq!(story.phone_number.len(), 13);
        phones.entry(&story.phone_number).or_default().push(story);
    }
    let shared: Vec<_> = phones.values().filter(|stories| stories.len() == 2).collect();
    assert_eq!((phones.len(), shared.len()), (2600, 200));
    let birth_date = |story: &Story| story.identity.as_ref().map(|identity| identity.birth_date.clone());
    for stories in shared {
        if let (Some(one), Some(other)) = (birth_date(stories[0]), birth_date(stories[1])) {
            assert_eq!(one, other, "the same person holds the phone");
        }
    }
}

#[test]
fn master_has_half_as_many_customers_again_as_followers() {
    let population = generate(&plan(3, 3000));
    let rows: Vec<usize> = population.masters.iter().map(|master| master.rows.len()).collect();
    assert_eq!(rows, [2250, 2250]);
}

#[test]
fn every_kind_of_story_is_told_about_as_often_as_its_share() {
    let population = generate(&plan(4, 20_000));
    for (kind, share) in kind::SHARES {
        let told = population.stories.iter().filter(|story| story.story == kind.in_words()).count();
        let due = 20 * share as usize;
        assert!((due * 7 / 10..=due * 13 / 10).contains(&told), "{kind:?}: {told}, not about {due}");
    }
    let leaves = |after| population.stories.iter().filter(|story| story.unfollow_after == after).count();
    assert!(leaves(UnfollowAfter::Question) > 0 && leaves(UnfollowAfter::Confirmed) > 0);
}

#[test]
fn each_way_of_spelling_is_found_among_the_followers() {
    let population = generate(&plan(5, 20_000));
    let identities = || population.stories.iter().filter_map(|story| story.identity.as_ref());
    for part in ["番地", "号", "丁目", "ー", "−", "大字", "郡", "ヶ", "ケ", "上る", "号室", "２"]
    {
        assert!(identities().any(|identity| identity.address.contains(part)), "no address with {part}");
    }
    for part in ["澤", "﨑", "髙", "邉", "濵", "𠮷", "\u{e0100}", "\u{3000}", " "] {
        assert!(identities().any(|identity| identity.name.contains(part)), "no name with {part}");
    }
    assert!(identities().any(|identity| identity.name_kana.contains('ｶ')));
    assert!(identities().any(|identity| identity.name_kana.is_empty()));
    for part in ["です", "よろしく", "普通", "支店番号", "お客様番号", "－", "−", "\u{3000}"]
    {
        assert!(
            population.stories.iter().any(|story| story.account_text.contains(part)),
            "no text with {part}"
        );
    }
}

#[test]
fn large_population_does_not_run_out_of_people() {
    let population = generate(&plan(6, 60_000));
    let people: HashSet<(&str, &str)> =
        population.masters[0].rows.iter().map(|row| (row.name.as_str(), row.birth_date.as_str())).collect();
    assert!(people.len() * 1000 > population.masters[0].rows.len() * 999);
}

#[test]
fn debug_of_a_population_shows_nobody() {
    let population = generate(&plan(7, 50));
    let text = format!("{population:?}");
    for row in population.masters.iter().flat_map(|master| &master.rows) {
        for personal in [&row.name, &row.name_kana, &row.birth_date, &row.address, &row.account_number] {
            assert!(!text.contains(personal.as_str()));
        }
    }
}

/// The sample files by name.
fn sample_files(population: &Population) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for master in &population.masters {
        let mut file = Vec::new();
        write_customers(&master.rows, &mut file).unwrap();
        files.push((format!("customers-{}.csv", master.official_account), file));
    }
    let mut file = Vec::new();
    write_stories(&population.stories, &mut file).unwrap();
    files.push(("followers.csv".to_owned(), file));
    files
}

#[test]
fn committed_samples_are_what_the_generator_makes() {
    let population = generate(&sample_plan());
    let committed = [
        ("customers-aoba-bank.csv", &include_bytes!("../../samples/customers-aoba-bank.csv")[..]),
        ("customers-hinata-gas.csv", include_bytes!("../../samples/customers-hinata-gas.csv")),
        ("followers.csv", include_bytes!("../../samples/followers.csv")),
    ];
    let made = sample_files(&population);
    let fresh = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/samples");
    for ((name, committed), (_, made)) in committed.iter().zip(&made) {
        if committed != made {
            std::fs::create_dir_all(&fresh).unwrap();
            std::fs::write(fresh.join(name), made).unwrap();
            panic!("samples/{name} is out of date; if that is meant, replace it by target/samples/{name}");
        }
    }
    assert_eq!(read_stories(committed[2].1).unwrap(), population.stories);
}
