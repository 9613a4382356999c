//! What is wrong, in words for people: for each code of an error what it is about and what to do, in both languages.
//!
//! An error's code is its kind and the end of its field's path, as calls name it; nothing is known by its text. Surprising: English pages say what the call itself
//! said, which is English and tells more; Japanese ones fill their words with the field and the value's shape, and keep the call's text beside them.

use musubi_domain::{
    Error, ErrorKind,
    error::{Made, Shape},
};

use super::language::Language;

/// The end of a field's path without indices; what it is called in Japanese and English; what to write there.
struct Field(&'static str, &'static str, &'static str, &'static str, &'static str);

/// The longer end stands before the shorter.
#[rustfmt::skip]
const FIELDS: &[Field] = &[
    Field("suggestions.text", "ボタンの文字", "label of a button", "1〜25文字で入力してください", "write 1 to 25 characters"),
    Field("open_url.url", "ボタンのリンク先", "address of a button", "許可されたホストの https:// で始まるアドレスにしてください", "write an https address at a host of the list"),
    Field("dial.phone_number", "ボタンの電話番号", "number that a button dials", "+81 のあとに、先頭の0を除いた番号を書いてください", "write +81 and the number without its leading 0"),
    Field("suggestions", "ボタン", "buttons", "11個まで（個別メッセージは10個まで）にしてください", "give at most 11, or 10 with the individual message"),
    Field("variables.name", "差し込みの名前", "name of a variable", "英小文字・数字・_ で40文字まで、本文で {name} として使ってください", "write 1 to 40 of a-z, 0-9 and underscore, and use it in the text"),
    Field("variables", "差し込み", "variables", "差し込みは個別メッセージだけに、50個までにしてください", "put them into the individual message, 50 at the most"),
    Field("card.title", "カードのタイトル", "title of the card", "1〜200文字で入力してください", "write 1 to 200 characters"),
    Field("card.image_url", "カードの画像", "picture of the card", "許可されたホストの https:// で始まるアドレスにしてください", "write an https address at a host of the list"),
    Field("card", "カード", "card", "タイトルか画像を入れてください", "give it a title or a picture"),
    Field("text", "文章", "text", "空でなく、制御文字のない、長すぎない文章にしてください。差し込みは {name}、波かっこそのものは {{ または }} と書きます", "write a text that is not empty, not too long and without control characters; {name} for a variable, {{ or }} for a brace"),
    Field("uniform", "共通メッセージ", "uniform message", "全員向けの文章を入力してください", "give the message for everybody"),
    Field("individual", "個別メッセージ", "individual message", "文章を入力するか、空にしてください", "write its text, or leave it empty"),
    Field("start_time", "開始日時", "start", "2026-12-01T09:00 の形の日本時間で、期限より前にしてください", "write date and time in Japan, before the end"),
    Field("expire_time", "期限", "end", "2026-12-01T09:00 の形の日本時間で、これから先にしてください", "write date and time in Japan, still to come"),
    Field("messages_per_second", "1秒あたりの通数", "messages a second", "整数を書くか、空にしてください", "write a whole number, or nothing"),
    Field("phone_numbers", "電話番号", "phone numbers", "フォロワーの番号を1〜20件、+81 のあとに先頭の0を除いて書いてください", "name 1 to 20 followers, each as +81 and the number without its leading 0"),
    Field("phone_number", "電話番号", "phone number", "+81 のあとに、先頭の0を除いた番号を書いてください", "write +81 and the number without its leading 0"),
    Field("request_id", "送信の番号", "id of the request", "画面を開き直して、もう一度送ってください", "open the page anew and send it again"),
    Field("submit_time", "提出の日時", "time of the submission", "画面を開き直し、いまの内容を確かめてから開始してください", "open the page anew, look at it as it stands and start it there"),
    Field("distribution_id", "配信", "distribution", "配信の一覧から選び直してください", "choose one of the list"),
    Field("official_account", "公式アカウント", "official account", "この会社の公式アカウントを選んでください", "choose one of the company's"),
    Field("values", "差し込む値", "values", "列ごとに、その種類の値を書いてください（文字は200文字まで、数字は区切りなし、日付は YYYY-MM-DD）", "write a value of its kind in each column"),
    Field("customers", "差し込む値", "values", "個別メッセージのある配信に、1,000件ずつ送ってください", "send them to a distribution with an individual message"),
    Field("customer_id", "顧客番号", "customer id", "お客さま一人につき一行と、一つの顧客番号にしてください", "give each customer one row and an id of its own"),
    Field("name_kana", "フリガナ", "reading of the name", "カタカナで書くか、空にしてください", "write it in katakana, or leave it empty"),
    Field("birth_date", "生年月日", "date of birth", "YYYY-MM-DD で入力してください", "write it as YYYY-MM-DD"),
    Field("address", "住所", "address", "登録された住所を書いてください", "write the address as it is registered"),
    Field("branch_number", "支店番号", "branch number", "支店番号を数字で書いてください", "write it in digits"),
    Field("account_number", "口座番号", "account number", "口座番号を数字で書いてください", "write it in digits"),
    Field("identity_verification", "本人確認の記録", "record of the identity's verification", "記録を一つの値として書いてください", "write the record as one value"),
    Field("file", "ファイル", "file", "見出し行のあるCSVファイル（UTF-8またはShift_JIS）を選んでください", "choose a CSV file with a line of headings, in UTF-8 or Shift_JIS"),
    Field("header", "見出し行", "line of headings", "列の名前を確かめてください", "look at the names of the columns"),
    Field("row", "行", "row", "列ごとに値を一つ書き、カンマを含む値は引用符で囲んでください", "write one value for each column, and values with commas in quotes"),
    Field("lease_seconds", "預託の期間", "lease", "1分から30日までにしてください", "choose 1 minute to 30 days"),
    Field("invitation", "招待", "invitation", "全体を貼り付けるか、管理者に招待し直してもらってください", "copy it whole, or have an administrator invite you anew"),
    Field("password", "パスワード", "password", "推測されにくい12〜128文字にしてください。関係のない単語を四つ並べるとよいでしょう", "choose 12 to 128 characters that nobody would guess"),
    Field("again", "パスワード（確認）", "the password again", "同じパスワードを二度入力してください", "write the same twice"),
    Field("code", "ワンタイムコード", "one-time code", "認証アプリの6桁の数字を入力してください", "write the six digits of the authenticator"),
    Field("token", "セッションのトークン", "token of a session", "`musubi session begin` が書いたものを貼り付けてください", "copy what `musubi session begin` wrote"),
    Field("session_id", "セッション", "session", "一覧から選び直してください", "choose one of the list"),
    Field("openid", "会社アカウント", "account at the company's provider", "招待のときに書いた名前と同じものにしてください", "write it as the provider calls the person"),
    Field("ticket", "サインインの控え", "ticket of the sign-in", "サインインを最初からやり直してください", "begin the sign-in again"),
    Field("state", "サインインの控え", "state of the sign-in", "サインインを最初からやり直してください", "begin the sign-in again"),
    Field("way", "入り方", "way of a session", "画面を開き直してください", "open the page anew"),
    Field("roles", "役割", "roles", "一つ以上選んでください。機械は承認者になれません", "choose one or more; no machine is an approver"),
    Field("days", "日数", "days", "1〜366の整数で入力してください", "write 1 to 366"),
    Field("name", "名前", "name", "空でなく、長すぎず、制御文字のない名前にしてください。担当者の名前は英小文字・数字・ハイフンです", "write a name without control characters; an operator's is of a-z, 0-9 and hyphen"),
    Field("action", "記録の種類", "action", "customer_shown のような英小文字の語を書くか、空にしてください", "write a word such as customer_shown, or nothing"),
    Field("page_token", "ページ", "page", "一覧を最初から開き直してください", "begin with the first page"),
    Field("page_size", "件数", "size of a page", "1〜1,000にしてください", "ask for 1 to 1,000"),
    Field("state", "状態", "state", "一覧から選び直してください", "choose one of the list"),
    Field("approval_id", "承認", "approval", "承認の一覧から選び直してください", "choose one of the list"),
    Field("review_id", "審査", "review", "審査の一覧から選び直してください", "choose one of the list"),
    Field("person", "フォロワー", "follower", "電話番号、フォロワーまたは顧客番号を確かめてください", "look at the number, the follower or the customer id"),
    Field("people", "フォロワー", "followers", "1〜1,000人にしてください", "name 1 to 1,000"),
    Field("follower_id", "フォロワー", "follower", "一覧から選び直してください", "choose one of the list"),
    Field("carrier", "電話会社", "carrier", "このアカウントの電話会社を選んでください", "choose one of the account's"),
    Field("consents", "同意の記録", "consents", "ファイルの行を確かめてください", "look at the rows of the file"),
    Field("operator", "担当者", "operator", "別の担当者が行ってください", "have another person do it"),
];

/// The end of the path that is known, if any is.
fn field_of(path: &str) -> Option<&'static Field> {
    let bare: Vec<_> = path.split('.').map(|part| part.split('[').next().unwrap_or_default()).collect();
    (0..bare.len()).find_map(|from| {
        let end = bare[from..].join(".");
        FIELDS.iter().find(|field| field.0 == end)
    })
}

