//! `HandsetService`: the network as a fleet of terminals sees it. Actions go to [acquisition](crate::acquisition), messages
//! come from [distribution](crate::distribution).

use musubi_proto::carrier::v1::{
    ReceiveMessagesRequest, ReceiveMessagesResponse, SubmitActionsRequest, SubmitActionsResponse,
    handset_service_server::HandsetService,
};
use musubi_runtime::grpc::status::to_status;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::{acquisition::Acquisition, distribution::Delivery};

pub(crate) struct Handset {
    pub(crate) acquisition: Acquisition,
    pub(crate) delivery: Delivery,
}

#[tonic::async_trait]
impl HandsetService for Handset {
    type ReceiveMessagesStream = ReceiverStream<Result<ReceiveMessagesResponse, Status>>;

    async fn submit_actions(
        &self,
        request: Request<SubmitActionsRequest>,
    ) -> Result<Response<SubmitActionsResponse>, Status> {
        let applied = self.acquisition.submit(request.into_inner()).await.map_err(to_status)?;
        Ok(Response::new(SubmitActionsResponse { applied }))
    }

    async fn receive_messages(
        &self,
        request: Request<ReceiveMessagesRequest>,
    ) -> Result<Response<Self::ReceiveMessagesStream>, Status> {
        let fleet = request.into_inner().fleet.parse().map_err(to_status)?;
        Ok(Response::new(self.delivery.begin(fleet)))
    }
}
