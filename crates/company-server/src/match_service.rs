//! S20 by inquiry: whether a person is a customer, as this company's master says.
//!
//! Parses at the door, looks up, has `musubi-matching` decide, records, answers. It decides nothing itself. Surprising: an
//! account number that is too long for this company isn't refused but has no candidates, so that one odd inquiry doesn't stop
//! its batch.

use std::sync::Arc;

use musubi_domain::{Error, ErrorKind, customer::MatchOutcome};
use musubi_matching::{AccountFormat, Candidates, Policy, account_key};
use musubi_proto::{
    company::v1::{MatchCustomersRequest, MatchCustomersResponse, match_service_server::MatchService},
    convert::company::Inquiry,
};
use musubi_runtime::{
    Clock,
    grpc::status::to_status,
    telemetry::{
        context,
        metrics::STORE,
        story::{Step, begin},
    },
};
use musubi_storage::company::{CompanyStore, DecidedInquiry};
use tonic::{Request, Response, Status};

use crate::metrics::DECISIONS;

/// The most inquiries of one call.
const BATCH: usize = 1000;

/// The service.
pub(crate) struct Matches {
    store: Arc<dyn CompanyStore>,
    clock: Arc<dyn Clock>,
    format: AccountFormat,
    policy: Policy,
}

impl Matches {
    pub(crate) fn new(
        store: Arc<dyn CompanyStore>,
        clock: Arc<dyn Clock>,
        format: AccountFormat,
        policy: Policy,
    ) -> Self {
        Self { store, clock, format, policy }
    }

    pub(crate) async fn decide(&self, inquiries: Vec<Inquiry>) -> Result<Vec<DecidedInquiry>, Error> {
        let keys: Vec<Option<String>> = inquiries
            .iter()
            .map(|inquiry| account_key(&inquiry.account.account_number, &self.format).ok())
            .collect();
        let wanted: Vec<&str> = keys.iter().flatten().map(String::as_str).collect();
        let found = STORE.time(["find customers"], self.store.find_by_account_keys(&wanted)).await?;
        let policy = self.policy;
        let decisions = tokio::task::spawn_blocking(move || {
            let candidates: Candidates = found.customers.into_iter().collect();
            let decide = |(inquiry, key): (Inquiry, Option<String>)| {
                let decision =
                    candidates.decide(key.as_deref(), &inquiry.account, &inquiry.identity, &policy)?;
                Ok(DecidedInquiry { inquiry_id: inquiry.inquiry_id, decision })
            };
            inquiries.into_iter().zip(keys).map(decide).collect::<Result<Vec<_>, Error>>()
        });
        let decisions =
            decisions.await.map_err(|_| Error::new(ErrorKind::Internal, "matching panicked", ""))??;
        let record = self.store.record_decisions(found.revision, &decisions, self.clock.now());
        STORE.time(["record decisions"], record).await?;
        Ok(decisions)
    }
}

#[tonic::async_trait]
impl MatchService for Matches {
    async fn match_customers(
        &self,
        request: Request<MatchCustomersRequest>,
    ) -> Result<Response<MatchCustomersResponse>, Status> {
        let (stories, began) = (context::named(&request), begin());
        let inquiries = parse(request.into_inner()).map_err(to_status)?;
        let decisions = self.decide(inquiries).await.map_err(to_status)?;
        for (index, step) in stories.steps(Step::Decide, began) {
            if let Some(decided) = decisions.get(index) {
                step.with("musubi.outcome", decided.decision.outcome.as_str()).tell();
            }
        }
        for outcome in MatchOutcome::ALL {
            let count = decisions.iter().filter(|decided| decided.decision.outcome == outcome).count();
            DECISIONS.add(count as u64, [outcome.as_str()]);
        }
        let decisions = decisions.into_iter().map(|decided| decided.decision.into()).collect();
        Ok(Response::new(MatchCustomersResponse { decisions }))
    }
}

fn parse(request: MatchCustomersRequest) -> Result<Vec<Inquiry>, Error> {
    let count = request.inquiries.len();
    if count > BATCH {
        return Err(Error::invalid(
            "inquiries",
            format!("{count} of them"),
            format!("send at most {BATCH} in one call"),
        ));
    }
    let parse = |(index, inquiry)| {
        Inquiry::try_from(inquiry).map_err(|error: Error| {
            let field = format!("inquiries[{index}].{}", error.field);
            error.at(field)
        })
    };
    request.inquiries.into_iter().enumerate().map(parse).collect()
}
