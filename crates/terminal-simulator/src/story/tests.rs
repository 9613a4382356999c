//! What a stories file may hold, and how the rest is refused. Every person here is called 見本 ("sample").

use super::*;

const HEADER: &str = "phone_number,carrier,official_account,reply,account_text,identity_method,identity_name,\
    identity_name_kana,identity_birth_date,identity_address,unfollow_after,expected,expected_customer_id,story";
const CONFIRMS: &str = "+818000000001,kumo,bank,confirm, 012-1234567 ,jpki,見本　花子,ﾐﾎﾝ ﾊﾅｺ,1990-01-02,\
    見本県見本市一丁目1,,confirmed,C1,\"customer, as in the master\"";
const IGNORES: &str = "+818000000002,nami,bank,ignore,,,,,,,,unanswered,,does not answer";

fn file(rows: &[&str]) -> String {
    let mut text = HEADER.to_owned();
    for row in rows {
        text.push('\n');
        text.push_str(row);
    }
    text
}

/// The listed bad rows of a file that must be refused.
#[track_caller]
fn refused(text: &[u8]) -> Vec<BadRow> {
    match read_stories(text) {
        Err(StoriesError::Rows { rows, .. }) => rows,
        other => panic!("not refused by rows: {other:?}"),
    }
}

/// A file of one row, changed, is refused for that field with those words.
#[track_caller]
fn check_refused(row: &str, from: &str, to: &str, field: &str, words: &str) {
    assert!(row.contains(from), "the row has no such part");
    let rows = refused(file(&[&row.replacen(from, to, 1)]).as_bytes());
    let fields: Vec<&str> = rows[0].fields.iter().map(|bad| bad.field).collect();
    assert_eq!((rows[0].line, fields), (2, vec![field]));
    assert!(rows[0].to_string().contains(words), "{}", rows[0]);
}

#[test]
fn row_becomes_story_with_its_spelling_untouched() {
    let stories = read_stories(file(&[CONFIRMS, IGNORES]).as_bytes()).unwrap();
    let identity = stories[0].identity.as_ref().unwrap();
    assert_eq!(stories[0].account_text, " 012-1234567 ");
    assert_eq!((identity.name.as_str(), identity.name_kana.as_str()), ("見本　花子", "ﾐﾎﾝ ﾊﾅｺ"));
    assert_eq!(stories[0].story, "customer, as in the master");
    assert_eq!(
        (stories[0].expected, stories[0].expected_customer_id.as_deref()),
        (Expected::Confirmed, Some("C1"))
    );
    assert_eq!((stories[1].reply, &stories[1].identity), (Reply::Ignore, &None));
    assert_eq!(stories[1].unfollow_after, UnfollowAfter::Never);
}

#[test]
fn written_stories_read_back_the_same() {
    let stories = read_stories(file(&[CONFIRMS, IGNORES]).as_bytes()).unwrap();
    let mut written = Vec::new();
    write_stories(&stories, &mut written).unwrap();
    assert_eq!(read_stories(&*written).unwrap(), stories);
}

#[test]
fn byte_order_mark_crlf_and_column_order_do_not_matter() {
    let plain = read_stories(file(&[CONFIRMS, IGNORES]).as_bytes()).unwrap();
    let marked = format!("\u{feff}{}", file(&[CONFIRMS, IGNORES]).replace('\n', "\r\n"));
    assert_eq!(read_stories(marked.as_bytes()).unwrap(), plain);
    let swapped = HEADER.replace("phone_number,carrier", "carrier,phone_number");
    let row = IGNORES.replace("+818000000002,nami", "nami,+818000000002");
    assert_eq!(read_stories(format!("{swapped}\n{row}\n").as_bytes()).unwrap(), plain[1..]);
}

#[test]
fn missing_unknown_and_repeated_columns_are_all_named() {
    let text = HEADER.replace("carrier", "career").replace("story", "reply");
    let error = read_stories(text.as_bytes()).unwrap_err().to_string();
    for part in
        ["carrier is missing", "\"career\", which is unknown", "story is missing", "reply is there twice"]
    {
        assert!(error.contains(part), "{error}");
    }
    let empty = read_stories(&b""[..]).unwrap_err().to_string();
    assert!(empty.contains("phone_number is missing"), "{empty}");
}

