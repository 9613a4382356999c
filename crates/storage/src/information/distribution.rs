//! Distributions as companies ask for them: drafts, values, commands, previews.
//!
//! Every method is asked with the company that asks; another company's distribution is not found. A running one becomes deliveries
//! in [`delivery`](super::delivery), and comes to its end in [`expansion`](super::expansion). Surprising: deliveries are never
//! counted here, only their tallies read.

use std::{collections::BTreeSet, fmt};

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    Error, ErrorKind,
    approval::{Prepared, Starter, check_starter},
    delivery::{DeliveryState, Purpose},
    distribution::{self, Command, State},
    id::{CompanyId, CustomerId, DistributionId, OfficialAccountId, OperatorName},
    postback::Button,
    template::Template,
};
use uuid::Uuid;

use super::flow::Audit;
use crate::{StoreError, row::list};

/// A draft to be made.
#[derive(Clone, Debug)]
pub struct NewDistribution {
    /// Its id, should the request be new.
    pub id: DistributionId,
    /// Who asks.
    pub company: CompanyId,
    /// Whose followers.
    pub account: OfficialAccountId,
    /// Chosen by who asks; unique in the company.
    pub request_id: Uuid,
    /// SHA-256 of all that is asked: the same request gives the same draft.
    pub digest: [u8; 32],
    /// For people.
    pub name: String,
    /// What it says.
    pub templates: Templates,
    /// Not before.
    pub start_time: Option<Timestamp>,
    /// Not after.
    pub expire_time: Option<Timestamp>,
    /// At most so many messages a second over each carrier; 0: no limit of its own.
    pub messages_per_second: u32,
    /// Who makes it.
    pub operator: OperatorName,
}

/// A command, and whose it is.
#[derive(Clone, Debug)]
pub struct Order {
    /// What to do.
    pub command: Command,
    /// Who says so.
    pub operator: OperatorName,
    /// When more followers than this follow, it is submitted, and somebody starts it who has not prepared it; 0: always.
    pub alone_up_to: u64,
    /// When what they looked at was submitted, in whole microseconds, to start that and nothing else; none: what stands.
    pub looked_at: Option<Timestamp>,
}

/// What a distribution says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Templates {
    /// To everybody who isn't confirmed or has no values.
    pub uniform: Template,
    /// To confirmed followers with values.
    pub individual: Option<Template>,
}

/// How many deliveries say this and stand there.
pub type Counted = (Purpose, DeliveryState, u64);

/// A distribution as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// Which.
    pub id: DistributionId,
    /// Whose followers.
    pub account: OfficialAccountId,
    /// For people.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// Customers with values.
    pub values: u64,
    /// Deliveries by what they say and where they stand; none that counts nothing.
    pub deliveries: Vec<Counted>,
    /// How often each button was tapped; none that never was.
    pub taps: Vec<(Button, u64)>,
    /// When the draft was made.
    pub create_time: Timestamp,
    /// Not before; of a draft as asked.
    pub start_time: Option<Timestamp>,
    /// Not after; of a draft as asked.
    pub expire_time: Option<Timestamp>,
    /// When it was completed or cancelled.
    pub end_time: Option<Timestamp>,
    /// Who made it, gave it values or submitted it, in the order of the names; nobody: it was made before that was kept.
    pub prepared_by: Vec<OperatorName>,
    /// Who submitted it last, and when; none: it is a draft, or was started as one.
    pub submitted: Option<(OperatorName, Timestamp)>,
}

/// Who would get which, if it were sent now. The samples are personal: `Debug` shows how many.
#[derive(Clone, PartialEq, Eq)]
pub struct Preview {
    /// Followers who would get the individual message.
    pub individual: u64,
    /// Followers who would get the uniform one.
    pub uniform: u64,
    /// Of these, followers with a tie and no values.
    pub confirmed_without_values: u64,
    /// Values whose customer is tied to no follower.
    pub values_without_follower: u64,
    /// Values of up to three followers who would get the individual message.
    pub samples: Vec<Vec<String>>,
}

impl fmt::Debug for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preview")
            .field("individual", &self.individual)
            .field("uniform", &self.uniform)
            .field("confirmed_without_values", &self.confirmed_without_values)
            .field("values_without_follower", &self.values_without_follower)
            .field("samples", &self.samples.len())
            .finish()
    }
}

