//! The door for stories: raw words in, people with a script and a credential out.
//!
//! What comes from a caller, a file or the database passes here and is checked alike. Nothing is played here. Surprising: a
//! credential and its PIN are derived from number and account, so that they needn't be kept.

use musubi_domain::{
    Error,
    error::shape,
    id::{CarrierId, OfficialAccountId},
    phone_number::PhoneNumber,
};
use musubi_proto::{carrier::v1::Person, terminal::v1 as wire, r#type::v1 as words};
use prost::Message as _;
use uuid::Uuid;

use crate::{
    hand::{Credential, Holder, Wallet},
    script::Script,
    story::{IdentityMethod, Reply, Story, UnfollowAfter, UnknownWord},
};

/// The most that a person can type at once, in characters.
pub(crate) const TYPED_LIMIT: usize = 3072;
/// Names credentials: an arbitrary UUID, for ever this one.
const CREDENTIALS: Uuid = Uuid::from_u128(0x2d1f_0a64_92f3_4f0e_8f63_0e2c_5f7b_9a11);

/// A person who is to get a phone.
pub(crate) struct Intake {
    /// The phone's number.
    pub phone_number: PhoneNumber,
    /// The phone's carrier.
    pub carrier: CarrierId,
    /// Whom the person follows.
    pub official_account: OfficialAccountId,
    /// What the person does.
    pub script: Script,
    /// What the carrier's authorities have to know of the person.
    pub person: Option<Person>,
}

/// Checks one story.
///
/// # Errors
/// The first field at fault, as the request names it.
pub(crate) fn parse(story: wire::Story) -> Result<Intake, Error> {
    let phone_number: PhoneNumber = story.phone_number.parse()?;
    let carrier = story.carrier.parse()?;
    let official_account: OfficialAccountId = story.official_account.parse()?;
    let script = parse_script(&story)?;
    check_identity(&story)?;
    let person = match script.method {
        None => None,
        Some(method) => {
            has_identity(&story)?;
            let credential_id = credential(&phone_number, &official_account);
            Some(Person {
                method: wire_method(method).into(),
                msisdn: story.phone_number,
                pin: pin(credential_id),
                credential_id: credential_id.to_string(),
                name: story.identity_name,
                name_kana: story.identity_name_kana,
                birth_date: story.identity_birth_date,
                address: story.identity_address,
            })
        }
    };
    Ok(Intake { phone_number, carrier, official_account, script, person })
}

/// Checks somebody who can pick up a phone. What a story would do is not read.
///
/// # Errors
/// The first field at fault, as a story names it.
pub(crate) fn parse_holder(story: &wire::Story) -> Result<Holder, Error> {
    let phone_number: PhoneNumber = story.phone_number.parse()?;
    let (carrier, official_account) = (story.carrier.parse()?, story.official_account.parse()?);
    check_length("account_text", &story.account_text, TYPED_LIMIT)?;
    check_identity(story)?;
    has_identity(story)?;
    Ok(Holder { phone_number, carrier, official_account, wallet: wallet(phone_number, story) })
}

fn wallet(phone_number: PhoneNumber, story: &wire::Story) -> Wallet {
    let credential = |method: &IdentityMethod| {
        let id = Uuid::new_v5(&CREDENTIALS, format!("{}//{method}", phone_number.as_str()).as_bytes());
        Credential { method: *method, id: id.to_string(), pin: pin(id) }
    };
    Wallet {
        name: story.identity_name.clone(),
        name_kana: story.identity_name_kana.clone(),
        birth_date: story.identity_birth_date.clone(),
        address: story.identity_address.clone(),
        account_text: story.account_text.clone(),
        credentials: IdentityMethod::ALL.iter().map(credential).collect(),
    }
}

/// What the carrier's authorities have to know of whoever holds a phone.
pub(crate) fn persons(phone_number: PhoneNumber, wallet: &Wallet) -> Vec<Person> {
    let person = |Credential { method, id, pin }: &Credential| Person {
        credential_id: id.clone(),
        method: wire_method(*method).into(),
        msisdn: phone_number.as_str().to_owned(),
        pin: pin.clone(),
        name: wallet.name.clone(),
        name_kana: wallet.name_kana.clone(),
        birth_date: wallet.birth_date.clone(),
        address: wallet.address.clone(),
    };
    wallet.credentials.iter().map(person).collect()
}

fn check_identity(story: &wire::Story) -> Result<(), Error> {
    for (field, text, most) in [
        ("identity_name", &story.identity_name, 200),
        ("identity_name_kana", &story.identity_name_kana, 200),
        ("identity_birth_date", &story.identity_birth_date, 100),
        ("identity_address", &story.identity_address, 500),
    ] {
        check_length(field, text, most)?;
    }
    Ok(())
}

fn has_identity(story: &wire::Story) -> Result<(), Error> {
    for (field, value) in
        [("identity_name", &story.identity_name), ("identity_birth_date", &story.identity_birth_date)]
    {
        if value.trim().is_empty() {
            return Err(Error::invalid(field, "is empty", "write what the authority knows"));
        }
    }
    Ok(())
}

fn parse_script(story: &wire::Story) -> Result<Script, Error> {
    let reply: Reply = word("reply", &story.reply)?;
    let unfollow_after: UnfollowAfter = word("unfollow_after", &story.unfollow_after)?;
    let method: Option<IdentityMethod> = match story.identity_method.as_str() {
        "" => None,
        method => Some(word("identity_method", method)?),
    };
    check_length("account_text", &story.account_text, TYPED_LIMIT)?;
    if reply == Reply::Confirm && unfollow_after != UnfollowAfter::Question {
        if story.account_text.is_empty() {
            return Err(Error::invalid(
                "account_text",
                "is empty",
                "write what is typed, since reply is confirm",
            ));
        }
        if method.is_none() {
            return Err(Error::invalid(
                "identity_method",
                "is empty",
                "write jpki, carrier or document, since reply is confirm",
            ));
        }
    }
    Ok(Script { reply, account_text: story.account_text.as_str().into(), method, unfollow_after })
}

/// What a carrier takes of a text, so that no story waits for ever for what is refused.
fn check_length(field: &'static str, text: &str, most: usize) -> Result<(), Error> {
    if text.chars().count() <= most && !text.contains('\0') {
        return Ok(());
    }
    Err(Error::invalid(field, shape(text), format!("write at most {most} characters, none of them NUL")))
}

fn word<T: std::str::FromStr<Err = UnknownWord>>(field: &'static str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|UnknownWord { found, allowed, .. }| {
        Error::invalid(field, format!("is {found}"), format!("write {allowed}"))
    })
}

