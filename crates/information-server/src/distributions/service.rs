//! `DistributionService`: parses at the door, asks the store, shows what stands.

use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use musubi_domain::{
    Error,
    approval::is_two_peoples,
    delivery::Purpose,
    distribution::Command,
    id::{CompanyId, DistributionId, FollowerKeyring, OperatorName},
    link::LinkHosts,
    postback::Button,
    template::Template,
};
use musubi_proto::{
    convert::{content::timestamp, information::distribution_state},
    information::v1::{self as wire, distribution_service_server::DistributionService},
};
use musubi_runtime::{
    Clock, entropy,
    grpc::{auth, status::to_status},
};
use musubi_storage::information::{
    InformationStore,
    distribution::{Distribution, Order, Preview, Templates},
};
use tonic::{Request, Response, Status, Streaming};

use super::parse;
use crate::{directory::Directory, signal::Signals};

/// The most distributions of one list.
const LIST_LIMIT: u32 = 1_000;

/// What companies ask of distributions.
pub struct Distributions {
    pub(super) store: Arc<dyn InformationStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) directory: Arc<Directory>,
    pub(super) keyring: FollowerKeyring,
    pub(super) signals: Signals,
}

impl Distributions {
    /// Serves what stands in this store, by this clock, to the companies of this directory; the keyring names followers by their numbers.
    #[must_use]
    pub fn new(
        store: Arc<dyn InformationStore>,
        clock: Arc<dyn Clock>,
        directory: Arc<Directory>,
        keyring: FollowerKeyring,
        signals: Signals,
    ) -> Self {
        Self { store, clock, directory, keyring, signals }
    }

    async fn create(
        &self,
        company: CompanyId,
        request: wire::CreateDistributionRequest,
    ) -> Result<Distribution, Error> {
        let now = self.clock.now();
        let id = DistributionId::new(now, entropy::bytes());
        let new = parse::draft(&self.directory, company, request, id)?;
        Ok(self.store.create_distribution(&new, now).await?)
    }

    async fn command(
        &self,
        company: &CompanyId,
        (id, operator): (&str, &str),
        command: Command,
        looked_at: Option<Timestamp>,
    ) -> Result<wire::Distribution, Error> {
        let now = self.clock.now();
        let (id, operator, alone_up_to) = (parse_id(id)?, operator.parse()?, self.alone_up_to(company));
        let order = Order { command, operator, alone_up_to, looked_at };
        let stands = self.store.command_distribution(company, id, &order, now).await?;
        self.signals.distributions.raise();
        self.signals.deliveries.raise();
        Ok(show(stands))
    }

    /// How many followers one person of the company may reach alone; 0: nobody.
    fn alone_up_to(&self, company: &CompanyId) -> u64 {
        let rules = self.directory.company(company).map(|company| company.second_person.clone());
        rules.unwrap_or_default().distribution_above
    }

    async fn get(&self, company: &CompanyId, id: &str) -> Result<wire::GetDistributionResponse, Error> {
        let found = self.store.get_distribution(company, parse_id(id)?).await?;
        let templates = self.store.get_templates(found.id).await?;
        let needs_second_person = found.state.is_before_start() && {
            let following = self.store.count_following(company, &found.account).await?;
            is_two_peoples(following, self.alone_up_to(company))
        };
        Ok(wire::GetDistributionResponse {
            distribution: Some(show(found)),
            uniform: Some(templates.uniform.into()),
            individual: templates.individual.map(Into::into),
            needs_second_person,
        })
    }

    /// Stores chunk after chunk: the next is read when the last is stored.
    pub(super) async fn upload(
        &self,
        company: &CompanyId,
        chunks: impl Stream<Item = Result<wire::UploadValuesRequest, Status>>,
    ) -> Result<u64, Status> {
        let mut chunks = std::pin::pin!(chunks.zip(futures::stream::iter(1..)));
        let hosts = parse::link_hosts(&self.directory, company).map_err(to_status)?;
        let mut upload: Option<Upload> = None;
        let mut stored = 0;
        while let Some((chunk, count)) = chunks.next().await {
            let chunk = chunk?;
            let upload = match &mut upload {
                Some(upload) => upload,
                None => upload.insert(self.begin_upload(company, &chunk).await.map_err(to_status)?),
            };
            let values = upload.check(chunk, hosts, count).map_err(to_status)?;
            let by = (&upload.operator, self.clock.now());
            stored = self.store.put_values(company, upload.id, &values, by).await.map_err(to_status)?;
        }
        match upload {
            Some(_) => Ok(stored),
            None => {
                let remedy = "send at least one chunk with the id of a draft";
                Err(to_status(Error::invalid("distribution_id", "the stream was empty", remedy)))
            }
        }
    }

