//! Who is who, from the configuration: companies, their official accounts, the carriers that each account is open at.
//!
//! Read once at the start and never changed. Another company's account doesn't exist here: ask with the company that asks.

use std::collections::HashMap;

use musubi_domain::{
    Error, ErrorKind,
    approval::SecondPerson,
    dialogue::Rules,
    guess::Limits,
    id::{CarrierId, CompanyId, OfficialAccountId},
    identity::IdentityMethod,
    link::LinkHosts,
    silence::Silence,
};
use musubi_matching::{AccountFormat, Policy};

/// Who is who.
#[derive(Debug, Default)]
pub struct Directory {
    companies: HashMap<CompanyId, Company>,
    accounts: HashMap<OfficialAccountId, Account>,
}

/// How a company's customers are matched (S20).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Matching {
    /// The company's server decides.
    Inquiry,
    /// This server decides, by the copy that the company has entrusted.
    Custody,
}

/// Who decides what the digests of a blind copy don't tell: whether it is the customer in another spelling, or somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Undecided {
    /// The company's server is asked; until it answers the match waits.
    Ask,
    /// Nobody is asked: with the name or the address equal it is for people, else rejected.
    Decide,
}

/// A company.
#[derive(Debug)]
pub struct Company {
    /// Its id.
    pub id: CompanyId,
    /// How its customers are matched.
    pub matching: Matching,
    /// How its account numbers look.
    pub account_format: AccountFormat,
    /// What it demands of a match in custody.
    pub policy: Policy,
    /// The methods that it accepts.
    pub methods: Vec<IdentityMethod>,
    /// Limits of wrong guesses.
    pub limits: Limits,
    /// Where links in its distributions lead.
    pub link_hosts: LinkHosts,
    /// At most so many messages a second; 0: any number.
    pub messages_per_second: u32,
    /// What its people do only two together.
    pub second_person: SecondPerson,
}

/// An official account.
#[derive(Debug)]
pub struct Account {
    /// Its id.
    pub id: OfficialAccountId,
    /// Whose.
    pub company: CompanyId,
    /// The verified sender's name.
    pub display_name: String,
    /// Where it is open.
    pub carriers: Vec<CarrierId>,
    /// How it speaks.
    pub rules: Rules,
    /// What it says.
    pub texts: Texts,
    /// How long a tie is trusted.
    pub tie_days: u32,
    /// How long a number may be silent.
    pub silence: Silence,
    /// At most so many messages a second; 0: any number.
    pub messages_per_second: u32,
}

/// What an official account says in its dialogues (figs. 7 to 9). Each has a default; an account may set its own.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Texts {
    /// Fig. 7: the question.
    pub question: String,
    /// Its B1.
    pub confirm: String,
    /// Its B2.
    pub no_account: String,
    /// Where B2 leads: the company's account-opening page, https.
    pub account_opening_url: String,
    /// Its B3.
    pub decline: String,
    /// Fig. 8: asks for the account number.
    pub account: String,
    /// The same, after a text that could not be read.
    pub account_again: String,
    /// Fig. 9: asks for a proof of identity.
    pub identity: String,
    /// Its B1.
    pub jpki: String,
    /// Its B2.
    pub carrier: String,
    /// Its B3.
    pub document: String,
    /// The tie is made.
    pub confirmed: String,
    /// The button that undoes it.
    pub untie: String,
    /// The button of whoever has the number and is not that customer; also below each individual message.
    pub not_me: String,
    /// The tie ends soon.
    pub renewal: String,
    /// The button to prove the identity again.
    pub renew: String,
    /// It could not be confirmed, for whatever reason.
    pub not_confirmed: String,
    /// It could not be confirmed, after a review.
    pub review_rejected: String,
    /// The button to try again.
    pub try_again: String,
    /// Asks whether all that is held about the person shall be erased.
    pub erase_asked: String,
    /// The button that says so.
    pub erase: String,
    /// It is being erased.
    pub erasing: String,
}