const fn wire_method(method: IdentityMethod) -> words::IdentityMethod {
    match method {
        IdentityMethod::Jpki => words::IdentityMethod::Jpki,
        IdentityMethod::Carrier => words::IdentityMethod::Carrier,
        IdentityMethod::Document => words::IdentityMethod::Document,
    }
}

/// The credential that the person of this talk room holds.
pub(crate) fn credential(phone_number: &PhoneNumber, official_account: &OfficialAccountId) -> Uuid {
    let name = format!("{}/{official_account}", phone_number.as_str());
    Uuid::new_v5(&CREDENTIALS, name.as_bytes())
}

/// The six digits that unlock a credential.
pub(crate) fn pin(credential: Uuid) -> String {
    format!("{:06}", Uuid::new_v5(&credential, b"pin").as_u64_pair().0 % 1_000_000)
}

/// A script as the database keeps it: a story without whose it is and without what an authority knows.
pub(crate) fn pack(script: &Script) -> Vec<u8> {
    let Script { reply, account_text, method, unfollow_after } = script;
    wire::Story {
        reply: reply.as_str().to_owned(),
        account_text: account_text.to_string(),
        identity_method: method.map_or("", IdentityMethod::as_str).to_owned(),
        unfollow_after: unfollow_after.as_str().to_owned(),
        ..wire::Story::default()
    }
    .encode_to_vec()
}

/// What somebody has at hand, as the database keeps it: a story that never answers, with what an authority knows.
pub(crate) fn pack_wallet(wallet: &Wallet) -> Vec<u8> {
    let Wallet { name, name_kana, birth_date, address, account_text, credentials: _ } = wallet;
    wire::Story {
        reply: Reply::Ignore.as_str().to_owned(),
        account_text: account_text.clone(),
        identity_name: name.clone(),
        identity_name_kana: name_kana.clone(),
        identity_birth_date: birth_date.clone(),
        identity_address: address.clone(),
        ..wire::Story::default()
    }
    .encode_to_vec()
}

/// What somebody has at hand, as the database kept it.
///
/// # Errors
/// When it is no story.
pub(crate) fn unpack_wallet(phone_number: PhoneNumber, story: &[u8]) -> Result<Wallet, Error> {
    decode(story).map(|story| wallet(phone_number, &story))
}

/// A script that the database kept.
///
/// # Errors
/// When it is none.
pub(crate) fn unpack(story: &[u8]) -> Result<Script, Error> {
    parse_script(&decode(story)?)
}

fn decode(story: &[u8]) -> Result<wire::Story, Error> {
    wire::Story::decode(story)
        .map_err(|_| Error::invalid("story", format!("{} bytes that are no story", story.len()), ""))
}