    async fn begin_upload(
        &self,
        company: &CompanyId,
        first: &wire::UploadValuesRequest,
    ) -> Result<Upload, Error> {
        let id = parse_id(&first.distribution_id)?;
        let operator = first.operator.parse()?;
        let found = self.store.get_distribution(company, id).await?;
        let Templates { individual, .. } = self.store.get_templates(found.id).await?;
        let template = individual.ok_or_else(|| {
            let problem = "the distribution has no individual message";
            Error::invalid("customers", problem, "make a distribution with one, or send no values")
        })?;
        Ok(Upload { id: found.id, operator, template })
    }

    async fn preview(
        &self,
        company: &CompanyId,
        request: &wire::PreviewDistributionRequest,
    ) -> Result<wire::PreviewDistributionResponse, Error> {
        let (id, operator) = (parse_id(&request.distribution_id)?, request.operator.parse()?);
        let Preview { individual, uniform, confirmed_without_values, values_without_follower, samples } =
            self.store.preview_distribution(company, id, &operator, self.clock.now()).await?;
        let templates = self.store.get_templates(id).await?;
        let samples = samples
            .iter()
            .flat_map(|values| templates.individual.as_ref().map(|template| template.render(values)))
            .map(|content| content.map(Into::into));
        Ok(wire::PreviewDistributionResponse {
            individual,
            uniform,
            confirmed_without_values,
            values_without_follower,
            individual_samples: samples.collect::<Result<_, _>>()?,
            uniform_sample: Some(templates.uniform.render(&[])?.into()),
        })
    }
}

/// An upload under way.
struct Upload {
    id: DistributionId,
    operator: OperatorName,
    template: Template,
}

impl Upload {
    fn check(
        &self,
        chunk: wire::UploadValuesRequest,
        hosts: &LinkHosts,
        count: u64,
    ) -> Result<Vec<(musubi_domain::id::CustomerId, Vec<String>)>, Error> {
        if parse_id(&chunk.distribution_id)? != self.id {
            let problem = format!("chunk {count} names another distribution than the first");
            return Err(Error::invalid(
                "distribution_id",
                problem,
                "upload values of one distribution in one stream",
            ));
        }
        if chunk.operator != self.operator.as_str() {
            let problem = format!("chunk {count} is another's than the first");
            return Err(Error::invalid("operator", problem, "say the same name in every chunk of a stream"));
        }
        parse::values(chunk.customers, (&self.template, hosts), count)
    }
}

/// An id; one that isn't well-formed belongs to no distribution either.
pub(super) fn parse_id(id: &str) -> Result<DistributionId, Error> {
    id.parse().map_err(|error: Error| Error { kind: musubi_domain::ErrorKind::NotFound, ..error })
}

fn show_taps(button: &Button, count: u64) -> wire::TapCount {
    let purpose = if button.individual { Purpose::Individual } else { Purpose::Uniform };
    wire::TapCount { kind: purpose.as_str().to_owned(), place: button.place.into(), count }
}

fn show(distribution: Distribution) -> wire::Distribution {
    let counts = distribution.deliveries.iter().map(|(purpose, state, count)| wire::DeliveryCount {
        kind: purpose.as_str().to_owned(),
        state: state.as_str().to_owned(),
        count: *count,
    });
    wire::Distribution {
        distribution_id: distribution.id.to_string(),
        official_account: distribution.account.to_string(),
        name: distribution.name,
        state: wire::DistributionState::from(distribution.state).into(),
        values: distribution.values,
        created: distribution.deliveries.iter().map(|(_, _, count)| count).sum(),
        deliveries: counts.collect(),
        create_time: Some(timestamp(distribution.create_time)),
        start_time: distribution.start_time.map(timestamp),
        expire_time: distribution.expire_time.map(timestamp),
        end_time: distribution.end_time.map(timestamp),
        taps: distribution.taps.iter().map(|(button, count)| show_taps(button, *count)).collect(),
        submit_time: distribution.submitted.as_ref().map(|(_, time)| timestamp(*time)),
        submitted_by: distribution.submitted.map(|(by, _)| by.to_string()).unwrap_or_default(),
        prepared_by: distribution.prepared_by.iter().map(ToString::to_string).collect(),
    }
}

#[tonic::async_trait]
impl DistributionService for Distributions {
    async fn create_distribution(
        &self,
        request: Request<wire::CreateDistributionRequest>,
    ) -> Result<Response<wire::CreateDistributionResponse>, Status> {
        let company = auth::company(&request)?;
        let made = self.create(company, request.into_inner()).await.map_err(to_status)?;
        Ok(Response::new(wire::CreateDistributionResponse { distribution: Some(show(made)) }))
    }

    async fn upload_values(
        &self,
        request: Request<Streaming<wire::UploadValuesRequest>>,
    ) -> Result<Response<wire::UploadValuesResponse>, Status> {
        let company = auth::company(&request)?;
        let values = self.upload(&company, request.into_inner()).await?;
        Ok(Response::new(wire::UploadValuesResponse { values }))
    }

