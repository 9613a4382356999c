//! Account numbers as people type them into a chat, and other numbers.

use musubi_matching::{AccountFormat, compare_accounts};

use crate::addresses::full_width;
use crate::tally::{Pair, Tally};

const BANK: AccountFormat = AccountFormat { account_digits: 7, branch_digits: 3 };
const POWER: AccountFormat = AccountFormat { account_digits: 10, branch_digits: 3 };

const NUMBERS: [(&str, &str); 8] = [
    ("012", "7624550"),
    ("760", "0076317"),
    ("001", "1000001"),
    ("408", "9999999"),
    ("230", "0091500"),
    ("105", "3456789"),
    ("999", "0000012"),
    ("321", "1230321"),
];

/// 記号 and 番号 with their branch and account; the check digits are right.
const JAPAN_POST: [(&str, &str, &str, &str); 3] = [
    ("14030", "12345671", "408", "1234567"),
    ("15150", "21111111", "518", "2111111"),
    ("00580", "654321", "059", "0654321"),
];

/// What people type into a talk room, and the number that they mean.
const CHAT: &[(&str, &str)] = &[
    ("口座番号：7624550 です。よろしくお願いします。", "7624550"),
    ("お世話になっております。口座番号7624550、名義ワタナベエイジです", "7624550"),
    ("みずほ銀行 新宿支店 普通 7624550", "7624550"),
    ("七十七銀行 六本木支店 普通預金 7624550", "7624550"),
    ("新宿第2支店 普通 7624550", "7624550"),
    ("新宿第二支店 普通 7624550", "7624550"),
    ("新宿支店（012）普通7624550", "012-7624550"),
    ("支店番号012 普通預金 口座番号7624550", "012-7624550"),
    ("012 普通 7624550", "012-7624550"),
    ("012（普）7624550", "012-7624550"),
    ("店番 012 科目 普通 口座番号 7624550", "012-7624550"),
    ("店番:012\n口座:7624550\n名義:ワタナベ エイジ", "012-7624550"),
    ("【店番】012【口座番号】7624550", "012-7624550"),
    ("・店番号→012\n・口座番号→7624550", "012-7624550"),
    ("店番が012で口座番号が7624550です", "012-7624550"),
    ("店番の012、口座の7624550", "012-7624550"),
    ("店番012 口座番号7624550（店番012）", "012-7624550"),
    ("口座番号7624550、支店012", "012-7624550"),
    ("7624550です。もう一度、7624550です", "7624550"),
    ("〇一二－七六二四五五〇", "012-7624550"),
    ("店番〇一二 口座番号七六二四五五〇", "012-7624550"),
    ("銀行コード0001 支店コード012 口座番号7624550", "012-7624550"),
    ("0001-012-7624550", "012-7624550"),
    ("№7624550", "7624550"),
    ("口座No.7624550", "7624550"),
    ("7 6 2 4 5 5 0", "7624550"),
    ("7️⃣6️⃣2️⃣4️⃣5️⃣5️⃣0️⃣", "7624550"),
    ("⑦⑥②④⑤⑤⓪", "7624550"),
    ("7桁の番号は7624550です", "7624550"),
    ("1984年7月11日生まれ、口座番号7624550", "7624550"),
    ("4月に作った口座で、番号は7624550", "7624550"),
    ("口座は 762-4550 です", "7624550"),
    ("四〇八店 普通 1234567", "408-1234567"),
    ("店名 四〇八（ヨンゼロハチ） 店番 408 普通 1234567", "408-1234567"),
    ("ゆうちょ 記号14030 番号12345671", "408-1234567"),
    ("番号12345671 記号14030", "408-1234567"),
    ("1つ目の口座は記号14030番号12345671です", "408-1234567"),
    ("通帳の記号は14030、番号は12345671です", "408-1234567"),
    ("記号 14030 の 番号 12345671", "408-1234567"),
    ("記号番号 14030-1-12345671", "408-1234567"),
    ("１４０３０ー１２３４５６７１（ゆうちょ）", "408-1234567"),
];

