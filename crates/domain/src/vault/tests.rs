//! Facts about the vault.

use proptest::prelude::*;

use super::*;

fn company(name: &str) -> CompanyId {
    name.parse().unwrap()
}

fn key(byte: u8) -> CompanyKey {
    CompanyKey::new([byte; 32])
}

/// The bank's keys of these epochs, of which the last seals.
fn keys(epochs: &[u32]) -> CompanyKeys {
    keys_of("bank", epochs)
}

fn keys_of(name: &str, epochs: &[u32]) -> CompanyKeys {
    let mut all = vec![(LOOK_UPS, key(255))];
    all.extend(epochs.iter().map(|epoch| (*epoch, key(u8::try_from(*epoch).unwrap()))));
    CompanyKeys::new(company(name), &all, *epochs.last().unwrap()).unwrap()
}

const ROW: [&[u8]; 2] = [b"bank", b"0123"];
const PLACE: Place<'_> = Place { table: "follower", row: &ROW };
const NUMBER: &[u8] = b"+819012345678";

#[test]
fn what_is_sealed_opens_and_is_the_same_each_time() {
    let sealed = keys(&[1]).seal(PLACE, NUMBER).unwrap();
    assert_eq!(keys(&[1]).open(PLACE, &sealed).unwrap(), NUMBER);
    assert_eq!(keys(&[1]).seal(PLACE, NUMBER).unwrap(), sealed);
    assert!(!sealed.windows(NUMBER.len()).any(|part| part == NUMBER));
    assert_eq!((epoch_of(&sealed), clear(&sealed)), (Some(1), None));
    let shown = format!("{:?} {:?}", keys(&[1]), key(1));
    assert_eq!(shown, "CompanyKeys(bank, 1 epochs) CompanyKey(…)");
}

#[test]
fn what_is_sealed_opens_in_its_own_place_only() {
    let sealed = keys(&[1]).seal(PLACE, NUMBER).unwrap();
    let places: [(&'static str, &[&[u8]]); 5] = [
        ("dialogue", &ROW),
        ("follower", &[b"bank", b"0124"]),
        ("follower", &[b"ban", b"k0123"]),
        ("follower", &[b"bank0123"]),
        ("follower", &[b"bank", b"0123", b""]),
    ];
    for (table, row) in places {
        let error = keys(&[1]).open(Place { table, row }, &sealed).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Internal, "{table} {row:?}");
    }
    // With the very same keys, which two companies never have.
    assert_eq!(keys_of("power", &[1]).open(PLACE, &sealed).unwrap_err().kind, ErrorKind::Internal);
}

#[test]
fn every_epoch_opens_and_the_newest_seals() {
    let old = keys(&[1]).seal(PLACE, NUMBER).unwrap();
    let both = keys(&[1, 2]);
    assert_eq!(both.open(PLACE, &old).unwrap(), NUMBER);
    let new = both.seal(PLACE, NUMBER).unwrap();
    assert_eq!((epoch_of(&new), new != old), (Some(2), true));
    assert_eq!(keys(&[2]).open(PLACE, &new).unwrap(), NUMBER);
    let error = keys(&[2]).open(PLACE, &old).unwrap_err();
    assert_eq!(error.kind, ErrorKind::FailedPrecondition);
    assert_eq!(error.problem, "a row of follower was sealed with key 1 of company bank");
    assert!(error.remedy.contains("company_key"), "{error}");
}

#[test]
fn keys_that_are_not_whole_are_none() {
    let error = CompanyKeys::new(company("bank"), &[(1, key(1))], 1).unwrap_err();
    assert_eq!(error.problem, "company bank has no key of epoch 0");
    let error = CompanyKeys::new(company("bank"), &[(0, key(1)), (1, key(1))], 2).unwrap_err();
    assert_eq!(error.problem, "company bank has no key of epoch 2");
}

#[test]
fn what_stands_in_the_clear_is_never_taken_for_sealed() {
    let error = keys(&[1]).open(PLACE, b"\0+819012345678").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Internal);
    assert_eq!(clear(b"\0+81"), Some(&b"+81"[..]));
}

#[test]
fn look_ups_differ_by_company_and_field_and_outlive_epochs() {
    let account = [&b"0000001"[..]];
    let found = keys(&[1]).look_up(LookUp::Account, &account);
    assert_eq!(keys(&[1, 2]).look_up(LookUp::Account, &account), found);
    assert_ne!(keys(&[1]).look_up(LookUp::Customer, &account), found);
    assert_ne!(keys(&[1]).look_up(LookUp::Account, &[b"0000002"]), found);
    assert_ne!(keys(&[1]).look_up(LookUp::Account, &[b"000000", b"1"]), found);
    let other = CompanyKeys::new(company("power"), &[(0, key(9)), (1, key(1))], 1).unwrap();
    assert_ne!(other.look_up(LookUp::Account, &account), found);
}

