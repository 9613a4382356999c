//! Trials: a distribution sent to a few followers who are named, and what became of it.
//!
//! The numbers that are asked for are read and forgotten: of who doesn't follow nothing is kept but how many they were. Surprising:
//! the account's quiet hours, which hold no distribution back, hold a trial back: nobody's working day begins at night.

use std::collections::HashSet;

use musubi_domain::{
    Error, ErrorKind,
    error::shape,
    id::{CompanyId, DistributionId, FollowerId},
    phone_number::{PhoneNumber, masked},
    trial::{MOST, check_hours},
};
use musubi_proto::{convert::content::timestamp, information::v1 as wire};
use musubi_runtime::entropy;
use musubi_storage::information::trial::{NewTrial, Trial};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Distributions, service::parse_id};

/// The most trials of one list.
const LIST_LIMIT: u32 = 20;

impl Distributions {
    pub(super) async fn try_it(
        &self,
        company: CompanyId,
        mut request: wire::TryDistributionRequest,
    ) -> Result<wire::TryDistributionResponse, Error> {
        let now = self.clock.now();
        let of = parse_id(&request.distribution_id)?;
        let request_id = Uuid::parse_str(&request.request_id).map_err(|_| {
            let problem = format!("{} is no UUID", shape(&request.request_id));
            Error::invalid("request_id", problem, "give a new UUID for each trial")
        })?;
        let operator = request.operator.parse()?;
        let numbers = numbers(&request.phone_numbers)?;
        let found = self.store.get_distribution(&company, of).await?;
        let absent = || Error::new(ErrorKind::NotFound, "there is no such account", "").at("distribution_id");
        let account = self.directory.account(&found.account).ok_or_else(absent)?;
        check_hours(&account.rules.quiet_hours, now)?;
        // The same is the same, whoever asks.
        request.request_id.clear();
        request.operator.clear();
        let named: Vec<_> = numbers.iter().map(|number| self.keyring.follower(&account.id, number)).collect();
        let mut seen = HashSet::new();
        let new = NewTrial {
            id: DistributionId::new(now, entropy::bytes()),
            company,
            of,
            request_id,
            digest: Sha256::digest(request.encode_to_vec()).into(),
            followers: named.iter().copied().filter(|follower| seen.insert(*follower)).collect(),
            operator,
        };
        let trial = self.store.try_distribution(&new, now).await?;
        self.signals.distributions.raise();
        self.signals.deliveries.raise();
        let reached: HashSet<FollowerId> = trial.recipients.iter().map(|it| it.follower).collect();
        let not_following = (0..).zip(&named).filter(|(_, follower)| !reached.contains(follower));
        Ok(wire::TryDistributionResponse {
            not_following: not_following.map(|(place, _)| place).collect(),
            trial: Some(show(&trial)),
        })
    }

    pub(super) async fn trials(
        &self,
        company: &CompanyId,
        request: &wire::ListTrialsRequest,
    ) -> Result<wire::ListTrialsResponse, Error> {
        let of = parse_id(&request.distribution_id)?;
        let trials = self.store.list_trials(company, of, LIST_LIMIT, self.clock.now()).await?;
        Ok(wire::ListTrialsResponse { trials: trials.iter().map(show).collect() })
    }
}

fn numbers(asked: &[String]) -> Result<Vec<PhoneNumber>, Error> {
    if !(1..=MOST).contains(&asked.len()) {
        let problem = format!("{} numbers", asked.len());
        return Err(Error::invalid("phone_numbers", problem, format!("name 1 to {MOST}")));
    }
    let numbers = asked.iter().enumerate().map(|(place, number)| {
        number.parse().map_err(|error: Error| error.at(format!("phone_numbers[{place}]")))
    });
    numbers.collect()
}

fn show(trial: &Trial) -> wire::Trial {
    let recipients = trial.recipients.iter().map(|it| wire::TrialRecipient {
        follower_id: it.follower.to_string(),
        masked_phone_number: masked(it.number.as_str()),
        kind: it.purpose.as_str().to_owned(),
        state: it.state.as_str().to_owned(),
        why_uniform: it.why_uniform.unwrap_or_default().to_owned(),
    });
    wire::Trial {
        trial_id: trial.id.to_string(),
        operator: trial.operator.to_string(),
        create_time: Some(timestamp(trial.create_time)),
        expire_time: Some(timestamp(trial.expire_time)),
        absent: trial.absent,
        recipients: recipients.collect(),
    }
}