impl Language {
    /// What a field is called; one that isn't known stands as the call names it.
    pub(super) fn fault_field(self, error: &Error) -> String {
        field_of(&error.field).map_or_else(|| error.field.clone(), |it| self.say(it.1, it.2).to_owned())
    }

    /// What is wrong.
    pub(super) fn problem(self, error: &Error) -> String {
        if self == Self::English {
            return error.problem.clone();
        }
        let it = self.fault_field(error);
        let shape = Shape::within(&error.problem).map(|shape| format!("（{}）", japanese(&shape)));
        let shape = shape.unwrap_or_default();
        match (error.kind, it.is_empty()) {
            (ErrorKind::InvalidArgument, true) => format!("入力が正しくありません{shape}"),
            (ErrorKind::InvalidArgument, false) => format!("{it}が正しくありません{shape}"),
            (ErrorKind::NotFound, true) => "見つかりません".to_owned(),
            (ErrorKind::NotFound, false) => format!("{it}が見つかりません"),
            (ErrorKind::AlreadyExists, true) => "すでに存在します".to_owned(),
            (ErrorKind::AlreadyExists, false) => format!("{it}はすでに使われています"),
            (ErrorKind::FailedPrecondition, true) => "いまの状態では行えません".to_owned(),
            (ErrorKind::FailedPrecondition, false) => format!("いまの状態では行えません：{it}"),
            (ErrorKind::Unauthenticated, _) => {
                "名前、パスワード、コードのいずれかが違うか、まだ待つ必要があります".to_owned()
            }
            (ErrorKind::PermissionDenied, _) => "この操作をする権限がありません".to_owned(),
            (ErrorKind::ResourceExhausted, _) => "短い時間に多すぎます".to_owned(),
            (ErrorKind::Unavailable, _) => "いま応答がありません。何も変わっていません".to_owned(),
            (ErrorKind::Internal, _) => "システムのエラーです".to_owned(),
        }
    }

