//! Every word of the pages, once for each language; nothing else of them speaks to people.
//!
//! What companies and people wrote stands in no language of ours and is never translated. Surprising: there is no fallback; a
//! word that one language lacks doesn't compile.

use musubi_domain::{Error, ErrorKind};

use crate::{hand::Follows, story::IdentityMethod};

/// A language of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// 日本語
    Japanese,
    /// English
    English,
}

impl Language {
    /// The tag of HTML and of HTTP.
    pub(super) const fn tag(self) -> &'static str {
        match self {
            Self::Japanese => "ja",
            Self::English => "en",
        }
    }

    /// The language of a tag, if it is one of ours.
    pub(super) fn of_tag(tag: &str) -> Option<Self> {
        let language = tag.trim().split(['-', ';']).next()?;
        [Self::Japanese, Self::English].into_iter().find(|it| it.tag().eq_ignore_ascii_case(language))
    }

    /// The other one.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Japanese => Self::English,
            Self::English => Self::Japanese,
        }
    }

    /// Its own name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Japanese => "日本語",
            Self::English => "English",
        }
    }

    /// Its words.
    pub(super) const fn words(self) -> &'static Words {
        match self {
            Self::Japanese => &JAPANESE,
            Self::English => &ENGLISH,
        }
    }
}

