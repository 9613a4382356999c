//! S20 by inquiry: whether a person is a customer, as this company's master says.
//!
//! Parses at the door, looks up, has `musubi-matching` decide, records, answers. It decides nothing itself. Surprising: an
//! account number that is too long for this company isn't refused but has no candidates, so that one odd inquiry doesn't stop
//! its batch.

use std::{collections::HashMap, sync::Arc};

use musubi_domain::{
    Error, ErrorKind,
    customer::{Customer, MatchDecision, MatchOutcome},
    identity::{AttestedIdentity, IdentityMethod},
};
use musubi_matching::{
    AccountFormat, AccountText, CustomerRecord, Identity, Outcome, Policy, Strength, account_key, decide,
};
use musubi_proto::{
    company::v1::{MatchCustomersRequest, MatchCustomersResponse, match_service_server::MatchService},
    convert::company::Inquiry,
};
use musubi_runtime::{
    Clock,
    grpc::{auth, status::to_status},
};
use musubi_storage::company::{CompanyStore, DecidedInquiry};
use tonic::{Request, Response, Status};

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

    async fn decide(&self, inquiries: Vec<Inquiry>) -> Result<Vec<DecidedInquiry>, Error> {
        let keys: Vec<Option<String>> = inquiries
            .iter()
            .map(|inquiry| account_key(&inquiry.account.account_number, &self.format).ok())
            .collect();
        let wanted: Vec<&str> = keys.iter().flatten().map(String::as_str).collect();
        let found = self.store.find_by_account_keys(&wanted).await?;
        let policy = self.policy;
        let decisions = tokio::task::spawn_blocking(move || {
            let mut by_key: HashMap<String, Vec<CustomerRecord>> = HashMap::new();
            for customer in found.customers {
                by_key.entry(customer.account_key.clone()).or_default().push(record(customer));
            }
            inquiries
                .into_iter()
                .zip(keys)
                .map(|(inquiry, key)| {
                    let candidates = key.and_then(|key| by_key.get(&key)).map_or(&[][..], Vec::as_slice);
                    decide_one(inquiry, candidates, &policy)
                })
                .collect::<Result<Vec<_>, Error>>()
        });
        let decisions =
            decisions.await.map_err(|_| Error::new(ErrorKind::Internal, "matching panicked", ""))??;
        self.store.record_decisions(found.revision, &decisions, self.clock.now()).await?;
        Ok(decisions)
    }
}

#[tonic::async_trait]
impl MatchService for Matches {
    async fn match_customers(
        &self,
        request: Request<MatchCustomersRequest>,
    ) -> Result<Response<MatchCustomersResponse>, Status> {
        auth::information(&request)?;
        let inquiries = parse(request.into_inner()).map_err(to_status)?;
        let decisions = self.decide(inquiries).await.map_err(to_status)?;
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

fn decide_one(
    inquiry: Inquiry,
    candidates: &[CustomerRecord],
    policy: &Policy,
) -> Result<DecidedInquiry, Error> {
    let account = AccountText {
        branch_number: inquiry.account.branch_number,
        account_number: inquiry.account.account_number,
    };
    let decision = decide(candidates, &account, &identity(inquiry.identity), policy);
    let outcome = match decision.outcome {
        Outcome::Confirmed => MatchOutcome::Confirmed,
        Outcome::Review => MatchOutcome::Review,
        Outcome::Rejected => MatchOutcome::Rejected,
    };
    Ok(DecidedInquiry {
        inquiry_id: inquiry.inquiry_id,
        decision: MatchDecision {
            outcome,
            customer_id: decision.customer_id.map(|id| id.parse()).transpose()?,
            reasons: decision.reasons.into_iter().map(|reason| reason.as_str().to_owned()).collect(),
        },
    })
}

fn record(customer: Customer) -> CustomerRecord {
    CustomerRecord {
        customer_id: customer.customer_id.to_string(),
        name: customer.name,
        name_kana: customer.name_kana,
        birth_date: customer.birth_date,
        address: customer.address,
        branch_number: customer.branch_number,
        account_number: customer.account_number,
    }
}

fn identity(attested: AttestedIdentity) -> Identity {
    Identity {
        name: attested.name,
        name_kana: attested.name_kana,
        birth_date: attested.birth_date,
        address: attested.address,
        strength: match attested.method {
            IdentityMethod::Jpki | IdentityMethod::Carrier => Strength::Strong,
            IdentityMethod::Document => Strength::Weak,
        },
    }
}