/// Distributions as companies ask for them. Every method is one transaction and gives [`StoreError::Unavailable`] when the
/// database doesn't work: nothing was written.
#[async_trait]
pub trait DistributionStore: Send + Sync {
    /// Makes a draft; the same request again gives the draft that it made.
    ///
    /// # Errors
    /// Refused as `AlreadyExists` at `request_id` when the company used it for another draft; as `InvalidArgument` at
    /// `expire_time` when a new draft would have expired ([`check_times`](musubi_domain::distribution::check_times)).
    async fn create_distribution(
        &self,
        new: &NewDistribution,
        now: Timestamp,
    ) -> Result<Distribution, StoreError>;

    /// Stores values of at most 1,000 customers, each in the order of the individual template; a customer's last ones stand.
    /// Gives how many customers have values now. Who gave how many is in the audit.
    ///
    /// # Errors
    /// Refused as `NotFound` at `distribution_id`; as `FailedPrecondition` when it is no draft.
    async fn put_values(
        &self,
        company: &CompanyId,
        id: DistributionId,
        values: &[(CustomerId, Vec<String>)],
        (operator, now): (&OperatorName, Timestamp),
    ) -> Result<u64, StoreError>;

    /// Obeys a command ([`command`](musubi_domain::distribution::command)); repeatable. Who submits is among those who prepared it; a return forgets that it was
    /// submitted. A start sets the times, unless who gives it may not ([`check_starter`]), which is in the audit, too; a cancel opens the way for
    /// [`withdraw`](super::expansion::ExpansionStore::withdraw).
    ///
    /// # Errors
    /// Refused as `NotFound` at `distribution_id`; as `FailedPrecondition` when the state, the expiry or [`check_starter`] doesn't allow it.
    async fn command_distribution(
        &self,
        company: &CompanyId,
        id: DistributionId,
        order: &Order,
        now: Timestamp,
    ) -> Result<Distribution, StoreError>;

    /// One distribution.
    ///
    /// # Errors
    /// Refused as `NotFound` at `distribution_id`.
    async fn get_distribution(
        &self,
        company: &CompanyId,
        id: DistributionId,
    ) -> Result<Distribution, StoreError>;

    /// The company's distributions, of one account or of all, those that stand there or all, newest first, at most `limit`.
    async fn list_distributions(
        &self,
        company: &CompanyId,
        (account, state): (Option<&OfficialAccountId>, Option<State>),
        limit: u32,
    ) -> Result<Vec<Distribution>, StoreError>;

    /// How many follow an account of the company now: by that a start is judged.
    async fn count_following(
        &self,
        company: &CompanyId,
        account: &OfficialAccountId,
    ) -> Result<u64, StoreError>;

    /// What a distribution says, whosever it is: for who sends it.
    ///
    /// # Errors
    /// Refused as `NotFound` at `distribution_id`.
    async fn get_templates(&self, id: DistributionId) -> Result<Templates, StoreError>;

    /// Who would get which, now; in the audit, because it shows values of confirmed customers.
    ///
    /// # Errors
    /// Refused as `NotFound` at `distribution_id`.
    async fn preview_distribution(
        &self,
        company: &CompanyId,
        id: DistributionId,
        operator: &OperatorName,
        now: Timestamp,
    ) -> Result<Preview, StoreError>;
}

/// The line of the audit that tells what became of a distribution.
pub(crate) fn line(company: &CompanyId, action: &'static str, id: DistributionId) -> Audit {
    Audit { company: Some(company.clone()), key: None, action, detail: id.to_string() }
}

/// The line that tells what a person did to it.
pub(crate) fn line_by(
    company: &CompanyId,
    action: &'static str,
    id: DistributionId,
    operator: &OperatorName,
) -> Audit {
    Audit { detail: format!("{id} by {operator}"), ..line(company, action, id) }
}