impl Texts {
    /// What a person agrees to who taps B1 of the question: the question and the button.
    #[must_use]
    pub fn asked(&self) -> String {
        format!("{}\n{}", self.question, self.confirm)
    }
}

impl Default for Texts {
    fn default() -> Self {
        let text = str::to_owned;
        Self {
            question: text(
                "フォローありがとうございます。お客さま専用のお知らせをお届けするために、口座をお持ちかどうか確認してもよろしいですか。",
            ),
            confirm: text("口座を確認する"),
            no_account: text("口座を持っていない"),
            account_opening_url: text("https://www.musubi.test/account-opening"),
            decline: text("確認しない"),
            account: text("口座番号を入力してください。（例：1234567）"),
            account_again: text("口座番号を読み取れませんでした。数字で入力してください。（例：1234567）"),
            identity: text("ご本人さまの確認をお願いします。確認の方法をお選びください。"),
            jpki: text("公的個人認証"),
            carrier: text("携帯電話会社の認証"),
            document: text("その他の方法（書類）"),
            confirmed: text(
                "ご本人さまの確認が完了しました。これからは、お客さま専用のお知らせをお届けします。",
            ),
            untie: text("連携を解除する"),
            not_me: text("本人ではありません"),
            renewal: text(
                "ご本人さまの確認の期限が近づいています。お客さま専用のお知らせを続けるには、もう一度ご確認ください。",
            ),
            renew: text("もう一度確認する"),
            not_confirmed: text(
                "ご入力の内容を受け付けました。確認できなかった場合は、共通のお知らせをお届けします。",
            ),
            review_rejected: text(
                "ご本人さまの確認ができませんでした。これからも、共通のお知らせをお届けします。",
            ),
            try_again: text("もう一度"),
            erase_asked: text(
                "お客さまについてお預かりしている情報を、すべて削除してもよろしいですか。連携も解除され、元に戻すことはできません。",
            ),
            erase: text("すべて削除する"),
            erasing: text("承りました。お客さまについてお預かりしている情報を、1分以内にすべて削除します。"),
        }
    }
}

impl Directory {
    /// From what the configuration says; `config` has checked it.
    #[must_use]
    pub fn new(companies: Vec<Company>, accounts: Vec<Account>) -> Self {
        Self {
            companies: companies.into_iter().map(|company| (company.id.clone(), company)).collect(),
            accounts: accounts.into_iter().map(|account| (account.id.clone(), account)).collect(),
        }
    }

    /// A company.
    #[must_use]
    pub fn company(&self, id: &CompanyId) -> Option<&Company> {
        self.companies.get(id)
    }

    /// Every company.
    pub fn companies(&self) -> impl Iterator<Item = &Company> {
        self.companies.values()
    }

    /// An account, whosever.
    #[must_use]
    pub fn account(&self, id: &OfficialAccountId) -> Option<&Account> {
        self.accounts.get(id)
    }

    /// Every account.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// The accounts of one company, by id.
    #[must_use]
    pub fn accounts_of(&self, company: &CompanyId) -> Vec<&Account> {
        let mut accounts: Vec<_> =
            self.accounts.values().filter(|account| account.company == *company).collect();
        accounts.sort_by(|one, other| one.id.cmp(&other.id));
        accounts
    }

    /// A company's own account.
    ///
    /// # Errors
    /// `NotFound` for `official_account` when it doesn't exist or is another company's.
    pub fn own_account(&self, company: &CompanyId, id: &str) -> Result<&Account, Error> {
        id.parse()
            .ok()
            .and_then(|id: OfficialAccountId| self.accounts.get(&id))
            .filter(|account| account.company == *company)
            .ok_or_else(|| {
                let remedy = "name an official account of your company";
                Error::new(ErrorKind::NotFound, "no such official account", remedy).at("official_account")
            })
    }

    /// A company's account with its company, as events need both.
    #[must_use]
    pub fn account_and_company(&self, id: &OfficialAccountId) -> Option<(&Account, &Company)> {
        let account = self.accounts.get(id)?;
        Some((account, self.companies.get(&account.company)?))
    }
}
