//! The door for carriers: parses who calls and how much, and passes batches to the units.

#[cfg(test)]
mod tests;
pub(crate) mod webhooks;

use std::sync::Arc;

use musubi_domain::{Error, caller::Caller, id::CarrierId};
use musubi_proto::{
    information::v1::{
        PushAssertionsRequest, PushAssertionsResponse, PushEventsRequest, PushEventsResponse,
        carrier_event_service_server::CarrierEventService,
    },
    r#type::v1::ItemError,
};
use musubi_runtime::grpc::{
    auth,
    denials::{Denial, Denials},
    status::{reason, to_status},
};
use tonic::{Request, Response, Status};

use crate::{
    acquisition::events::{Events, Taken},
    confirmation::assertions::Assertions,
};

/// The largest batch.
const BATCH: usize = 1_000;

/// The service for carriers.
pub(crate) struct CarrierDoor {
    /// Takes events.
    pub(crate) events: Arc<Events>,
    /// Takes assertions.
    pub(crate) assertions: Arc<Assertions>,
    /// Counts what is refused among others that are taken.
    pub(crate) denials: Denials,
}

#[tonic::async_trait]
impl CarrierEventService for CarrierDoor {
    async fn push_events(
        &self,
        request: Request<PushEventsRequest>,
    ) -> Result<Response<PushEventsResponse>, Status> {
        let carrier = auth::carrier(&request)?;
        let events = request.into_inner().events;
        check_size("events", events.len())?;
        let taken = self.events.take(&carrier, events).await.map_err(to_status)?;
        let mut response = PushEventsResponse::default();
        for (index, taken) in taken.into_iter().enumerate() {
            match taken {
                Taken::Now => response.taken += 1,
                Taken::Before => response.repeated_before += 1,
                Taken::Refused(error) => {
                    response.refused.push(self.refuse(&carrier, "PushEvents", index, error));
                }
            }
        }
        Ok(Response::new(response))
    }

    async fn push_assertions(
        &self,
        request: Request<PushAssertionsRequest>,
    ) -> Result<Response<PushAssertionsResponse>, Status> {
        let carrier = auth::carrier(&request)?;
        let assertions = request.into_inner().assertions;
        check_size("assertions", assertions.len())?;
        let verdicts = self.assertions.take(&carrier, assertions).await.map_err(to_status)?;
        let mut response = PushAssertionsResponse::default();
        for (index, verdict) in verdicts.into_iter().enumerate() {
            match verdict {
                Ok(()) => response.taken += 1,
                Err(error) if error.kind == musubi_domain::ErrorKind::Unavailable => {
                    return Err(to_status(error));
                }
                Err(error) => {
                    response.refused.push(self.refuse(&carrier, "PushAssertions", index, error));
                }
            }
        }
        Ok(Response::new(response))
    }
}

fn check_size(field: &str, size: usize) -> Result<(), Status> {
    if size <= BATCH {
        return Ok(());
    }
    Err(to_status(Error::invalid(field, format!("{size} items"), "send at most 1,000 in one call")))
}

impl CarrierDoor {
    /// One of many that is refused: the call goes well, and the door doesn't see it.
    fn refuse(&self, carrier: &CarrierId, method: &'static str, index: usize, error: Error) -> ItemError {
        let (caller, why) = (Caller::Carrier(carrier.clone()), reason(error.kind));
        self.denials.count(Denial::Refused { caller, method: Some(method), why });
        ItemError {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            field: error.field,
            problem: error.problem,
            remedy: error.remedy,
        }
    }
}