/// The line of one that has come to its end: how many messages said what, as it was decided when each left.
pub(crate) fn completed_line(company: &CompanyId, id: DistributionId, deliveries: &[Counted]) -> Audit {
    let told =
        [Purpose::Individual, Purpose::Uniform, Purpose::Undecided].into_iter().filter_map(|purpose| {
            let of_it = deliveries.iter().filter(|(what, ..)| *what == purpose);
            let count: u64 = of_it.map(|(.., count)| count).sum();
            (count > 0).then(|| format!("{count} {}", purpose.as_str()))
        });
    let detail = [id.to_string(), told.collect::<Vec<_>>().join(", ")].join(" ");
    Audit { detail: detail.trim_end().to_owned(), ..line(company, "distribution_completed", id) }
}

/// The line of values that were given.
pub(crate) fn values_line(
    company: &CompanyId,
    id: DistributionId,
    customers: usize,
    operator: &OperatorName,
) -> Audit {
    let detail = format!("{id} {customers} customers by {operator}");
    Audit { detail, ..line(company, "distribution_values", id) }
}

/// Whether this order starts what waits for it, and so is judged by how many follow.
pub(crate) fn is_start(found: &Distribution, order: &Order) -> bool {
    found.state.is_before_start() && order.command == Command::Start
}

/// Whether who gives the order may start it, when so many follow.
pub(crate) fn check_start(found: &Distribution, order: &Order, followers: u64) -> Result<(), Error> {
    let submit_time = found.submitted.as_ref().map(|(_, time)| *time);
    let prepared = Prepared { by: &found.prepared_by, submit_time, followers };
    let starter = Starter { operator: &order.operator, looked_at: order.looked_at };
    check_starter(prepared, starter, order.alone_up_to)
}

/// Who has prepared it, as it is stored, with this person among them.
pub(crate) fn preparers(prepared_by: &[OperatorName], operator: &OperatorName) -> Result<String, StoreError> {
    names(prepared_by.iter().chain([operator]))
}

/// Names as they are stored.
pub(crate) fn names<'a>(names: impl IntoIterator<Item = &'a OperatorName>) -> Result<String, StoreError> {
    let all: BTreeSet<_> = names.into_iter().map(OperatorName::as_str).collect();
    list(&all)
}

/// The id of a request that asked for something else.
pub(crate) fn used() -> Error {
    let remedy = "choose a new request_id, or send the same request again";
    Error::new(ErrorKind::AlreadyExists, "was used for another distribution", remedy).at("request_id")
}

/// Another company's, or nobody's.
pub(crate) fn not_found() -> Error {
    let remedy = "give the id of one of your company's distributions";
    Error::new(ErrorKind::NotFound, "no such distribution", remedy).at("distribution_id")
}

/// Values come before it is submitted.
pub(crate) fn takes_no_values(state: State) -> Error {
    let problem = format!("a {} distribution takes no values", state.as_str());
    let remedy = if state == State::Submitted {
        "send it back, then give it values"
    } else {
        "give values to a draft"
    };
    Error::new(ErrorKind::FailedPrecondition, problem, remedy)
}

/// Obeys an order: moves the distribution, and gives what the audit calls that; none when it stands there already.
pub(crate) fn obey(
    found: &mut Distribution,
    order: &Order,
    now: Timestamp,
) -> Result<Option<&'static str>, Error> {
    let before = found.state;
    found.state = distribution::command(before, order.command)?;
    if found.state == before {
        return Ok(None);
    }
    Ok(Some(match order.command {
        Command::Submit => {
            // What could never be started is told to who submits it.
            distribution::schedule(found.start_time, found.expire_time, now)?;
            if let Err(place) = found.prepared_by.binary_search(&order.operator) {
                found.prepared_by.insert(place, order.operator.clone());
            }
            found.submitted = Some((order.operator.clone(), now));
            "distribution_submitted"
        }
        Command::Return => {
            found.submitted = None;
            "distribution_returned"
        }
        Command::Start => {
            let (start, expire) = distribution::schedule(found.start_time, found.expire_time, now)?;
            (found.start_time, found.expire_time) = (Some(start), Some(expire));
            "distribution_started"
        }
        Command::Pause => "distribution_paused",
        Command::Resume => "distribution_resumed",
        Command::Cancel => {
            found.end_time = Some(now);
            "distribution_cancelled"
        }
    }))
}
