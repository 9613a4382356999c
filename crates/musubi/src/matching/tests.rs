//! `musubi match`, from its arguments to its output.

use clap::Parser;
use encoding_rs::SHIFT_JIS;
use tempfile::TempDir;

use super::*;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    args: Args,
}

/// What a command writes, or the field and the problem of its error.
fn run(arguments: &[&str]) -> Result<String, (String, String)> {
    let program = Program::try_parse_from(["match"].iter().chain(arguments)).unwrap();
    let (mut out, mut beside) = (Vec::new(), Vec::new());
    let ending = program.args.run(&mut out, &mut beside).map_err(|error| (error.field, error.problem))?;
    assert_eq!(ending, Ending::Done, "{}", String::from_utf8_lossy(&beside));
    Ok(String::from_utf8(out).unwrap())
}

/// File, line and field of each bad row that is named.
fn places(beside: &str) -> Vec<[&str; 3]> {
    let rows = beside.lines().filter(|line| line.trim_start().starts_with("--"));
    rows.map(|line| line.split_whitespace().collect::<Vec<_>>()[..3].try_into().unwrap()).collect()
}

/// What a command writes and what it says beside, when it met bad rows.
fn run_with_faults(arguments: &[&str]) -> (String, String) {
    let program = Program::try_parse_from(["match"].iter().chain(arguments)).unwrap();
    let (mut out, mut beside) = (Vec::new(), Vec::new());
    assert_eq!(program.args.run(&mut out, &mut beside), Ok(Ending::Refused));
    (String::from_utf8(out).unwrap(), String::from_utf8(beside).unwrap())
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[test]
fn compare_shows_verdict_normal_forms_and_folds() {
    let shown = run(&["compare", "--field", "name", "渡邉　栄治", "渡辺 栄治"]).unwrap();
    assert_eq!(
        shown,
        "verdict  equal\nleft     渡邉 栄治\nright    渡辺 栄治\nreasons  name.family_register\n"
    );
    let shown =
        run(&["compare", "--field", "address", "目黒区鷹番三丁目8-2", "東京都目黒区鷹番3-8-3"]).unwrap();
    assert_eq!(
        shown,
        "verdict  different\nleft     ||目黒区鷹番|3-8-2|\nright    東京都||目黒区鷹番|3-8-3|\n\
         reasons  address.prefecture_missing,address.numbers_different\n"
    );
    let shown = run(&["compare", "--field", "account", "店番012 普通7624550", "7624550"]).unwrap();
    assert!(shown.contains("left     012-7624550\n") && shown.contains("account.branch_one_side"), "{shown}");
    let shown = run(&["compare", "--field", "birth-date", "昭和59年7月11日", "きのう"]).unwrap();
    assert!(shown.starts_with("verdict  review\nleft     1984-07-11\nright    (birth date has"), "{shown}");
}

#[test]
fn account_texts_are_read_by_the_company_s_lengths() {
    let compare = |more: &[&str]| {
        let arguments = ["compare", "--field", "account", "0841391963", "0841-391-963"];
        run(&[&arguments[..], more].concat()).unwrap()
    };
    assert!(compare(&[]).starts_with("verdict  review"));
    assert!(compare(&["--account-digits", "10"]).starts_with("verdict  equal"));
}

#[test]
fn a_file_of_pairs_is_answered_row_by_row() {
    let files = Files::new();
    let rows = "\u{feff}id\tkind\tleft\tright\tfield\n1\tx\t髙橋 光\t高橋光\tname\n2\tx\t8-2\t8-3\taddress\n\n3\tx\t斉藤\t斎藤\tname\n";
    let path = files.write("pairs.tsv", rows.as_bytes());
    assert_eq!(
        run(&["compare", "--tsv", &path]).unwrap(),
        "1\tequal\tname.space,name.official_form\n2\tdifferent\taddress.numbers_different\n3\tdifferent\tname.different\n"
    );
    let (rows, _, _) = SHIFT_JIS.encode("left\tright\tid\n1984-07-11\t319840711\ta\n");
    let path = files.write("dates.tsv", &rows);
    assert_eq!(
        run(&["compare", "--field", "birth-date", "--tsv", &path]).unwrap(),
        "a\tequal\tbirth_date.equal\n"
    );
    let (field, _) = run(&["compare", "--tsv", &path]).unwrap_err();
    assert_eq!(field, "--field");
}

#[test]
fn a_bad_pair_is_named_and_the_others_are_compared() {
    let files = Files::new();
    let compare =
        |text: &str| run_with_faults(&["compare", "--tsv", &files.write("bad.tsv", text.as_bytes())]);
    let header = run(&["compare", "--tsv", &files.write("bad.tsv", b"id\tleft\n")]).unwrap_err().0;
    assert_eq!(header, "header");
    let (out, beside) =
        compare("id\tleft\tright\tfield\n1\ta\ta\tname\n2\ta\tb\t佐藤\n3\ta\n4\ta\ta\t\n5\tb\tb\tname\n");
    assert_eq!(out, "1\tequal\tname.identical\n5\tequal\tname.identical\n");
    assert_eq!(places(&beside), ["3", "4", "5"].map(|line| ["--tsv", line, "field"]));
    assert!(beside.ends_with("2 pairs compared, 3 bad rows not\n") && !beside.contains('佐'), "{beside}");
}

const MASTER: &str = "customer_id,name,name_kana,birth_date,address,branch_number,account_number,identity_verification\n\
    B1,渡辺 栄治,ワタナベ エイジ,1984-07-11,東京都目黒区鷹番三丁目8-2 コーポ松本101,012,0076317,\n\
    B2,高橋 光,タカハシ ヒカリ,1990-01-02,大阪府大阪市北区大淀中2-1-30,012,7624550,\n";
const ANSWERS: &str = "phone_number,official_account,account_text,identity_method,identity_name,identity_name_kana,\
    identity_birth_date,identity_address,story\n\
    +8180,tf-bank,口座番号は76317です,jpki,渡邉栄治,ﾜﾀﾅﾍﾞ ｴｲｼﾞ,319840711,東京都目黒区鷹番3-8-2,x\n\
    +8181,tf-bank,7624550,document,高橋 光,,1990-01-02,大阪市北区大淀中2丁目1番30号,x\n\
    +8182,tf-bank,わかりません,jpki,高橋 光,,1990-01-02,大阪市北区大淀中2-1-30,x\n\
    +8183,tf-bank,,,,,,,x\n\
    +8184,other,7624551,jpki,高橋 光,,1990-01-02,大阪市北区大淀中2-1-30,x\n";

#[test]
fn answers_are_decided_with_reasons() {
    let files = Files::new();
    let (master, answers) =
        (files.write("m.csv", MASTER.as_bytes()), files.write("a.csv", ANSWERS.as_bytes()));
    let decided = run(&["decide", "--master", &master, "--answers", &answers]).unwrap();
    let rows: Vec<Vec<&str>> = decided.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["id", "outcome", "customer_id", "reasons"]);
    assert_eq!(rows[1][..3], ["+8180", "confirmed", "B1"]);
    assert!(rows[1][3].contains("name.family_register") && rows[1][3].contains("address.building_missing"));
    assert_eq!(rows[2][..3], ["+8181", "review", "B2"]);
    assert_eq!(rows[3], ["+8182", "rejected", "", "account.unreadable"]);
    assert_eq!(rows[4], ["+8184", "rejected", "", "account.none"]);
    assert_eq!(rows.len(), 5);
    let one = ["decide", "--master", &master, "--answers", &answers, "--official-account", "other"];
    assert_eq!(run(&one).unwrap().lines().count(), 2);
}