impl From<&Story> for wire::Story {
    fn from(story: &Story) -> Self {
        let wire = Self {
            phone_number: story.phone_number.clone(),
            carrier: story.carrier.clone(),
            official_account: story.official_account.clone(),
            reply: story.reply.as_str().to_owned(),
            account_text: story.account_text.clone(),
            unfollow_after: story.unfollow_after.as_str().to_owned(),
            ..Self::default()
        };
        match &story.identity {
            None => wire,
            Some(identity) => Self {
                identity_method: identity.method.as_str().to_owned(),
                identity_name: identity.name.clone(),
                identity_name_kana: identity.name_kana.clone(),
                identity_birth_date: identity.birth_date.clone(),
                identity_address: identity.address.clone(),
                ..wire
            },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn confirming() -> wire::Story {
        wire::Story {
            phone_number: "+818000000001".to_owned(),
            carrier: "kumo".to_owned(),
            official_account: "bank".to_owned(),
            reply: "confirm".to_owned(),
            account_text: "口座番号は1234567です".to_owned(),
            identity_method: "jpki".to_owned(),
            identity_name: "見本　花子".to_owned(),
            identity_name_kana: "ミホン　ハナコ".to_owned(),
            identity_birth_date: "1990-01-02".to_owned(),
            identity_address: "見本県見本市一丁目1".to_owned(),
            unfollow_after: String::new(),
        }
    }

    #[test]
    fn a_story_becomes_a_person_with_a_credential_of_its_own() {
        let person = parse(confirming()).unwrap_or_else(|error| panic!("{error}")).person.unwrap();
        assert!(person.method() == words::IdentityMethod::Jpki);
        assert_eq!((person.msisdn.as_str(), person.name.as_str()), ("+818000000001", "見本　花子"));
        assert!((4..=16).contains(&person.pin.len()) && person.credential_id.len() <= 100);
        let other = wire::Story { official_account: "shop".to_owned(), ..confirming() };
        let other = parse(other).unwrap_or_else(|error| panic!("{error}")).person.unwrap();
        assert_ne!(person.credential_id, other.credential_id);
    }

    #[test]
    fn a_bad_story_is_refused_by_its_field() {
        type Spoil = fn(&mut wire::Story);
        let spoils: [(&str, Spoil); 12] = [
            ("phone_number", |story| story.phone_number = "090-1234-5678".to_owned()),
            ("carrier", |story| story.carrier.clear()),
            ("official_account", |story| story.official_account = "銀行".to_owned()),
            ("reply", |story| story.reply = "maybe".to_owned()),
            ("reply", |story| story.reply.clear()),
            ("account_text", |story| story.account_text.clear()),
            ("account_text", |story| story.account_text = "1".repeat(TYPED_LIMIT + 1)),
            ("identity_method", |story| story.identity_method.clear()),
            ("identity_method", |story| story.identity_method = "face".to_owned()),
            ("identity_name", |story| story.identity_name = " ".to_owned()),
            ("identity_birth_date", |story| story.identity_birth_date.clear()),
            ("unfollow_after", |story| story.unfollow_after = "never".to_owned()),
        ];
        for (field, spoil) in spoils {
            let mut story = confirming();
            spoil(&mut story);
            let error = parse(story).map(|_| ()).unwrap_err();
            assert_eq!(error.field, field);
            assert!(!error.to_string().contains("1234"), "an error shows no number");
        }
    }

    #[test]
    fn who_ends_before_that_needs_no_account_text_and_no_identity() {
        for (reply, unfollow_after) in
            [("confirm", "question"), ("no_account", ""), ("decline", ""), ("ignore", "confirmed")]
        {
            let story = wire::Story {
                reply: reply.to_owned(),
                unfollow_after: unfollow_after.to_owned(),
                account_text: String::new(),
                identity_method: String::new(),
                ..confirming()
            };
            assert!(parse(story).is_ok_and(|intake| intake.person.is_none()));
        }
    }

    #[test]
    fn a_script_survives_the_database() {
        for method in ["jpki", "carrier", "document"] {
            let story = wire::Story { identity_method: method.to_owned(), ..confirming() };
            let script = parse(story).unwrap_or_else(|error| panic!("{error}")).script;
            assert!(unpack(&pack(&script)).is_ok_and(|kept| kept == script));
        }
        assert!(unpack(b"\xff").is_err());
    }

    #[test]
    fn what_somebody_has_at_hand_survives_the_database_and_serves_at_every_authority() {
        let holder = parse_holder(&confirming()).unwrap_or_else(|error| panic!("{error}"));
        let kept = unpack_wallet(holder.phone_number, &pack_wallet(&holder.wallet)).unwrap();
        assert!(persons(holder.phone_number, &kept) == persons(holder.phone_number, &holder.wallet));
        let ids: std::collections::HashSet<_> = kept.credentials.iter().map(|it| it.id.clone()).collect();
        assert_eq!((ids.len(), kept.account_text.as_str()), (3, "口座番号は1234567です"));
        assert!(unpack(&pack_wallet(&kept)).is_ok());
        let nameless = wire::Story { identity_name: String::new(), ..confirming() };
        assert_eq!(parse_holder(&nameless).err().unwrap().field, "identity_name");
    }

    #[test]
    fn a_row_of_a_stories_file_is_a_story_of_the_wire() {
        let file = format!(
            "{}\n+818000000001,kumo,bank,confirm,口座番号は1234567です,jpki,見本　花子,ミホン　ハナコ,1990-01-02,\
             見本県見本市一丁目1,,confirmed,C1,",
            crate::story::COLUMNS.join(",")
        );
        let stories = crate::story::read_stories(file.as_bytes()).unwrap();
        assert!(wire::Story::from(&stories[0]) == confirming());
    }
}
