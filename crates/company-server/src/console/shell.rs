//! What stands around every page: who looks, in which language, the ways to the other pages, what was just done.
//!
//! Surprising: which ways are offered is read from the table of callers, the same that the door reads.

use musubi_domain::caller::{CallerKind, Role};
use musubi_proto::callers::COMPANY;
use musubi_runtime::http::pages;

use super::language::Language;
use crate::person_file::japanese_time;

/// The frame of a page.
#[derive(Clone)]
pub(super) struct Shell {
    pub(super) language: Language,
    /// Whose console it is.
    pub(super) company: String,
    /// Who looks; nobody has signed in yet when it is empty.
    pub(super) name: String,
    pub(super) roles: Vec<Role>,
    /// The page's own path and query.
    pub(super) path: String,
    /// What was just done.
    pub(super) done: Option<&'static str>,
}

/// A way to another room of the console: its path, its name in both languages, and the methods of which one opens it.
struct Room(&'static str, &'static str, &'static str, &'static [&'static str]);

const ROOMS: [Room; 9] = [
    Room("/", "概要", "Overview", &["GetFunnel"]),
    Room("/distributions", "配信", "Distributions", &["ListDistributions"]),
    Room("/reviews", "本人確認の審査", "Reviews", &["ListReviews"]),
    Room("/approvals", "承認", "Approvals", &["ListApprovals"]),
    Room("/followers", "フォロワー", "Followers", &["ListFollowers", "GetFollower"]),
    Room("/dialogue", "会話", "Dialogue", &["ListAccounts"]),
    Room("/master", "顧客マスター", "Customer master", &["ListCustomers", "ImportCustomers", "ListCopies"]),
    Room("/audit", "監査", "Audit", &["ListAuditLines"]),
    Room("/settings", "設定", "Settings", &["WhoAmI"]),
];

/// A way as a page shows it.
pub(super) struct Way {
    pub(super) path: &'static str,
    pub(super) text: &'static str,
    pub(super) is_here: bool,
}

impl Shell {
    pub(super) const fn say(&self, japanese: &'static str, english: &'static str) -> &'static str {
        self.language.say(japanese, english)
    }

    /// Whether the visitor may call this method, by the table of callers.
    pub(super) fn may(&self, method: &str) -> bool {
        !self.name.is_empty()
            && COMPANY
                .iter()
                .any(|row| row.methods.contains(&method) && row.allows(CallerKind::Operator, &self.roles))
    }

    /// The rooms that are open to the visitor.
    pub(super) fn ways(&self) -> Vec<Way> {
        let open = ROOMS.iter().filter(|Room(_, _, _, methods)| methods.iter().any(|it| self.may(it)));
        let way = |Room(path, japanese, english, _): &Room| {
            let bare = self.path.split('?').next().unwrap_or_default();
            let is_here = bare == *path
                || (*path != "/" && bare.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')));
            Way { path, text: self.say(japanese, english), is_here }
        };
        open.map(way).collect()
    }

    /// The roles, as the language says them.
    pub(super) fn role_words(&self) -> String {
        let words: Vec<_> = self.roles.iter().map(|role| self.language.role(*role)).collect();
        words.join(self.say("、", ", "))
    }

    /// The address of a file that all pages share.
    pub(super) fn shared(&self, name: &str) -> String {
        pages::asset(name)
    }

    /// The address of a file of the console.
    pub(super) fn own(&self, name: &str) -> String {
        format!("/console/{name}?{}", *super::VERSION)
    }

    /// An id's front and first digits, to tell rows apart.
    pub(super) fn short(&self, id: &str) -> String {
        id.chars().take(12).collect()
    }

    /// An instant in Japanese time, to the second; a dash when there is none.
    pub(super) fn time(&self, time: &Option<prost_types::Timestamp>) -> String {
        japanese_time(time.as_ref()).unwrap_or_else(|| "—".to_owned())
    }

    /// A number in threes.
    pub(super) fn number(&self, number: &u64) -> String {
        let digits = number.to_string();
        let mut text = String::with_capacity(digits.len() + digits.len() / 3);
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text
    }
}

/// What may stand in `?done=` of an address, and what it says then. Nothing else that stands in an address is shown.
pub(super) fn done(code: &str, language: Language) -> Option<&'static str> {
    Some(match code {
        "drafted" => language.say("下書きを作成しました。", "The draft is made."),
        "uploaded" => language.say("差し込む値を登録しました。", "The values are stored."),
        "submitted" => language.say(
            "提出しました。承認者が内容を確かめて開始します。",
            "It is submitted. An approver looks at it and starts it.",
        ),
        "returned" => language.say("下書きに戻しました。", "It is a draft again."),
        "started" => language.say("配信を開始しました。", "The distribution is started."),
        "paused" => language.say("配信を一時停止しました。", "The distribution is paused."),
        "resumed" => language.say("配信を再開しました。", "The distribution goes on."),
        "cancelled" => language.say("配信を取り消しました。", "The distribution is cancelled."),
        "approved-once" => language.say(
            "一人目として承認しました。別の担当者の承認を待ちます。",
            "Approved once. Another person has to approve it, too.",
        ),
        "review-approved" => language.say(
            "承認しました。お客さまと紐づけ、ご本人に伝えます。",
            "Approved. The customer is tied, and the person is told.",
        ),
        "review-rejected" => language.say(
            "否認しました。確認できなかったことだけを伝えます。",
            "Rejected. The person is told that it could not be confirmed, and nothing else.",
        ),
        "granted" => language.say("承認しました。", "Approved."),
        "rejected" => language.say("却下しました。", "Rejected."),
        "unlocked" => language.say("ロックを解除しました。", "Unlocked."),
        "nothing-to-unlock" => {
            language.say("解除するものはありませんでした。", "There was nothing to unlock.")
        }
        "untied" => language.say("紐づけを解除しました。", "The tie is ended."),
        "nothing-to-untie" => language.say("紐づけはありませんでした。", "There was no tie to end."),
        "suspended" => language.say(
            "個別メッセージを停止しました。",
            "Individual messages are held back until you release them.",
        ),
        "released-follower" => {
            language.say("個別メッセージを再開しました。", "Individual messages may go again.")
        }
        "nothing-changed" => language.say("変更はありませんでした。", "There was nothing to change."),
        "erasing" => language.say("1分以内に削除されます。", "It is erased within a minute."),
        "waits" => {
            language.say("別の担当者の承認を待っています。", "It waits for another person's approval.")
        }
        "nobody" => language.say("該当する人はいませんでした。", "Nobody was meant."),
        "released" => language
            .say("リストを受け入れます。すぐに取得します。", "The list is released and fetched at once."),
        "entrusted" => language.say("マスターを預託しました。", "The master is entrusted."),
        "purged" => language.say("預託した写しを破棄しました。", "The entrusted copy is destroyed."),
        "sessions-ended" => language.say("セッションを終了しました。", "Sessions are ended."),
        "removed" => language.say("削除しました。", "Removed."),
        "signed-out" => language.say("サインアウトしました。", "You have signed out."),
        _ => return None,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::console) fn shell(roles: &[Role], path: &str) -> Shell {
        Shell {
            language: Language::English,
            company: "tf-bank".to_owned(),
            name: "sato".to_owned(),
            roles: roles.to_vec(),
            path: path.to_owned(),
            done: None,
        }
    }

    #[test]
    fn each_role_is_shown_the_rooms_that_it_may_enter() {
        let ways = |role| shell(&[role], "/").ways().iter().map(|way| way.path).collect::<Vec<_>>();
        assert_eq!(ways(Role::Viewer), ["/", "/distributions", "/dialogue", "/settings"]);
        assert_eq!(
            ways(Role::Editor),
            ["/", "/distributions", "/followers", "/dialogue", "/master", "/settings"]
        );
        assert_eq!(ways(Role::Auditor).len(), ROOMS.len());
        assert!(!ways(Role::Administrator).contains(&"/reviews"));
        assert!(Shell { name: String::new(), ..shell(&Role::ALL, "/") }.ways().is_empty());
    }

    #[test]
    fn the_way_to_where_one_is_is_marked_and_no_other() {
        for (path, here) in
            [("/", "/"), ("/?a=b", "/"), ("/reviews/rev_1?x", "/reviews"), ("/settings", "/settings")]
        {
            let ways = shell(&Role::ALL, path).ways();
            let marked: Vec<_> = ways.iter().filter(|way| way.is_here).map(|way| way.path).collect();
            assert_eq!(marked, [here], "{path}");
        }
    }

    #[test]
    fn every_method_that_a_page_asks_the_table_for_is_there() {
        let templates = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
        let mut asked: Vec<String> =
            ROOMS.iter().flat_map(|room| room.3).map(|it| (*it).to_owned()).collect();
        for file in std::fs::read_dir(templates).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let calls = text.split("may(\"").skip(1).filter_map(|rest| rest.split('"').next());
            asked.extend(calls.map(str::to_owned));
        }
        assert!(asked.len() > 20, "{asked:?}");
        for method in asked {
            assert!(COMPANY.iter().any(|row| row.methods.contains(&method.as_str())), "{method}");
        }
    }
}
