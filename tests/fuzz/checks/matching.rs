//! Names, readings, addresses, dates and account numbers, and the bytes of their forms.
//!
//! Surprising: the bytes are two texts divided by a zero byte; what is not UTF-8 becomes U+FFFD, as a reader of
//! files would make it.

use musubi_matching::{
    AccountFormat, AddressForm, Comparison, KanaForm, NameForm, account_key, compare_accounts,
    compare_addresses, compare_birth_dates, compare_kana, compare_names, parse_account_text,
    parse_birth_date,
};

const FORMATS: [AccountFormat; 2] = [
    AccountFormat { account_digits: 7, branch_digits: 3 },
    AccountFormat { account_digits: 10, branch_digits: 3 },
];

/// Panics when a text makes the matcher panic, or breaks what it promises.
pub(crate) fn hold(data: &[u8]) {
    let mut texts = data.splitn(2, |byte| *byte == 0).map(String::from_utf8_lossy);
    let (left, right) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
    for compare in [compare_names, compare_kana, compare_addresses, compare_birth_dates] {
        let compared = compare(&left, &right);
        assert_eq!(compared, compare(&right, &left));
        assert!(!compared.reasons.is_empty());
        if left.len() <= musubi_matching::MAX_INPUT_BYTES {
            assert_ne!(compare(&left, &left).comparison, Comparison::Different);
        }
    }
    for format in FORMATS {
        assert_eq!(compare_accounts(&left, &right, &format), compare_accounts(&right, &left, &format));
        if let Ok(read) = parse_account_text(&left, &format) {
            assert_eq!(account_key(&read.account_number, &format), Ok(read.account_number));
        }
        let _any = account_key(&left, &format);
    }
    let _any = parse_birth_date(&left);
    let flags = &*right;
    let (name, kana) = (NameForm::with_replaced(&left, flags), KanaForm::new(&left));
    let address = AddressForm::with_replaced(&left, flags);
    assert!(NameForm::from_bytes(&name.to_bytes()) == Ok(name));
    assert!(KanaForm::from_bytes(&kana.to_bytes()) == Ok(kana));
    assert!(AddressForm::from_bytes(&address.to_bytes()) == Ok(address));
    // Bytes that a store spoilt are refused or are some form; they never panic.
    if let Ok(name) = NameForm::from_bytes(data) {
        let _any = name.compare(&NameForm::new(&right));
    }
    if let Ok(kana) = KanaForm::from_bytes(data) {
        let _any = kana.compare(&KanaForm::new(&right));
    }
    if let Ok(address) = AddressForm::from_bytes(data) {
        let _any = address.compare(&AddressForm::new(&right));
    }
}