    /// What to do about it; empty when nothing.
    pub(super) fn remedy(self, error: &Error) -> String {
        let known = field_of(&error.field);
        if self == Self::English {
            let own = Some(&*error.remedy).filter(|own| !own.is_empty());
            return own.or(known.map(|it| it.4)).unwrap_or_default().to_owned();
        }
        let about = known.map(|it| it.3);
        let said = match (error.kind, about) {
            (
                ErrorKind::InvalidArgument
                | ErrorKind::NotFound
                | ErrorKind::AlreadyExists
                | ErrorKind::FailedPrecondition,
                Some(about),
            ) => about,
            (ErrorKind::InvalidArgument, None) => "入力を直して、もう一度送ってください",
            (ErrorKind::NotFound, None) => "前の画面に戻るか、概要から始めてください",
            (ErrorKind::AlreadyExists, None) => "別のものにしてください",
            (ErrorKind::FailedPrecondition, None) => "画面を開き直して、いまの状態を確かめてください",
            (ErrorKind::Unauthenticated, _) => {
                "次のコードでもう一度お試しください。5回続けて間違えると、待ち時間が延びていきます"
            }
            (ErrorKind::PermissionDenied, _) => "必要な役割を管理者に頼んでください",
            (ErrorKind::ResourceExhausted, _) => "しばらく待ってから、もう一度お試しください",
            (ErrorKind::Unavailable, _) => "しばらくしてから、もう一度お試しください",
            (ErrorKind::Internal, _) => "原文の番号を添えて、担当者に知らせてください",
        };
        said.to_owned()
    }

    /// What the call itself said, where the page says it in other words.
    pub(super) fn original(self, error: &Error) -> Option<String> {
        (self == Self::Japanese).then(|| Error { field: String::new(), ..error.clone() }.to_string())
    }
}

