//! `NumberService`: whether numbers changed hands, from what the carrier knows of who has them.
//!
//! Surprising: the answer is about the whole day that is named, so a number that changed hands on that very day is recycled, whatever
//! the hour of whoever asks.

use std::sync::Arc;

use musubi_domain::{
    Error,
    phone_number::PhoneNumber,
    silence::{Recycling, beginning},
};
use musubi_proto::{
    carrier::v1::{
        CheckNumbersRequest, CheckNumbersResponse, NumberCheck, NumberRecycling,
        number_service_server::NumberService,
    },
    convert::carrier::specified_date,
};
use musubi_runtime::{Clock, grpc::status::to_status};
use musubi_storage::carrier::CarrierStore;
use tonic::{Request, Response, Status};

use crate::wire;

pub(crate) struct Numbers {
    pub(crate) store: Arc<dyn CarrierStore>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[tonic::async_trait]
impl NumberService for Numbers {
    async fn check_numbers(
        &self,
        request: Request<CheckNumbersRequest>,
    ) -> Result<Response<CheckNumbersResponse>, Status> {
        let results = self.check(request.into_inner().checks).await.map_err(to_status)?;
        Ok(Response::new(CheckNumbersResponse { results }))
    }
}

impl Numbers {
    async fn check(&self, checks: Vec<NumberCheck>) -> Result<Vec<i32>, Error> {
        wire::check_count(checks.len(), "checks")?;
        let read = |(index, check): (usize, &NumberCheck)| {
            let at = |error: Error, field: &str| error.at(format!("checks[{index}].{field}"));
            let number: PhoneNumber = check.msisdn.parse().map_err(|error| at(error, "msisdn"))?;
            let date = specified_date(&check.specified_date).map_err(|error| at(error, "specified_date"))?;
            Ok((number, beginning(date)))
        };
        let checks = checks.iter().enumerate().map(read).collect::<Result<Vec<_>, Error>>()?;
        let numbers: Vec<_> = checks.iter().map(|(number, _)| *number).collect();
        let now = self.clock.now();
        let tenures = self.store.find_tenures(&numbers).await?;
        let results = tenures.into_iter().zip(&checks).map(|(tenure, (_, since))| {
            let recycling = tenure.map_or(Recycling::NotFound, |tenure| tenure.since(*since, now));
            NumberRecycling::from(recycling).into()
        });
        Ok(results.collect())
    }
}