/// Declares the words once, and their texts side by side.
macro_rules! words {
    ($($name:ident: $japanese:literal, $english:literal;)+) => {
        /// The words of one language.
        pub(super) struct Words { $(pub(super) $name: &'static str,)+ }
        const JAPANESE: Words = Words { $($name: $japanese,)+ };
        const ENGLISH: Words = Words { $($name: $english,)+ };
    };
}

words! {
    skip: "本文へ移動", "Skip to the content";
    brand: "電話機", "phones";
    wall_title: "電話機", "Phones";
    wall_lead: "携帯電話のシミュレーターです。電話機を手に取ると、公式アカウントとのトークを自分で進められます。",
        "A simulator of mobile phones. Pick one up, and talk with an official account yourself.";
    live: "いまの様子", "Right now";
    stories: "台本のある電話機", "Phones with a story";
    shown: "表示したメッセージ", "Messages shown";
    tapped: "タップ", "Taps";
    typed: "入力", "Texts typed";
    pages: "開いたページ", "Pages opened";
    pending: "送信待ち", "Waiting to be sent";
    steps: "台本の進み具合", "How far the stories are";
    latest: "最近のトーク", "Latest talk rooms";
    latest_none: "まだトークはありません。", "No talk room yet.";
    find: "番号で探す", "Find by number";
    find_label: "電話番号", "Phone number";
    find_hint: "090-1234-5678 または +819012345678", "090-1234-5678 or +819012345678";
    find_button: "探す", "Find";
    find_none: "この番号の電話機はありません。", "There is no phone of this number.";
    yours: "手に取った電話機", "Phones in hand";
    yours_none: "まだありません。待っている人から1人を選んでください。", "None yet. Pick one of those that wait.";
    together: "並べて見る", "Side by side";
    pick_up: "電話機を手に取る", "Pick up a phone";
    pick_up_lead: "顧客名簿に載っている人たちです。口座番号と本人確認の手段を持っています。",
        "People whom a company's customer master has. They have an account number and what proves who they are.";
    pick_up_none: "待っている人はいません。下で新しく作れます。", "Nobody waits. Make somebody up below.";
    pick_up_button: "手に取る", "Pick up";
    make: "別の人を作る", "Make up somebody else";
    make_lead: "顧客名簿に載っていない人は、照合で一致しません。",
        "Whom no customer master has will not be confirmed.";
    make_button: "この人の電話機を手に取る", "Pick up this person's phone";
    carrier: "通信会社", "Carrier";
    first_account: "公式アカウントのID", "Official account id";
    name: "氏名", "Name";
    name_kana: "フリガナ", "Reading";
    birth_date: "生年月日", "Date of birth";
    address: "住所", "Address";
    account_number: "口座番号", "Account number";
    phone_of: "電話機", "Phone";
    messages: "メッセージ", "Messages";
    back: "戻る", "Back";
    power_on: "電源を入れる", "Switch on";
    power_off: "電源を切る", "Switch off";
    is_off: "電源が切れています", "The phone is off";
    is_off_hint: "届いたメッセージは、電源を入れるまで通信会社で待ちます。",
        "Messages wait with the carrier until it is switched on.";
    by_story: "この電話機の持ち主は台本どおりに動きます", "This phone's person acts by a story";
    no_accounts: "まだ公式アカウントを知りません。", "It knows no official account yet.";
    unread: "未読", "unread";
    verified: "認証済みの送信元", "Verified sender";
    follow: "フォローする", "Follow";
    follow_lead: "フォローすると、このアカウントからメッセージが届きます。", "Follow this account to get its messages.";
    follow_again: "もう一度フォローする", "Follow again";
    unfollow: "フォローをやめる", "Unfollow";
    more: "メニュー", "Menu";
    followed: "フォローしました", "You follow this account";
    unfollowed: "フォローをやめました", "You no longer follow this account";
    opened: "ページを開きました", "You opened";
    proved: "本人確認を行いました", "You proved who you are";
    choices: "返信の候補", "Suggested replies";
    compose: "メッセージを入力", "Write a message";
    send: "送信", "Send";
    sending: "送信中", "Sending";
    sent: "送信済み", "Sent";
    read: "既読", "Read";
    typing: "入力中", "is typing";
    talk: "トーク", "Talk";
    service: "お手続き", "Request";
    individual: "お客さま専用", "For you alone";
    uniform: "お知らせ", "To everybody";
    picture: "画像", "Picture";
    you: "自分", "You";
    wallet: "手元にあるもの", "What you have at hand";
    wallet_hint: "シミュレーターの中だけの人です。", "A person of this simulator alone.";
    card: "マイナンバーカード", "My Number card";
    contract: "携帯電話の契約", "Phone contract";
    document: "運転免許証", "Driving licence";
    pin: "暗証番号", "PIN";
    no_pin: "写真を撮って送ります", "is photographed";
    pages_title: "ブラウザー", "Browser";
    close: "閉じる", "Close";
    jpki_title: "公的個人認証サービス", "Public personal authentication (JPKI)";
    jpki_lead: "マイナンバーカードを電話機にかざし、利用者証明用の暗証番号を入力してください。",
        "Hold your My Number card to the phone, then enter its PIN.";
    jpki_touch: "カードをかざす", "Hold the card to the phone";
    jpki_touched: "カードを読み取りました。", "The card was read.";
    carrier_title: "契約者認証", "Contract holder authentication";
    carrier_lead: "ご契約のときに決めた暗証番号を入力してください。", "Enter the PIN of your phone contract.";
    document_title: "本人確認書類の提出", "Identity documents";
    document_lead: "本人確認書類を撮影して提出します。", "Photograph a document and hand it in.";
    document_which: "書類", "Document";
    document_passport: "パスポート", "Passport";
    document_residence: "在留カード", "Residence card";
    document_button: "撮影して提出する", "Photograph and hand in";
    pin_button: "認証する", "Authenticate";
    pin_hint: "暗証番号は「手元にあるもの」に書いてあります。", "It stands in what you have at hand.";
    outside_title: "シミュレーターの外のページ", "A page outside of the simulator";
    outside_lead: "本物の電話機ではここでこのページが開きます。", "A real phone would open this page now.";
    outside_button: "新しいタブで開く", "Open in a new tab";
    nowhere_lead: "このリンクはhttpsではないため、開きません。", "This link is not https, so it is not opened.";
    wrong_pin: "暗証番号が違います。もう一度入力してください。", "The PIN is wrong. Enter it again.";
    proof_refused: "このページでは認証できませんでした。トークに戻って開き直してください。",
        "This page could not authenticate you. Go back to the talk and open it again.";
    not_there: "見つかりません。", "It is not there.";
    phone_is_off: "電源が切れています。入れてからもう一度お試しください。", "The phone is off. Switch it on and try again.";
    number_taken: "この番号の電話機はもうあります。", "There is a phone of this number already.";
    try_again: "いまはつながりません。少し待ってからもう一度お試しください。", "It can't be reached now. Try again in a moment.";
    bad_input: "入力を確認してください", "Look at what was entered";
    trouble: "うまくいきませんでした", "That didn't work";
    home: "一覧へ", "To all phones";
    step_joining: "フォロー中", "Following now";
    step_following: "質問待ち", "Waits for the question";
    step_asked: "断った・口座なし", "Said no";
    step_account: "口座番号の案内待ち", "Waits to be asked for the number";
    step_identity: "本人確認の案内待ち", "Waits to be asked for a proof";
    step_verifying: "照合の結果待ち", "Waits for the result";
    step_leaving: "退会中", "Leaving";
    step_finished: "終了", "Finished";
    step_held: "手に取られている", "In somebody's hand";
    not_following: "フォローしていません", "Not following";
}

impl Words {
    /// The words for a step of a story, and for a phone in somebody's hand.
    pub(super) fn step(&self, word: &str) -> &'static str {
        match word {
            "joining" => self.step_joining,
            "following" => self.step_following,
            "asked" => self.step_asked,
            "account" => self.step_account,
            "identity" => self.step_identity,
            "verifying" => self.step_verifying,
            "leaving" => self.step_leaving,
            "finished" => self.step_finished,
            _ => self.step_held,
        }
    }

    /// What a person makes of an error.
    pub(super) fn error(&self, error: &Error) -> String {
        match error.kind {
            ErrorKind::NotFound => self.not_there.to_owned(),
            ErrorKind::AlreadyExists => self.number_taken.to_owned(),
            ErrorKind::FailedPrecondition => self.phone_is_off.to_owned(),
            ErrorKind::Unavailable | ErrorKind::ResourceExhausted => self.try_again.to_owned(),
            ErrorKind::InvalidArgument => format!("{}: {error}", self.bad_input),
            ErrorKind::Unauthenticated | ErrorKind::PermissionDenied | ErrorKind::Internal => {
                self.trouble.to_owned()
            }
        }
    }

    /// What somebody has for an authority.
    pub(super) const fn credential(&self, method: IdentityMethod) -> &'static str {
        match method {
            IdentityMethod::Jpki => self.card,
            IdentityMethod::Carrier => self.contract,
            IdentityMethod::Document => self.document,
        }
    }

    /// An authority's page.
    pub(super) const fn authority(&self, method: IdentityMethod) -> (&'static str, &'static str) {
        match method {
            IdentityMethod::Jpki => (self.jpki_title, self.jpki_lead),
            IdentityMethod::Carrier => (self.carrier_title, self.carrier_lead),
            IdentityMethod::Document => (self.document_title, self.document_lead),
        }
    }

    /// How the list of accounts tells of an account without a message.
    pub(super) const fn follows(&self, follows: Follows) -> &'static str {
        match follows {
            Follows::No | Follows::Leaving => self.not_following,
            Follows::Joining | Follows::Yes => self.followed,
        }
    }
}
