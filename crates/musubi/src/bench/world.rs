//! Who there is in a measurement: a company, its official account, one carrier, and followers by their places from 0 on; and perhaps a
//! neighbour at the same server, with an account of its own.
//!
//! Surprising: a phone number is nothing but its place, so a list of ten million is kept nowhere.

use std::{path::Path, sync::Arc, time::Duration};

use musubi_domain::{
    Error,
    caller::Caller,
    id::{CarrierId, CompanyId, FollowerKeyring, OfficialAccountId},
    phone_number::PhoneNumber,
    vault::{MasterKeys, ReviewSeals},
};
use musubi_runtime::{
    Clock as _, SystemClock,
    config::{Endpoint, Secret},
    entropy,
    grpc::client::{ClientOptions, PeerChannel, connect},
    tls::{Identity, TlsConfig, authority::Authority},
};
use musubi_storage::{
    information::FollowerKey,
    vault::{Schedule, VaultOptions},
};
use serde_json::{Value, json};

use super::{crowd::KEY_DIGITS, site::Place};
use crate::cluster::secret;

/// The people and what they are called, as one company sees it.
#[derive(Clone)]
pub(super) struct World {
    pub(super) company: CompanyId,
    pub(super) account: OfficialAccountId,
    pub(super) carrier: CarrierId,
    /// Whoever is at the server: this company and its neighbours.
    tenants: Vec<(CompanyId, OfficialAccountId)>,
    authority: Arc<Authority>,
    pub(super) keyring: FollowerKeyring,
    follower_secret: String,
    /// The master keys of the nodes' databases.
    pub(super) master: Secret,
}

impl World {
    /// With fresh secrets, and an authority in this folder.
    pub(super) fn new(folder: &Path) -> Result<Self, Error> {
        let follower_secret = secret();
        let (company, account): (CompanyId, OfficialAccountId) = ("aoba-bank".parse()?, "aoba-bank".parse()?);
        Ok(Self {
            tenants: vec![(company.clone(), account.clone())],
            company,
            account,
            carrier: "kumo".parse()?,
            authority: Arc::new(Authority::temporary(&folder.join("tls"))?),
            keyring: FollowerKeyring::new(follower_secret.as_bytes())?,
            follower_secret,
            master: Secret::new(secret() + &secret()),
        })
    }

    /// The same as a new neighbour sees it, a company with an account of the same name.
    pub(super) fn joined_by(&mut self, neighbour: &str) -> Result<Self, Error> {
        let (company, account): (CompanyId, OfficialAccountId) = (neighbour.parse()?, neighbour.parse()?);
        self.tenants.push((company.clone(), account.clone()));
        Ok(Self { company, account, ..self.clone() })
    }

    /// A follower's number and key.
    pub(super) fn follower(&self, place: u64) -> Result<(FollowerKey, PhoneNumber), Error> {
        let number: PhoneNumber = number(place).parse()?;
        let follower = self.keyring.follower(&self.account, &number);
        Ok((FollowerKey { account: self.account.clone(), follower }, number))
    }

    /// The company's server, as others know it.
    pub(super) fn company_server(&self) -> Caller {
        Caller::Company(self.company.clone())
    }

    /// The carrier, as others know it.
    pub(super) fn carrier_node(&self) -> Caller {
        Caller::Carrier(self.carrier.clone())
    }

    /// To be called, or to call, as this party.
    pub(super) fn identity(&self, party: &Caller) -> Result<Identity, Error> {
        self.authority.identity(party)
    }

    /// The way to a node, which this party takes.
    pub(super) fn channel(
        &self,
        from: &Caller,
        to: &Endpoint,
        deadline: Duration,
    ) -> Result<PeerChannel, Error> {
        connect(&self.identity(from)?, to, None, ClientOptions { deadline })
    }

    /// `[tls]` of a node's configuration.
    pub(super) fn tls(&self, party: &Caller) -> Result<TlsConfig, Error> {
        self.authority.issue_temporary(party)
    }

    /// What the nodes seal with, for whoever fills a database before its node starts.
    pub(super) fn vault(&self) -> Result<VaultOptions, Error> {
        Ok(VaultOptions {
            companies: self.tenants.iter().map(|(company, _)| company.clone()).collect(),
            accounts: self
                .tenants
                .iter()
                .map(|(company, account)| (account.clone(), company.clone()))
                .collect(),
            ..vault(&self.master)?
        })
    }

    /// The configuration of an information-management server; without what its process adds.
    pub(super) fn information(
        &self,
        place: &Place,
        carrier: &Endpoint,
        lists_every: &str,
    ) -> Result<Value, Error> {
        let company = |(company, _): &(CompanyId, OfficialAccountId)| {
            json!({
                "id": company,
                "matching": "custody",
                "endpoint": "https://127.0.0.1:9",
                "account_digits": KEY_DIGITS,
                "branch_digits": 3,
                "methods": ["jpki", "carrier"],
                "company_limit": 1_000_000_000_u64,
                "second_person_above": 1_000_000_000,
            })
        };
        let account = |(company, account): &(CompanyId, OfficialAccountId)| json!({ "id": account, "company": company, "display_name": "青葉銀行", "carriers": [self.carrier] });
        Ok(json!({
            "database": place.configuration(),
            "tls": self.tls(&Caller::Information)?,
            "keys": { "follower": self.follower_secret, "token": secret(), "master": [self.master.expose()], "audit": [secret()] },
            "lists": { "every": lists_every },
            "company": self.tenants.iter().map(company).collect::<Vec<_>>(),
            "official_account": self.tenants.iter().map(account).collect::<Vec<_>>(),
            "carrier": [{
                "id": self.carrier,
                "endpoint": carrier.as_str(),
                "verification_url": format!("https://{{method}}.{}.musubi.test/verify", self.carrier),
            }],
        }))
    }
}

/// What seals under this master key, for nobody yet.
pub(super) fn vault(master: &Secret) -> Result<VaultOptions, Error> {
    Ok(VaultOptions {
        service: Arc::new(MasterKeys::new(&[master.expose().as_bytes()])?),
        random: entropy::bytes::<32>,
        now: Arc::new(|| SystemClock.now()),
        schedule: Schedule::of_days(0, 1),
        companies: Vec::new(),
        accounts: Vec::new(),
        reviews_before: ReviewSeals::default(),
    })
}

/// The phone number of a place, E.164; numbers ascend with places.
pub(super) fn number(place: u64) -> String {
    format!("+8190{place:08}")
}

/// The place of a phone number.
pub(super) fn place_of(number: &str) -> Option<u64> {
    number.strip_prefix("+8190")?.parse().ok()
}