    async fn preview_distribution(
        &self,
        request: Request<wire::PreviewDistributionRequest>,
    ) -> Result<Response<wire::PreviewDistributionResponse>, Status> {
        let company = auth::company(&request)?;
        self.preview(&company, &request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn try_distribution(
        &self,
        request: Request<wire::TryDistributionRequest>,
    ) -> Result<Response<wire::TryDistributionResponse>, Status> {
        let company = auth::company(&request)?;
        self.try_it(company, request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn list_trials(
        &self,
        request: Request<wire::ListTrialsRequest>,
    ) -> Result<Response<wire::ListTrialsResponse>, Status> {
        let company = auth::company(&request)?;
        self.trials(&company, request.get_ref()).await.map(Response::new).map_err(to_status)
    }

    async fn submit_distribution(
        &self,
        request: Request<wire::SubmitDistributionRequest>,
    ) -> Result<Response<wire::SubmitDistributionResponse>, Status> {
        let company = auth::company(&request)?;
        let wire::SubmitDistributionRequest { distribution_id, operator } = request.into_inner();
        let what = (distribution_id.as_str(), operator.as_str());
        let stands = self.command(&company, what, Command::Submit, None).await.map_err(to_status)?;
        Ok(Response::new(wire::SubmitDistributionResponse { distribution: Some(stands) }))
    }

    async fn return_distribution(
        &self,
        request: Request<wire::ReturnDistributionRequest>,
    ) -> Result<Response<wire::ReturnDistributionResponse>, Status> {
        let company = auth::company(&request)?;
        let wire::ReturnDistributionRequest { distribution_id, operator } = request.into_inner();
        let what = (distribution_id.as_str(), operator.as_str());
        let stands = self.command(&company, what, Command::Return, None).await.map_err(to_status)?;
        Ok(Response::new(wire::ReturnDistributionResponse { distribution: Some(stands) }))
    }

    async fn start_distribution(
        &self,
        request: Request<wire::StartDistributionRequest>,
    ) -> Result<Response<wire::StartDistributionResponse>, Status> {
        let company = auth::company(&request)?;
        let wire::StartDistributionRequest { distribution_id, operator, submit_time } = request.into_inner();
        let what = (distribution_id.as_str(), operator.as_str());
        let looked_at = parse::optional(submit_time, "submit_time").map_err(to_status)?;
        let stands = self.command(&company, what, Command::Start, looked_at).await.map_err(to_status)?;
        Ok(Response::new(wire::StartDistributionResponse { distribution: Some(stands) }))
    }

    async fn pause_distribution(
        &self,
        request: Request<wire::PauseDistributionRequest>,
    ) -> Result<Response<wire::PauseDistributionResponse>, Status> {
        let company = auth::company(&request)?;
        let wire::PauseDistributionRequest { distribution_id, operator } = request.into_inner();
        let what = (distribution_id.as_str(), operator.as_str());
        let stands = self.command(&company, what, Command::Pause, None).await.map_err(to_status)?;
        Ok(Response::new(wire::PauseDistributionResponse { distribution: Some(stands) }))
    }

    async fn resume_distribution(
        &self,
        request: Request<wire::ResumeDistributionRequest>,
    ) -> Result<Response<wire::ResumeDistributionResponse>, Status> {
        let company = auth::company(&request)?;
        let wire::ResumeDistributionRequest { distribution_id, operator } = request.into_inner();
        let what = (distribution_id.as_str(), operator.as_str());
        let stands = self.command(&company, what, Command::Resume, None).await.map_err(to_status)?;
        Ok(Response::new(wire::ResumeDistributionResponse { distribution: Some(stands) }))
    }

    async fn cancel_distribution(
        &self,
        request: Request<wire::CancelDistributionRequest>,
    ) -> Result<Response<wire::CancelDistributionResponse>, Status> {
        let company = auth::company(&request)?;
        let wire::CancelDistributionRequest { distribution_id, operator } = request.into_inner();
        let what = (distribution_id.as_str(), operator.as_str());
        let stands = self.command(&company, what, Command::Cancel, None).await.map_err(to_status)?;
        Ok(Response::new(wire::CancelDistributionResponse { distribution: Some(stands) }))
    }

    async fn get_distribution(
        &self,
        request: Request<wire::GetDistributionRequest>,
    ) -> Result<Response<wire::GetDistributionResponse>, Status> {
        let company = auth::company(&request)?;
        self.get(&company, &request.get_ref().distribution_id).await.map(Response::new).map_err(to_status)
    }

    async fn list_distributions(
        &self,
        request: Request<wire::ListDistributionsRequest>,
    ) -> Result<Response<wire::ListDistributionsResponse>, Status> {
        let company = auth::company(&request)?;
        let wire::ListDistributionsRequest { official_account, state } = request.into_inner();
        let account = match official_account.as_str() {
            "" => None,
            named => Some(&self.directory.own_account(&company, named).map_err(to_status)?.id),
        };
        let which = (account, distribution_state(state).map_err(to_status)?);
        let found = self.store.list_distributions(&company, which, LIST_LIMIT).await.map_err(to_status)?;
        Ok(Response::new(wire::ListDistributionsResponse {
            distributions: found.into_iter().map(show).collect(),
        }))
    }
}
