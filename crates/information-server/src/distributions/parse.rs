//! Requests of companies made into what the store takes, or refused with the field at fault.

use jiff::Timestamp;
use musubi_domain::{
    Error, ErrorKind,
    content::{Action, SUGGESTIONS_LIMIT},
    error::shape,
    id::{CompanyId, CustomerId, DistributionId},
    link::LinkHosts,
    template::Template,
};
use musubi_proto::{convert::content::instant, information::v1 as wire};
use musubi_storage::information::distribution::{NewDistribution, Templates};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::directory::Directory;

/// The longest name, in characters.
const NAME_LIMIT: usize = 100;
/// The most customers of one chunk.
const CHUNK_LIMIT: usize = 1_000;

/// A draft as asked. Times are only read here: whether they fit is judged when the draft is known to be new.
pub(super) fn draft(
    directory: &Directory,
    company: CompanyId,
    mut request: wire::CreateDistributionRequest,
    id: DistributionId,
) -> Result<NewDistribution, Error> {
    let request_id = Uuid::parse_str(&request.request_id).map_err(|_| {
        let problem = format!("{} is no UUID", shape(&request.request_id));
        Error::invalid("request_id", problem, "give a new UUID for each distribution")
    })?;
    let account = directory.own_account(&company, &request.official_account)?.id.clone();
    let operator = request.operator.parse()?;
    let hosts = link_hosts(directory, &company)?;
    // The same is the same, whoever asks.
    request.request_id.clear();
    request.operator.clear();
    let digest = Sha256::digest(request.encode_to_vec()).into();
    let length = request.name.chars().count();
    if length == 0 || length > NAME_LIMIT || request.name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "name",
            shape(&request.name),
            "write 1 to 100 characters without control characters",
        ));
    }
    let absent =
        || Error::invalid("uniform", "is absent", "give the message for followers who are not confirmed");
    let uniform = template(request.uniform.ok_or_else(absent)?, hosts, "uniform")?;
    if !uniform.variables().is_empty() {
        let remedy = "say the same to everybody, and put variables into the individual message";
        return Err(Error::invalid("uniform.variables", "the uniform message has no values", remedy));
    }
    let individual =
        request.individual.map(|individual| template(individual, hosts, "individual")).transpose()?;
    if individual.as_ref().is_some_and(|individual| individual.suggestions().len() == SUGGESTIONS_LIMIT) {
        let problem = format!("{SUGGESTIONS_LIMIT} suggestions");
        let remedy = format!("give at most {}; one more says \"this is not me\"", SUGGESTIONS_LIMIT - 1);
        return Err(Error::invalid("individual.suggestions", problem, remedy));
    }
    Ok(NewDistribution {
        id,
        company,
        account,
        request_id,
        digest,
        name: request.name,
        templates: Templates { uniform, individual },
        start_time: optional(request.start_time, "start_time")?,
        expire_time: optional(request.expire_time, "expire_time")?,
        messages_per_second: request.messages_per_second,
        operator,
    })
}

/// Where links of a company's messages may lead.
pub(super) fn link_hosts<'d>(directory: &'d Directory, company: &CompanyId) -> Result<&'d LinkHosts, Error> {
    let unknown = || Error::new(ErrorKind::NotFound, "there is no such company", "");
    directory.company(company).map(|company| &company.link_hosts).ok_or_else(unknown)
}

fn template(template: wire::Template, hosts: &LinkHosts, field: &str) -> Result<Template, Error> {
    Template::try_from(template).and_then(|template| checked(template, hosts)).map_err(|error| {
        let path = format!("{field}.{}", error.field);
        error.at(path)
    })
}

/// The template, if its links lead where the company's may.
fn checked(template: Template, hosts: &LinkHosts) -> Result<Template, Error> {
    hosts.check_text(template.text())?;
    if let Some(url) = template.card().and_then(|card| card.image_url.as_deref()) {
        hosts.check_url(url).map_err(|error| error.at("card.image_url"))?;
    }
    for (at, suggestion) in template.suggestions().iter().enumerate() {
        if let Some(Action::OpenUrl { url, .. }) = &suggestion.action {
            hosts.check_url(url).map_err(|error| {
                let field = format!("suggestions[{at}].{}", error.field);
                error.at(field)
            })?;
        }
    }
    Ok(template)
}

/// A time as stores keep it: whole microseconds, which the very last instants of the calendar don't have.
pub(super) fn optional(
    time: Option<prost_types::Timestamp>,
    field: &str,
) -> Result<Option<Timestamp>, Error> {
    let Some(time) = time else { return Ok(None) };
    Timestamp::from_microsecond(instant(Some(&time), field)?.as_microsecond())
        .map(Some)
        .map_err(|_| Error::invalid(field, "is too late for the calendar", "give an earlier time, or none"))
}

/// One chunk's values, checked against the template and the company's hosts; `chunk` counts from 1 and stands in errors.
pub(super) fn values(
    customers: Vec<wire::CustomerValues>,
    (template, hosts): (&Template, &LinkHosts),
    chunk: u64,
) -> Result<Vec<(CustomerId, Vec<String>)>, Error> {
    if customers.len() > CHUNK_LIMIT {
        let problem = format!("{} customers in chunk {chunk}", customers.len());
        return Err(Error::invalid("customers", problem, "send at most 1,000 in one chunk"));
    }
    let rows = customers.into_iter().enumerate().map(|(index, row)| {
        let at_row = |error: Error| {
            let field = format!("customers[{index}].{}", error.field);
            Error { problem: format!("{}, in chunk {chunk}", error.problem), ..error }.at(field)
        };
        let customer: CustomerId = row.customer_id.parse().map_err(at_row)?;
        template.check_values(&row.values).map_err(at_row)?;
        for (place, value) in row.values.iter().enumerate() {
            hosts.check_text(value).map_err(|error| at_row(error.at(format!("values[{place}]"))))?;
        }
        Ok((customer, row.values))
    });
    rows.collect()
}
