//! What the wire's words are called in both languages: roles, outcomes, states, purposes, methods.
//!
//! Surprising: states and purposes of messages come as texts; one that isn't known here is shown as it came.

use musubi_domain::caller::Role;
use musubi_matching::{Compared, Comparison};
use musubi_proto::{
    information::v1::{
        Approval, ApprovalAct, ApprovalState, DistributionState, FollowerOutcome, ReviewState, ReviewVerdict,
        TrialRecipient, VariableKind,
    },
    r#type::v1::IdentityMethod,
};

use super::language::Language;

/// A state as a chip shows it: its colour and its words.
pub(super) struct Chip {
    /// A class of `base.css`; empty: plain.
    pub(super) class: &'static str,
    pub(super) text: &'static str,
}

const fn chip(class: &'static str, text: &'static str) -> Chip {
    Chip { class, text }
}

impl Language {
    pub(super) const fn role(self, role: Role) -> &'static str {
        match role {
            Role::Viewer => self.say("閲覧者", "viewer"),
            Role::Editor => self.say("編集者", "editor"),
            Role::Approver => self.say("承認者", "approver"),
            Role::Auditor => self.say("監査担当", "auditor"),
            Role::Administrator => self.say("管理者", "administrator"),
        }
    }

    pub(super) const fn outcome(self, outcome: FollowerOutcome) -> Chip {
        match outcome {
            FollowerOutcome::Unspecified => chip("", self.say("すべて", "all")),
            FollowerOutcome::Waiting => chip("", self.say("確認前", "not asked yet")),
            FollowerOutcome::Unanswered => chip("", self.say("未回答", "no answer")),
            FollowerOutcome::Underway => chip("accent", self.say("手続き中", "under way")),
            FollowerOutcome::Confirmed => chip("good", self.say("確認済み", "confirmed")),
            FollowerOutcome::Rejected => chip("", self.say("不一致", "no match")),
            FollowerOutcome::Review => chip("warn", self.say("審査待ち", "in review")),
            FollowerOutcome::NoAccount => chip("", self.say("口座なし", "no account")),
            FollowerOutcome::Declined => chip("", self.say("希望しない", "declined")),
            FollowerOutcome::Abandoned => chip("", self.say("中断", "gave up")),
            FollowerOutcome::Locked => chip("bad", self.say("ロック中", "locked")),
            FollowerOutcome::Unfollowed => chip("", self.say("フォロー解除", "unfollowed")),
        }
    }

    pub(super) const fn distribution(self, state: DistributionState) -> Chip {
        match state {
            DistributionState::Unspecified => chip("", "—"),
            DistributionState::Draft => chip("accent", self.say("下書き", "draft")),
            DistributionState::Submitted => chip("warn", self.say("承認待ち", "submitted")),
            DistributionState::Running => chip("good", self.say("配信中", "running")),
            DistributionState::Paused => chip("warn", self.say("一時停止", "paused")),
            DistributionState::Completed => chip("", self.say("完了", "completed")),
            DistributionState::Cancelled => chip("bad", self.say("取り消し", "cancelled")),
        }
    }

    pub(super) const fn review(self, state: ReviewState) -> Chip {
        match state {
            ReviewState::Unspecified => chip("", "—"),
            ReviewState::Open => chip("warn", self.say("審査待ち", "open")),
            ReviewState::ApprovedOnce => chip("warn", self.say("二人目待ち", "approved once")),
            ReviewState::Approved => chip("good", self.say("承認", "approved")),
            ReviewState::Rejected => chip("bad", self.say("否認", "rejected")),
            ReviewState::Expired => chip("", self.say("期限切れ", "expired")),
            ReviewState::Withdrawn => chip("", self.say("取り下げ", "withdrawn")),
        }
    }

    pub(super) const fn approval(self, state: ApprovalState) -> Chip {
        match state {
            ApprovalState::Unspecified => chip("", "—"),
            ApprovalState::Waiting => chip("warn", self.say("承認待ち", "waiting")),
            ApprovalState::Approved => {
                chip("good", self.say("承認済み（受け取り待ち）", "approved, to be fetched"))
            }
            ApprovalState::Done => chip("good", self.say("実行済み", "done")),
            ApprovalState::Rejected => chip("bad", self.say("却下", "rejected")),
            ApprovalState::Expired => chip("", self.say("期限切れ", "expired")),
        }
    }

    pub(super) const fn act(self, act: ApprovalAct) -> &'static str {
        match act {
            ApprovalAct::Unspecified => "—",
            ApprovalAct::Export => self.say("個人情報の書き出し", "export of a follower's data"),
            ApprovalAct::Erase => self.say("フォロワーの削除", "erasure of followers"),
            ApprovalAct::Release => self.say("隔離されたリストの受け入れ", "release of a quarantined list"),
        }
    }

    /// How many people an approval is about.
    pub(super) fn subject(self, approval: &Approval) -> String {
        match (approval.act(), self) {
            (ApprovalAct::Release, Self::Japanese) => {
                format!("{}人中{}人が欠けている", approval.followers, approval.people)
            }
            (ApprovalAct::Release, Self::English) => {
                format!("{} of {} followers are missing", approval.people, approval.followers)
            }
            (ApprovalAct::Unspecified | ApprovalAct::Export | ApprovalAct::Erase, Self::Japanese) => {
                format!("{}人", approval.people)
            }
            (ApprovalAct::Unspecified | ApprovalAct::Export | ApprovalAct::Erase, Self::English) => {
                format!("{} people", approval.people)
            }
        }
    }

    pub(super) const fn verdict(self, verdict: ReviewVerdict) -> &'static str {
        match verdict {
            ReviewVerdict::Unspecified => "—",
            ReviewVerdict::Approved => self.say("承認", "approved"),
            ReviewVerdict::Rejected => self.say("否認", "rejected"),
        }
    }

    pub(super) const fn method(self, method: IdentityMethod) -> &'static str {
        match method {
            IdentityMethod::Unspecified => "—",
            IdentityMethod::Jpki => self
                .say("公的個人認証（マイナンバーカード）", "public personal authentication (My Number card)"),
            IdentityMethod::Carrier => self.say("携帯電話会社の認証", "carrier authentication"),
            IdentityMethod::Document => self.say("書類", "documents"),
        }
    }

    pub(super) const fn kind(self, kind: VariableKind) -> &'static str {
        match kind {
            VariableKind::Unspecified | VariableKind::Text => self.say("文字列", "text"),
            VariableKind::Integer => self.say("整数", "whole number"),
            VariableKind::Yen => self.say("金額（円）", "yen"),
            VariableKind::Date => self.say("日付", "date"),
        }
    }

    pub(super) const fn comparison(self, compared: &Compared) -> Chip {
        match compared.comparison {
            Comparison::Equal => chip("good", self.say("一致", "equal")),
            Comparison::Review => chip("warn", self.say("要確認", "to be looked at")),
            Comparison::Different => chip("bad", self.say("相違", "different")),
        }
    }

    pub(super) fn field(self, name: &'static str) -> &'static str {
        match name {
            "name" => self.say("氏名", "name"),
            "name_kana" => self.say("フリガナ", "reading"),
            "birth_date" => self.say("生年月日", "date of birth"),
            "address" => self.say("住所", "address"),
            "account" => self.say("口座番号（入力）", "account (typed)"),
            other => other,
        }
    }

    /// Where a message stands.
    pub(super) fn delivery(self, state: &str) -> String {
        let known = match state {
            "queued" => self.say("待機", "queued"),
            "sending" => self.say("送信中", "sending"),
            "accepted" => self.say("受付済み", "accepted by the carrier"),
            "delivered" => self.say("到達", "delivered"),
            "displayed" => self.say("既読", "read"),
            "rejected" => self.say("拒否", "rejected"),
            "expired" => self.say("期限切れ", "expired"),
            "revoked" => self.say("取り消し", "revoked"),
            "dead" => self.say("送信不能", "could not be sent"),
            other => return other.to_owned(),
        };
        known.to_owned()
    }

    /// What a message says.
    pub(super) fn purpose(self, purpose: &str) -> String {
        let known = match purpose {
            "question" => self.say("希望の確認（図7）", "question (fig. 7)"),
            "account" => self.say("口座番号の依頼（図8）", "account number (fig. 8)"),
            "account_again" => self.say("口座番号の再依頼", "account number, once more"),
            "identity" => self.say("本人確認の依頼（図9）", "identity (fig. 9)"),
            "result" => self.say("結果の連絡", "result"),
            "confirmed" => self.say("確認できたとき", "confirmed"),
            "not_confirmed" => self.say("確認できなかったとき", "not confirmed"),
            "review_rejected" => self.say("審査で確認できなかったとき", "not confirmed after a review"),
            "renewal" => self.say("再確認の依頼", "renewal"),
            "erasure" => self.say("削除の連絡", "erasure"),
            "erase_asked" => self.say("削除の確認", "whether to erase"),
            "erasing" => self.say("削除の受付", "it is being erased"),
            "individual" => self.say("個別メッセージ", "individual message"),
            "uniform" => self.say("共通メッセージ", "uniform message"),
            "undecided" => self.say("未定", "undecided"),
            other => return other.to_owned(),
        };
        known.to_owned()
    }

    /// Why individual messages are held back.
    pub(super) fn held(self, reason: &str) -> String {
        let known = match reason {
            "by_company" => self.say("担当者が停止", "suspended by the company's people"),
            "list_quarantined" => self.say("リストが隔離されている", "the list is quarantined"),
            "tie_expired" => self.say("紐づけの期限切れ", "the tie has expired"),
            "number_silent" => self.say("電話会社への確認待ち", "the carrier was not asked of late"),
            "refused" => self.say("届かなかった", "messages reached nobody"),
            "number_not_found" => self.say("番号が確認できない", "the carrier does not know the number"),
            "number_out_of_range" => {
                self.say("番号の持ち主が変わった可能性", "the number may have changed hands")
            }
            "renewal_not_confirmed" => self.say("再確認が不一致", "the new proof did not match"),
            other => return other.to_owned(),
        };
        known.to_owned()
    }

    /// Why a test goes as it goes.
    pub(super) fn why_so(self, recipient: &TrialRecipient) -> String {
        let known = match (recipient.state.as_str(), recipient.why_uniform.as_str()) {
            ("queued", _) => self.say(
                "順番待ち、または電話会社が応答していません",
                "it waits its turn, or its carrier does not answer",
            ),
            ("sending", _) => self.say("電話会社の返事を待っています", "its carrier has not answered yet"),
            ("revoked", _) => {
                self.say("フォローをやめたため、送っていません", "the follower left: nothing was sent")
            }
            ("expired", _) => self.say("時間内に送れませんでした", "it could not be sent in time"),
            ("rejected" | "dead", _) => {
                self.say("電話会社が受け付けませんでした", "its carrier did not take it")
            }
            (_, "not_confirmed") => self.say("確認済みではありません", "no confirmed customer"),
            (_, "no_values") => self.say("この人の値がありません", "no values for this customer"),
            (_, held) => return self.held(held),
        };
        known.to_owned()
    }

    /// Why consent was given.
    pub(super) fn consent(self, kind: &str) -> String {
        match kind {
            "wants" => self.say("個別のお知らせに同意", "agreed to personal information").to_owned(),
            "tied" => self.say("お客さま情報との紐づけに同意", "agreed to be tied").to_owned(),
            other => other.to_owned(),
        }
    }
}