/// What is not read, though a person might; it is asked again.
const ASKED_AGAIN: &[(&str, &str)] = &[
    ("電話は090-1234-5678、口座は7624550", "7624550"),
    ("7624550か、7624551だと思います", "7624550"),
    ("前は7624551でしたが今は7624550です", "7624550"),
    ("762-4550", "7624550"),
    ("番号12345671", "1234567"),
    ("2号店 7624550", "7624550"),
    ("77銀行 7624550", "7624550"),
    ("記号14030 番号12345681", "408-1234567"),
    ("ななろくによんごごぜろ", "7624550"),
];

/// Texts that hold another number, however near.
const OTHER_NUMBERS: &[(&str, &str)] = &[
    ("〇一三－七六二四五五〇", "012-7624550"),
    ("店番〇一三 口座番号七六二四五五〇", "012-7624550"),
    ("四〇九店 普通 1234567", "408-1234567"),
    ("店番012 口座7624551（店番012）", "012-7624550"),
    ("012-7624550 と 013-7624550", "012-7624550"),
    ("店番012 店番013 口座7624550", "012-7624550"),
    ("0001-013-7624550", "012-7624550"),
    ("0012-001-7624550", "012-7624550"),
    ("記号14030 番号12345671", "403-1234567"),
    ("番号14030 記号12345671", "408-1234567"),
    ("下4桁は4550です", "7624550"),
    ("76245501", "7624550"),
    ("1 7624550", "7624550"),
];

