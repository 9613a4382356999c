//! `musubi distributions test`: a distribution is sent to a few phones that are named, before everybody gets it.
//!
//! Surprising: what is typed wrong is refused before anything is sent; and the command waits a little, because what became of a message is known
//! only afterwards.

use std::{io::Write, time::Duration};

use clap::Args;
use musubi_domain::{Error, phone_number::PhoneNumber, trial::MOST};
use musubi_proto::information::v1::{
    ListTrialsRequest, Trial, TryDistributionRequest, distribution_service_client::DistributionServiceClient,
};
use musubi_runtime::{entropy, grpc::client::PeerChannel};
use uuid::Uuid;

use super::{
    Ending,
    listing::{Format, Listing},
    refused, unwritten,
};

/// How often what became of it is looked at, and how long.
const LOOKS: (Duration, u32) = (Duration::from_millis(500), 20);

#[derive(Debug, Args)]
pub(super) struct Try {
    /// dst_ and 32 hexadecimal digits: a draft, or one that waits for its start.
    distribution_id: String,
    /// The number of a follower of the account, as +819012345678; up to 20, each once. Who is a confirmed customer with values gets the
    /// individual message with these, everybody else the uniform one.
    #[arg(long = "to", value_name = "NUMBER", required = true)]
    to: Vec<PhoneNumber>,
    /// The same id again sends nothing again, and shows how it stands; without it, each call is a new one.
    #[arg(long, value_name = "UUID")]
    request_id: Option<Uuid>,
    /// How to write what became of it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Try {
    /// Sends it, and waits some seconds for what becomes of it. Refused: somebody who was named got nothing.
    pub(super) async fn run(
        self,
        mut client: DistributionServiceClient<PeerChannel>,
        out: &mut dyn Write,
    ) -> Result<Ending, Error> {
        if self.to.len() > MOST {
            let problem = format!("{} numbers", self.to.len());
            return Err(Error::invalid("--to", problem, format!("name at most {MOST}")));
        }
        let request_id =
            self.request_id.unwrap_or_else(|| uuid::Builder::from_random_bytes(entropy::bytes()).into_uuid());
        let request = TryDistributionRequest {
            request_id: request_id.to_string(),
            distribution_id: self.distribution_id.clone(),
            phone_numbers: self.to.iter().map(|number| number.as_str().to_owned()).collect(),
            operator: String::new(),
        };
        let answer = client.try_distribution(request).await.map_err(refused)?.into_inner();
        let absent =
            answer.not_following.iter().filter_map(|place| self.to.get(usize::try_from(*place).ok()?));
        let absent: Vec<_> = absent.map(|number| number.as_str().to_owned()).collect();
        let mut trial = answer.trial.unwrap_or_default();
        for _ in 0..LOOKS.1 {
            if !trial
                .recipients
                .iter()
                .any(|it| ["queued", "sending", "accepted"].contains(&it.state.as_str()))
            {
                break;
            }
            tokio::time::sleep(LOOKS.0).await;
            let request = ListTrialsRequest { distribution_id: self.distribution_id.clone() };
            let listed = client.list_trials(request).await.map_err(refused)?.into_inner().trials;
            trial = listed.into_iter().find(|it| it.trial_id == trial.trial_id).unwrap_or(trial);
        }
        show(&trial, &absent, self.format, out)?;
        let sent = |state: &str| ["accepted", "delivered", "displayed"].contains(&state);
        let all = absent.is_empty() && trial.recipients.iter().all(|it| sent(&it.state));
        if !all && self.format == Format::Table {
            let (id, request) = (&self.distribution_id, request_id);
            writeln!(out, "not everybody has it; how it stands: musubi distributions test {id} --request-id {request} with the same numbers")
                .map_err(unwritten)?;
        }
        Ok(if all { Ending::Done } else { Ending::Refused })
    }
}

fn show(trial: &Trial, absent: &[String], format: Format, out: &mut dyn Write) -> Result<(), Error> {
    let mut listing = Listing::new(&["follower", "phone_number", "message", "state", "why"]);
    for it in trial.recipients.clone() {
        listing.add([it.follower_id, it.masked_phone_number, it.kind, it.state, it.why_uniform]);
    }
    for number in absent {
        let [nobody, message] = [String::new(), String::new()];
        listing.add([nobody, number.clone(), message, "not_sent".to_owned(), "not_following".to_owned()]);
    }
    listing.write(format, out)
}