fn japanese(shape: &Shape) -> String {
    let Some(shape) = shape.parts() else { return "空です".to_owned() };
    let made = shape.1.iter().map(|made| match made {
        Made::Digits => "数字",
        Made::Latin => "英字",
        Made::Letters => "その他の文字",
        Made::Controls => "制御文字",
        Made::Signs => "記号・空白",
    });
    format!("{}文字、{}", shape.0, made.collect::<Vec<_>>().join("・"))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use musubi_domain::{
        caller::CallerKind::{self, Anybody, Operator},
        error::shape,
    };
    use musubi_proto::callers::COMPANY;

    use super::*;
    use crate::import::row::COLUMNS;

    /// The fields that stand in brackets behind a code, in what the contract says of each method that people call.
    fn fields_of_calls() -> BTreeSet<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/musubi");
        let mut fields = BTreeSet::new();
        for node in ["company", "information"] {
            for file in std::fs::read_dir(root.join(node).join("v1")).unwrap() {
                let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
                let mut comment = String::new();
                for line in text.lines().map(str::trim) {
                    if let Some(words) = line.strip_prefix("//") {
                        comment += words;
                    } else {
                        let method = line.strip_prefix("rpc ").and_then(|rest| rest.split('(').next());
                        let called = |method: &str| {
                            let shown = |who: &CallerKind| [Operator, Anybody].contains(who);
                            let row = COMPANY.iter().find(|row| row.methods.contains(&method));
                            row.is_some_and(|row| row.who.iter().any(shown))
                        };
                        if method.is_some_and(called) {
                            fields.extend(bracketed(&comment));
                        }
                        comment.clear();
                    }
                }
            }
        }
        fields
    }

    fn bracketed(comment: &str) -> Vec<String> {
        let errors = comment.split("Errors:").nth(1).unwrap_or_default();
        let errors = errors.split("Repeatable:").next().unwrap_or_default();
        let groups = ["INVALID_ARGUMENT (", "NOT_FOUND (", "ALREADY_EXISTS ("]
            .into_iter()
            .flat_map(|code| errors.split(code).skip(1).filter_map(|rest| rest.split(')').next()));
        // `a, b; c: why`: what has a space in it is no name.
        let named = groups.flat_map(|group| group.split(';')).filter_map(|part| part.split(':').next());
        let names = named.flat_map(|names| names.split(',')).map(|name| {
            let name = name.trim();
            name.split(" was ").next().unwrap_or_default().to_owned()
        });
        names
            .filter(|name| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '.')
            })
            .collect()
    }

    #[test]
    fn every_code_that_a_page_can_show_has_words_in_both_languages() {
        let mut fields = fields_of_calls();
        assert!(fields.len() > 25, "{fields:?}");
        // What is told by row and by part, which the contract says in words.
        let columns = COLUMNS.iter().map(|column| (*column).to_owned());
        let parts = [
            "uniform.text",
            "individual.suggestions[3].text",
            "uniform.suggestions[0].open_url.url",
            "individual.variables[0].name",
            "individual.card.title",
            "uniform.card.image_url",
            "individual.suggestions",
            "uniform.variables",
            "values[points]",
            "start_time",
            "expire_time",
            "individual.suggestions[0].dial.phone_number",
            "messages_per_second",
            "phone_numbers[3]",
        ];
        fields.extend(columns.chain(parts.map(str::to_owned)));
        for field in fields {
            let error = Error::invalid(field.clone(), format!("{} is wrong", shape("a1")), "do otherwise");
            let Some(Field(_, japanese, english, ja_remedy, en_remedy)) = field_of(&field) else {
                panic!("{field} has no words; give it some in FIELDS")
            };
            for words in [japanese, ja_remedy] {
                assert!(!words.is_ascii(), "{field}: {words}");
            }
            assert!(
                !english.is_empty() && english.is_ascii() && en_remedy.is_ascii() && !en_remedy.is_empty()
            );
            let said = Language::Japanese.problem(&error);
            assert!(said.starts_with(japanese) && said.ends_with("（2文字、数字・英字）"), "{said}");
            assert_eq!(Language::Japanese.remedy(&error), *ja_remedy);
            assert_eq!(Language::English.problem(&error), error.problem);
        }
    }

    #[test]
    fn every_kind_has_words_with_a_field_and_without() {
        for kind in [
            ErrorKind::InvalidArgument,
            ErrorKind::NotFound,
            ErrorKind::AlreadyExists,
            ErrorKind::FailedPrecondition,
            ErrorKind::Unauthenticated,
            ErrorKind::PermissionDenied,
            ErrorKind::ResourceExhausted,
            ErrorKind::Unavailable,
            ErrorKind::Internal,
        ] {
            for field in ["", "name", "something_new"] {
                let error = Error::new(kind, "went wrong", "mend it").at(field);
                let [problem, remedy] =
                    [Language::Japanese.problem(&error), Language::Japanese.remedy(&error)];
                assert!(!problem.is_ascii() && !remedy.is_ascii(), "{kind:?} {field}: {problem} {remedy}");
                assert_eq!(Language::Japanese.original(&error).unwrap(), "went wrong; mend it");
                assert_eq!(
                    (Language::English.remedy(&error), Language::English.original(&error)),
                    ("mend it".to_owned(), None)
                );
            }
        }
    }

    #[test]
    fn a_longer_end_of_a_path_is_another_field() {
        let name = |path: &str| field_of(path).map(|field| field.2);
        assert_eq!(name("individual.suggestions[2].text"), Some("label of a button"));
        assert_eq!(name("individual.text"), Some("text"));
        assert_eq!(name("customers[4].values[due]"), Some("values"));
        assert_eq!(name("never.heard[1].of"), None);
    }
}
