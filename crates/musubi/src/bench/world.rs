//! Who there is in a measurement: one company, its official account, one carrier, and followers by their places from 0 on.
//!
//! Surprising: a phone number is nothing but its place, so a list of ten million is kept nowhere.

use musubi_domain::{
    Error,
    id::{CarrierId, CompanyId, FollowerKeyring, OfficialAccountId},
    phone_number::PhoneNumber,
};
use musubi_runtime::config::{Endpoint, Secret};
use musubi_storage::information::FollowerKey;
use serde_json::{Value, json};

use super::{crowd::KEY_DIGITS, site::Place};
use crate::cluster::secret;

/// The tokens between the nodes.
pub(super) struct Tokens {
    pub(super) information_at_carrier: Secret,
    pub(super) carrier_at_information: Secret,
    pub(super) company_at_information: Secret,
    pub(super) information_at_company: Secret,
}

/// The people and what they are called.
pub(super) struct World {
    pub(super) company: CompanyId,
    pub(super) account: OfficialAccountId,
    pub(super) carrier: CarrierId,
    pub(super) tokens: Tokens,
    pub(super) keyring: FollowerKeyring,
    follower_secret: String,
}

impl World {
    /// With fresh secrets.
    pub(super) fn new() -> Result<Self, Error> {
        let follower_secret = secret();
        let token = || Secret::new(secret());
        Ok(Self {
            company: "aoba-bank".parse()?,
            account: "aoba-bank".parse()?,
            carrier: "kumo".parse()?,
            tokens: Tokens {
                information_at_carrier: token(),
                carrier_at_information: token(),
                company_at_information: token(),
                information_at_company: token(),
            },
            keyring: FollowerKeyring::new(follower_secret.as_bytes())?,
            follower_secret,
        })
    }

    /// A follower's number and key.
    pub(super) fn follower(&self, place: u64) -> Result<(FollowerKey, PhoneNumber), Error> {
        let number: PhoneNumber = number(place).parse()?;
        let follower = self.keyring.follower(&self.account, &number);
        Ok((FollowerKey { account: self.account.clone(), follower }, number))
    }

    /// The configuration of an information-management server; without what its process adds.
    pub(super) fn information(&self, place: &Place, carrier: &Endpoint, lists_every: &str) -> Value {
        let Tokens { information_at_carrier, carrier_at_information, .. } = &self.tokens;
        json!({
            "database": place.configuration(),
            "keys": { "follower": self.follower_secret, "token": secret(), "review": [secret()], "audit": [secret()] },
            "lists": { "every": lists_every },
            "company": [{
                "id": self.company,
                "token": self.tokens.company_at_information.expose(),
                "matching": "custody",
                "endpoint": "http://127.0.0.1:9",
                "endpoint_token": self.tokens.information_at_company.expose(),
                "account_digits": KEY_DIGITS,
                "branch_digits": 3,
                "methods": ["jpki", "carrier"],
                "company_limit": 1_000_000_000_u64,
            }],
            "official_account": [{
                "id": self.account,
                "company": self.company,
                "display_name": "青葉銀行",
                "carriers": [self.carrier],
            }],
            "carrier": [{
                "id": self.carrier,
                "endpoint": carrier.as_str(),
                "endpoint_token": information_at_carrier.expose(),
                "token": carrier_at_information.expose(),
                "verification_url": format!("https://{{method}}.{}.musubi.test/verify", self.carrier),
            }],
        })
    }
}

/// The phone number of a place, E.164; numbers ascend with places.
pub(super) fn number(place: u64) -> String {
    format!("+8190{place:08}")
}

/// The place of a phone number.
pub(super) fn place_of(number: &str) -> Option<u64> {
    number.strip_prefix("+8190")?.parse().ok()
}