fn masters(bytes: &[u8]) -> MasterKeys {
    let secrets: Vec<[u8; 32]> = bytes.iter().map(|byte| [*byte; 32]).collect();
    MasterKeys::new(&secrets.iter().map(|secret| &secret[..]).collect::<Vec<_>>()).unwrap()
}

#[test]
fn master_keys_turn_and_one_that_is_missing_is_told_plainly() {
    let bank = company("bank");
    let wrapped = masters(&[1]).wrap(&bank, 3, &key(7)).unwrap();
    assert!(!wrapped.windows(32).any(|part| part == [7; 32]));
    let turned = masters(&[2, 1]);
    assert_eq!(turned.unwrap(&bank, 3, &wrapped).unwrap(), key(7));
    assert!(masters(&[1]).is_current(&wrapped) && !turned.is_current(&wrapped));
    let error = masters(&[2]).unwrap(&bank, 3, &wrapped).unwrap_err();
    assert_eq!(error.kind, ErrorKind::FailedPrecondition);
    assert!(error.problem.contains("not configured") && error.remedy.contains("keys.master"), "{error}");
    for (name, epoch) in [("bank", 4), ("power", 3)] {
        let error = masters(&[1]).unwrap(&company(name), epoch, &wrapped).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Internal, "another company's, or another epoch's");
    }
    assert_eq!(MasterKeys::new(&[]).unwrap_err().field, "master_key");
    assert_eq!(MasterKeys::new(&[&[1; 32], &[2; 31]]).unwrap_err().problem, "a secret of 31 bytes");
}

#[test]
fn what_reviews_kept_before_opens_with_its_key() {
    let review = crate::id::ReviewId::from_bytes([7; 16]);
    let seals = ReviewSeals::new(&[b"sealed reviews before"]).unwrap();
    let sealed = seals.seal_as_before(&company("bank"), review, b"text");
    assert_eq!(seals.open(&company("bank"), review, &sealed), Ok(Some(b"text".to_vec())));
    assert_eq!(seals.open(&company("bank"), review, &[SHAPE, 0]), Ok(None));
    let error = ReviewSeals::default().open(&company("bank"), review, &sealed).unwrap_err();
    assert!(error.remedy.contains("keys.review"), "{error}");
    assert!(seals.open(&company("power"), review, &sealed).is_err());
    assert_eq!(ReviewSeals::new(&[&[1; 15]]).unwrap_err().field, "seal_key");
}

proptest! {
    #[test]
    fn any_flipped_bit_is_noticed(place in 0..10_000_usize) {
        let keys = keys(&[1]);
        let mut sealed = keys.seal(PLACE, NUMBER).unwrap();
        let bits = sealed.len() * 8;
        sealed[place % bits / 8] ^= 1 << (place % 8);
        prop_assert!(keys.open(PLACE, &sealed).is_err());
    }

    #[test]
    fn any_text_comes_back_in_any_place(text in prop::collection::vec(any::<u8>(), 0..200), row in ".{0,20}") {
        let row = [row.as_bytes()];
        let place = Place { table: "customers", row: &row };
        prop_assert_eq!(keys(&[1]).open(place, &keys(&[1]).seal(place, &text).unwrap()).unwrap(), text);
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        prop_assert!(keys(&[1, 2]).open(PLACE, &bytes).is_err());
        prop_assert!(masters(&[1]).unwrap(&company("bank"), 1, &bytes).is_err());
        let review = crate::id::ReviewId::from_bytes([7; 16]);
        prop_assert!(!matches!(ReviewSeals::default().open(&company("bank"), review, &bytes), Ok(Some(_))));
    }
}

/// The first eight bytes of RFC 8452, appendix C.2: other programs open what this one seals.
#[test]
fn the_cipher_is_that_of_rfc_8452() {
    let mut key = [0; KEY_BYTES];
    let mut nonce = [0; NONCE_BYTES];
    (key[0], nonce[0]) = (1, 3);
    let text = [1, 0, 0, 0, 0, 0, 0, 0];
    let cipher = Cipher::new(&key).unwrap();
    let sealed = cipher.seal(nonce, b"", b"", &text).unwrap();
    let expected = [
        0xc2, 0xef, 0x32, 0x8e, 0x5c, 0x71, 0xc8, 0x3b, 0x84, 0x31, 0x22, 0x13, 0x0f, 0x73, 0x64, 0xb7, 0x61,
        0xe0, 0xb9, 0x74, 0x27, 0xe3, 0xdf, 0x28,
    ];
    assert_eq!(sealed, expected);
    assert_eq!(cipher.open(nonce, b"", &sealed).unwrap(), text);
}