#[test]
fn shift_jis_and_json_lines_give_the_same() {
    let files = Files::new();
    let sjis = |text: &str| SHIFT_JIS.encode(text).0.into_owned();
    let (master, answers) = (files.write("m.csv", &sjis(MASTER)), files.write("a.csv", &sjis(ANSWERS)));
    let decided = run(&["decide", "--master", &master, "--answers", &answers, "--format", "json"]).unwrap();
    let first: serde_json::Value = serde_json::from_str(decided.lines().next().unwrap()).unwrap();
    assert_eq!((first["outcome"].as_str(), first["customer_id"].as_str()), (Some("confirmed"), Some("B1")));
    assert_eq!(decided.lines().count(), 4);
}

#[test]
fn a_bad_row_is_named_and_the_others_are_decided() {
    let files = Files::new();
    let decide = |master: &str, answers: &str| {
        let (master, answers) =
            (files.write("m.csv", master.as_bytes()), files.write("a.csv", answers.as_bytes()));
        run_with_faults(&["decide", "--master", &master, "--answers", &answers])
    };
    let check = |master: &str, answers: &str, decided: &str, place: [&str; 3], summary: &str| {
        let (out, beside) = decide(master, answers);
        let ids: Vec<&str> = out.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
        assert_eq!(ids.join(" "), decided, "{beside}");
        assert_eq!(places(&beside)[0], place, "{beside}");
        assert!(beside.ends_with(&format!("{summary}\n")), "{beside}");
        assert!(!beside.contains("渡"), "{beside}");
    };
    check(
        MASTER,
        &ANSWERS.replace("document", "faith"),
        "+8180 +8182 +8184",
        ["--answers", "3", "identity_method"],
        "1 bad rows of the answers not decided, 0 bad rows of the master not used",
    );
    check(
        &MASTER.replace("7624550", "A12"),
        ANSWERS,
        "+8180 +8181 +8182 +8184",
        ["--master", "3", "account_number"],
        "0 bad rows of the answers not decided, 1 bad rows of the master not used",
    );
    check(
        &MASTER.replace("7624550,", ""),
        ANSWERS,
        "+8180 +8181 +8182 +8184",
        ["--master", "3", "row"],
        "1 bad rows of the master not used",
    );
    // A row without an id may be the one that a follower means.
    check(
        &MASTER.replace("B2", ""),
        ANSWERS,
        "+8180 +8182 +8184",
        ["--master", "3", "customer_id"],
        "1 bad rows of the answers not decided, 1 bad rows of the master not used",
    );
    check(
        &MASTER.replace("7624550", &"7".repeat(30)),
        ANSWERS,
        "+8180 +8181 +8182 +8184",
        ["--master", "3", "account_number"],
        "1 bad rows of the master not used",
    );
}

