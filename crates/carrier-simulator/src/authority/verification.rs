//! `VerificationService`: keys for who checks assertions, credentials for persons, and the pages where they use them.
//!
//! A batch of authentications is read and signed outside of any transaction; then one transaction stores its assertions and its
//! answer, unless another call of the same batch was first.

use std::sync::Arc;

use musubi_domain::{Error, ErrorKind};
use musubi_proto::{
    carrier::v1::{
        AuthenticateRequest, AuthenticateResponse, Authentication, ListVerificationKeysRequest,
        ListVerificationKeysResponse, RegisterPersonsRequest, RegisterPersonsResponse,
        verification_service_server::VerificationService,
    },
    convert::content::item_error,
    information::v1::PushAssertionsRequest,
};
use musubi_runtime::{Clock, grpc::status::to_status};
use musubi_storage::carrier::{CarrierStore, Person};
use prost::Message as _;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{
    Authorities,
    assertion::{Visit, sign},
    link::Link,
};
use crate::{outbox::Wake, wire};

/// How many signatures are made in one go off the runtime.
const SIGNED_AT_ONCE: usize = 125;
/// How many assertions one row of the outbox holds, so that it fits into a call.
const ASSERTIONS_IN_ROW: usize = 500;

pub(crate) struct Verification {
    pub(crate) store: Arc<dyn CarrierStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) authorities: Arc<Authorities>,
    pub(crate) assertions: Wake,
}

#[tonic::async_trait]
impl VerificationService for Verification {
    async fn list_verification_keys(
        &self,
        _request: Request<ListVerificationKeysRequest>,
    ) -> Result<Response<ListVerificationKeysResponse>, Status> {
        Ok(Response::new(ListVerificationKeysResponse { keys: self.authorities.public_keys() }))
    }

    async fn register_persons(
        &self,
        request: Request<RegisterPersonsRequest>,
    ) -> Result<Response<RegisterPersonsResponse>, Status> {
        self.register(request.into_inner()).await.map_err(to_status)?;
        Ok(Response::new(RegisterPersonsResponse {}))
    }

    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateResponse>, Status> {
        self.authenticate_all(request.into_inner()).await.map(Response::new).map_err(to_status)
    }
}

/// An authentication's place in its batch, and what became of it so far.
type Numbered<T> = (usize, Result<T, Error>);

impl Verification {
    async fn register(&self, request: RegisterPersonsRequest) -> Result<(), Error> {
        wire::check_count(request.persons.len(), "persons")?;
        let persons = request.persons.into_iter().enumerate().map(|(index, person)| {
            wire::person(person).map_err(|error| {
                let field = format!("persons[{index}].{}", error.field);
                error.at(field)
            })
        });
        let persons = persons.collect::<Result<Vec<_>, _>>()?;
        Ok(self.store.put_persons(&persons).await?)
    }

    async fn authenticate_all(&self, request: AuthenticateRequest) -> Result<AuthenticateResponse, Error> {
        let batch_id = wire::batch_id(&request.batch_id)?;
        wire::check_count(request.authentications.len(), "authentications")?;
        if let Some(answer) = self.store.find_answer(batch_id).await? {
            return read_answer(&answer);
        }
        let visits = self.visits(request.authentications).await?;
        let (mut assertions, mut refused) = (Vec::with_capacity(visits.len()), Vec::new());
        for (index, signed) in self.sign(batch_id, visits).await? {
            match signed {
                Ok(assertion) => assertions.push(assertion),
                Err(error) => refused.push(item_error(index, error)),
            }
        }
        let rows: Vec<_> = assertions
            .chunks(ASSERTIONS_IN_ROW)
            .map(|row| (row.len(), PushAssertionsRequest { assertions: row.to_vec() }.encode_to_vec()))
            .collect();
        let answer = AuthenticateResponse { refused }.encode_to_vec();
        let answer = self.store.put_assertions(batch_id, answer, &rows).await?;
        self.assertions.wake();
        read_answer(&answer)
    }

    /// Reads the links and looks up the credentials.
    async fn visits(&self, authentications: Vec<Authentication>) -> Result<Vec<Numbered<Visit>>, Error> {
        let read = |it: &Authentication| -> Result<_, Error> {
            let link = Link::parse(&it.url, self.authorities.carrier())?;
            let number = it.msisdn.parse().map_err(|error: Error| error.at("msisdn"))?;
            Ok((link, number))
        };
        let read: Vec<_> = authentications.iter().map(read).collect();
        let asked = read.iter().zip(&authentications).filter_map(|(read, it)| {
            let (link, _) = read.as_ref().ok()?;
            Some((link.method, it.credential_id.as_str()))
        });
        let mut persons: std::vec::IntoIter<Option<Person>> =
            self.store.find_persons(&asked.collect::<Vec<_>>()).await?.into_iter();
        let visits = read.into_iter().zip(authentications).map(|(read, it)| {
            read.map(|(link, number)| Visit { link, number, pin: it.pin, person: persons.next().flatten() })
        });
        Ok(visits.enumerate().collect())
    }

    /// Signs off the runtime, in order, on as many threads as there are.
    async fn sign(
        &self,
        batch_id: Uuid,
        visits: Vec<Numbered<Visit>>,
    ) -> Result<Vec<Numbered<String>>, Error> {
        let now = self.clock.now();
        let mut visits = visits.into_iter();
        let mut works = Vec::new();
        loop {
            let some: Vec<_> = visits.by_ref().take(SIGNED_AT_ONCE).collect();
            if some.is_empty() {
                break;
            }
            let authorities = Arc::clone(&self.authorities);
            works.push(tokio::task::spawn_blocking(move || {
                let sign = |(index, visit): Numbered<Visit>| {
                    let jti = Uuid::new_v5(&batch_id, format!("assertion/{index}").as_bytes());
                    (index, visit.and_then(|visit| sign(&authorities, &visit, jti, now)))
                };
                some.into_iter().map(sign).collect::<Vec<_>>()
            }));
        }
        let mut signed = Vec::new();
        for work in works {
            signed.extend(
                work.await
                    .map_err(|_| Error::new(ErrorKind::Unavailable, "signing was cut off", "repeat"))?,
            );
        }
        // A fault of ours is no refusal: the batch fails, and may be repeated.
        match signed
            .iter()
            .find_map(|(_, it)| it.as_ref().err().filter(|error| error.kind == ErrorKind::Internal))
        {
            Some(fault) => Err(fault.clone()),
            None => Ok(signed),
        }
    }
}

fn read_answer(answer: &[u8]) -> Result<AuthenticateResponse, Error> {
    AuthenticateResponse::decode(answer)
        .map_err(|_| Error::new(ErrorKind::Internal, "a stored answer can't be read", ""))
}