pub(crate) fn tally(same: &mut Tally, different: &mut Tally) {
    let mut equal = |kind, left: &str, right: &str, format| {
        same.add(
            &Pair { kind, left: left.to_owned(), right: right.to_owned() },
            compare_accounts(left, right, format),
        );
    };
    for (branch, number) in NUMBERS {
        let with_branch = format!("{branch}-{number}");
        equal("width", number, &full_width(number), &BANK);
        equal("width", &with_branch, &full_width(&with_branch), &BANK);
        equal("width", number, &format!("　{} ", full_width(number)), &BANK);
        for separator in ["-", " ", "　", "－", "ー", "−", "‐", "/", ":", "の", "、", ".", " - "] {
            equal("branch", &with_branch, &format!("{branch}{separator}{number}"), &BANK);
            equal("branch", number, &format!("{branch}{separator}{number}"), &BANK);
        }
        equal("branch", &with_branch, &format!("{branch}{number}"), &BANK);
        equal("branch", &with_branch, &format!("店番{branch} 口座番号{number}"), &BANK);
        equal("branch", &with_branch, &format!("支店番号は{branch}で、口座番号は{number}です。"), &BANK);
        equal("branch", &with_branch, &format!("店番号：{branch}\n口座番号：{number}"), &BANK);
        equal("branch", &with_branch, &format!("{number}（支店番号{branch}）"), &BANK);
        let short = number.trim_start_matches('0');
        if short.len() > 3 {
            equal("padding", number, short, &BANK);
        }
        equal("padding", number, &format!("口座番号は{short}です"), &BANK);
        equal("padding", number, &format!("00{number}"), &BANK);
        equal("padding", &with_branch, &format!("店番{branch} 口座{short}"), &BANK);
        for (before, after) in [
            ("口座番号は", "です"),
            ("", "です！"),
            ("No.", ""),
            ("番号→", ""),
            ("はい、", "になります。"),
            ("口座：", ""),
            ("私の口座は1つで、", "です。"),
            ("こんにちは。", "でお願いします"),
            ("「", "」"),
            ("たぶん", "だと思います"),
        ] {
            equal("sentence", number, &format!("{before}{number}{after}"), &BANK);
            equal("sentence", &with_branch, &format!("{before}{}{after}", full_width(&with_branch)), &BANK);
        }
        for deposit in ["（普）", "(普)", "普通", "普通預金", "普", "普通 ", "当座", "普）"]
        {
            equal("deposit", number, &format!("{deposit}{number}"), &BANK);
            equal("deposit", &with_branch, &format!("{branch}{deposit}{number}"), &BANK);
            equal("deposit", &with_branch, &full_width(&format!("{branch} {deposit} {number}")), &BANK);
        }
        equal("deposit", number, &format!("{number}（普通）"), &BANK);
        let power = format!("{branch}{number}");
        for text in [
            format!("お客様番号は{power}です"),
            format!("{}-{}-{}", &power[..4], &power[4..7], &power[7..]),
            format!("{} {}", &power[..4], &power[4..]),
            full_width(&power),
            power.trim_start_matches('0').to_owned(),
        ] {
            equal("customer_number", &power, &text, &POWER);
        }
    }
    for (symbol, number, branch, account) in JAPAN_POST {
        let bank = format!("{branch}-{account}");
        for text in [
            format!("{symbol}-{number}"),
            format!("記号{symbol} 番号{number}"),
            format!("記号：{symbol}、番号：{number}です"),
            full_width(&format!("{symbol}-{number}")),
            format!("{symbol} {number}"),
        ] {
            equal("japan_post", &bank, &text, &BANK);
            equal("japan_post", account, &text, &BANK);
        }
    }

    for (text, number) in CHAT {
        equal("chat", number, text, &BANK);
        equal("chat", number, &full_width(text), &BANK);
    }
    for (text, number) in ASKED_AGAIN {
        equal("asked_again", number, text, &BANK);
    }

    let mut other = |kind, left: &str, right: &str, format| {
        different.add(
            &Pair { kind, left: left.to_owned(), right: right.to_owned() },
            compare_accounts(left, right, format),
        );
    };
    for (branch, number) in NUMBERS {
        let with_branch = format!("{branch}-{number}");
        for at in 0..number.len() {
            let mut digits: Vec<char> = number.chars().collect();
            digits[at] = if digits[at] == '9' {
                '0'
            } else {
                char::from_u32(u32::from(digits[at]) + 1).unwrap_or_default()
            };
            let near: String = digits.iter().collect();
            other("one_digit", number, &near, &BANK);
            other("one_digit", &with_branch, &format!("口座番号は{}です", full_width(&near)), &BANK);
            let mut swapped: Vec<char> = number.chars().collect();
            swapped.swap(at, (at + 1) % number.len());
            let swapped: String = swapped.iter().collect();
            if swapped != number {
                other("transposed", number, &swapped, &BANK);
                other("transposed", &with_branch, &format!("{branch} {swapped}"), &BANK);
            }
        }
        other("branch", &with_branch, &format!("{}-{number}", &number[..3]), &BANK);
        other(
            "branch",
            &with_branch,
            &format!("店番{} 口座番号{number}", branch.chars().rev().collect::<String>() + "1"),
            &BANK,
        );
        other("moved_digit", &with_branch, &format!("{}-{}{}", &branch[..2], &branch[2..], number), &BANK);
        other("moved_digit", &with_branch, &format!("{branch}{}-{}", &number[..1], &number[1..]), &BANK);
        other("shifted", number, &format!("{}0", &number[1..]), &BANK);
        other("shifted", number, &format!("{number}0"), &BANK);
        other("grouped", number, &format!("{}-{}", &number[..3], &number[3..]), &BANK);
        other("nothing", number, "わかりません", &BANK);
    }
    for (text, number) in OTHER_NUMBERS {
        other("chat", number, text, &BANK);
        other("chat", number, &full_width(text), &BANK);
    }
    for (symbol, number, branch, account) in JAPAN_POST {
        let typed = format!("{symbol}-{number}");
        let last = if account.ends_with('9') { "0" } else { "9" };
        other("japan_post", &typed, &format!("{branch}-{}{last}", &account[..6]), &BANK);
        other("japan_post", &typed, &format!("{}8-{account}", &branch[1..]), &BANK);
        other("japan_post", &typed, &format!("{symbol}-{}", number.replacen('1', "2", 1)), &BANK);
    }
}