#[test]
fn of_many_bad_rows_the_first_are_named_and_all_are_counted() {
    let files = Files::new();
    let rows = "+8185,tf-bank,7624551,faith,x,,,,x\n".repeat(50);
    let (master, answers) = (
        files.write("m.csv", MASTER.as_bytes()),
        files.write("a.csv", format!("{ANSWERS}{rows}").as_bytes()),
    );
    let (out, beside) = run_with_faults(&["decide", "--master", &master, "--answers", &answers]);
    assert_eq!(out.lines().count(), 5);
    assert_eq!(places(&beside).len(), 20);
    assert!(beside.contains("and 30 more bad rows\n"), "{beside}");
    assert!(
        beside.contains("4 answers: 1 confirmed, 1 for review, 2 rejected; 50 bad rows of the answers"),
        "{beside}"
    );
}

#[test]
fn a_file_that_is_no_file_of_rows_gives_no_decision() {
    let files = Files::new();
    let refused = |answers: &str| {
        let (master, answers) =
            (files.write("m.csv", MASTER.as_bytes()), files.write("a.csv", answers.as_bytes()));
        run(&["decide", "--master", &master, "--answers", &answers]).unwrap_err().0
    };
    assert_eq!(refused(&ANSWERS.replace("account_text", "text")), "--answers, header");
    assert_eq!(refused(&format!("{ANSWERS}\"{}", "x,\n".repeat(40_000))), "--answers, file");
}