#[test]
fn each_bad_field_is_named_with_its_shape_and_remedy() {
    for number in
        ["08000000001", "+080000000001", "+81 80", "+8180000000012345678", "+８１８０００００００１", ""]
    {
        check_refused(CONFIRMS, "+818000000001", number, "phone_number", "write E.164");
    }
    check_refused(
        CONFIRMS,
        "+818000000001",
        "080-0000-0001",
        "phone_number",
        "is 13 characters: digits, hyphens;",
    );
    check_refused(CONFIRMS, "kumo", "", "carrier", "is empty");
    check_refused(CONFIRMS, ",bank,", ",,", "official_account", "is empty");
    check_refused(
        CONFIRMS,
        "confirm",
        "yes",
        "reply",
        "is \"yes\"; write confirm, no_account, decline or ignore",
    );
    check_refused(CONFIRMS, "jpki", "licence", "identity_method", "write jpki, carrier or document");
    check_refused(
        CONFIRMS,
        ",,confirmed",
        ",soon,confirmed",
        "unfollow_after",
        "write nothing, question or confirmed",
    );
    check_refused(
        IGNORES,
        "unanswered",
        "silent",
        "expected",
        "write confirmed, rejected, review, no_account",
    );
    check_refused(CONFIRMS, " 012-1234567 ", "", "account_text", "since reply is confirm");
    check_refused(CONFIRMS, "1990-01-02", "", "identity_birth_date", "what the verifier attests");
    check_refused(
        CONFIRMS,
        "jpki,見本　花子,ﾐﾎﾝ ﾊﾅｺ,1990-01-02,見本県見本市一丁目1",
        ",,,,",
        "identity_method",
        "confirm",
    );
    check_refused(CONFIRMS, "C1", "", "expected_customer_id", "is empty");
    check_refused(CONFIRMS, ",jpki", "", "row", "has 13 fields; write 14");
}

#[test]
fn leaver_at_the_question_needs_no_account_text() {
    let row = "+818000000003,kumo,bank,confirm,,,,,,,question,unfollowed,,leaves";
    assert_eq!(read_stories(file(&[row]).as_bytes()).unwrap().len(), 1);
}

#[test]
fn same_number_may_follow_two_accounts_but_not_one_twice() {
    let other = IGNORES.replace("bank", "gas");
    assert_eq!(read_stories(file(&[IGNORES, &other]).as_bytes()).unwrap().len(), 2);
    let rows = refused(file(&[IGNORES, &other, IGNORES]).as_bytes());
    assert_eq!((rows.len(), rows[0].line, rows[0].fields[0].field), (1, 4, "phone_number"));
    assert!(rows[0].to_string().contains("as on line 2"), "{}", rows[0]);
}

#[test]
fn one_number_with_two_carriers_is_refused() {
    let other = IGNORES.replace("bank", "gas").replace("nami", "kumo");
    let rows = refused(file(&[IGNORES, &other]).as_bytes());
    assert_eq!((rows[0].line, rows[0].fields[0].field), (3, "carrier"));
}

#[test]
fn bytes_that_are_not_utf8_are_named_by_line_and_field() {
    let mut text = file(&[IGNORES, CONFIRMS]).into_bytes();
    let at = text.windows(6).position(|part| part == "見本".as_bytes()).unwrap();
    text[at] = 0x8c;
    let rows = refused(&text);
    assert_eq!((rows[0].line, rows[0].fields[0].field), (3, "identity_name"));
    assert!(rows[0].to_string().contains("save the file as UTF-8"), "{}", rows[0]);
}

#[test]
fn lines_are_counted_as_an_editor_does() {
    let text = file(&[CONFIRMS, "", "bad", &CONFIRMS.replace("as in", "as\nin"), "bad"]);
    for text in [text.clone(), text.replace('\n', "\r\n")] {
        let lines: Vec<u64> = refused(text.as_bytes()).iter().map(|row| row.line).collect();
        assert_eq!(lines, [4, 5, 7], "a blank line, a quoted line break and CRLF each count once");
    }
}

#[test]
fn error_lists_twenty_rows_and_counts_the_rest() {
    let rows = vec!["bad"; 23];
    let error = read_stories(file(&rows).as_bytes()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StoriesError::Rows { ref rows, further: 3 } if rows.len() == 20));
    assert!(text.starts_with("23 rows") && text.ends_with("and 3 more"), "{text}");
}

#[test]
fn neither_error_nor_debug_shows_personal_data() {
    let story = read_stories(file(&[CONFIRMS]).as_bytes()).unwrap().remove(0);
    let shifted =
        CONFIRMS.replace("kumo,bank,", "kumo,bank,bank,").replace(",\"customer, as in the master\"", "");
    let error = read_stories(file(&[&shifted]).as_bytes()).unwrap_err();
    for text in [format!("{story:?}"), error.to_string(), format!("{error:?}")] {
        for personal in ["8000000001", "1234567", "見本", "ﾐﾎﾝ", "1990"] {
            assert!(!text.contains(personal), "{text}");
        }
    }
}

#[test]
fn words_agree_in_text_and_serde() {
    for reply in Reply::ALL {
        assert_eq!(reply.as_str().parse(), Ok(*reply));
        assert_eq!(serde_json::to_value(reply).unwrap(), reply.as_str());
    }
    for method in IdentityMethod::ALL {
        assert_eq!(method.as_str().parse(), Ok(*method));
    }
    for expected in Expected::ALL {
        assert_eq!(serde_json::from_value::<Expected>(expected.as_str().into()).unwrap(), *expected);
    }
    assert_eq!("".parse(), Ok(UnfollowAfter::Never));
    let error = "Confirm".parse::<Reply>().unwrap_err().to_string();
    assert_eq!(error, "reply is 7 characters: Latin letters; write confirm, no_account, decline or ignore");
}
