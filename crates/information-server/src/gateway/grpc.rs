//! A carrier that speaks the Musubi carrier contract.

use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};
use jiff::SignedDuration;
use musubi_domain::{
    Error, ErrorKind,
    delivery::Addressed,
    id::{CarrierId, OfficialAccountId},
    silence::Recycling,
};
use musubi_proto::{
    carrier::v1::{
        self as wire, CheckNumbersRequest, FetchSubscriberListRequest, ListVerificationKeysRequest,
        PutOfficialAccountRequest, RevokeMessagesRequest, SendDecision, SendMessagesRequest,
        fetch_subscriber_list_response::Part, message_service_client::MessageServiceClient,
        number_service_client::NumberServiceClient,
        subscriber_list_service_client::SubscriberListServiceClient,
        verification_service_client::VerificationServiceClient,
    },
    convert::{
        carrier::recycling,
        content::{instant, timestamp},
    },
    r#type::v1::TrafficType,
};
use musubi_runtime::grpc::{
    MAX_MESSAGE_BYTES,
    client::PeerChannel,
    status::{from_status, retry_after},
};

use super::{
    CarrierGateway, ListPart, NumberCheck, NumberStatus, OutgoingMessage, Traffic, Verdict, VerificationKey,
};

/// How long to wait where a carrier throttles and doesn't say.
const THROTTLED: SignedDuration = SignedDuration::from_secs(1);

/// A carrier behind gRPC.
#[derive(Clone, Debug)]
pub struct GrpcCarrier {
    carrier: CarrierId,
    channel: PeerChannel,
}

impl GrpcCarrier {
    /// Calls go through this channel, which carries the token and the deadline.
    #[must_use]
    pub const fn new(carrier: CarrierId, channel: PeerChannel) -> Self {
        Self { carrier, channel }
    }
}

#[async_trait]
impl CarrierGateway for GrpcCarrier {
    fn carrier(&self) -> &CarrierId {
        &self.carrier
    }

    async fn open_account(&self, account: &OfficialAccountId, display_name: &str) -> Result<(), Error> {
        let request = PutOfficialAccountRequest {
            official_account: account.to_string(),
            display_name: display_name.to_owned(),
        };
        SubscriberListServiceClient::new(self.channel.clone())
            .put_official_account(request)
            .await
            .map(drop)
            .map_err(|status| from_status(&status))
    }

    async fn fetch_list(
        &self,
        account: &OfficialAccountId,
    ) -> Result<BoxStream<'static, Result<ListPart, Error>>, Error> {
        let request = FetchSubscriberListRequest { official_account: account.to_string() };
        let parts = SubscriberListServiceClient::new(self.channel.open_ended())
            .fetch_subscriber_list(request)
            .await
            .map_err(|status| from_status(&status))?
            .into_inner();
        let read = |part: Result<wire::FetchSubscriberListResponse, tonic::Status>| {
            part.map_err(|status| from_status(&status)).and_then(list_part)
        };
        Ok(parts.map(read).boxed())
    }

    async fn send(
        &self,
        account: &OfficialAccountId,
        messages: Vec<OutgoingMessage>,
    ) -> Result<Vec<Verdict>, Error> {
        let count = messages.len();
        let request = SendMessagesRequest {
            official_account: account.to_string(),
            messages: messages.into_iter().map(outgoing).collect(),
        };
        let answer = MessageServiceClient::new(self.channel.clone())
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
            .send_messages(request)
            .await;
        let response = match answer {
            Ok(response) => response.into_inner(),
            Err(status) => {
                let error = from_status(&status);
                if error.kind == ErrorKind::ResourceExhausted {
                    let wait = retry_after(&status).unwrap_or(THROTTLED);
                    return Ok(vec![Verdict::Throttled(wait); count]);
                }
                return Err(error);
            }
        };
        if response.verdicts.len() != count {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("{} verdicts for {count} messages", response.verdicts.len()),
                "send the same messages again",
            ));
        }
        Ok(response.verdicts.iter().map(verdict).collect())
    }

    async fn revoke(&self, account: &OfficialAccountId, messages: &[Addressed]) -> Result<Vec<bool>, Error> {
        let request = RevokeMessagesRequest {
            official_account: account.to_string(),
            message_ids: messages.iter().map(|message| message.message_id.to_string()).collect(),
        };
        MessageServiceClient::new(self.channel.clone())
            .revoke_messages(request)
            .await
            .map(|response| response.into_inner().revoked)
            .map_err(|status| from_status(&status))
    }

    async fn verification_keys(&self) -> Result<Vec<VerificationKey>, Error> {
        let response = VerificationServiceClient::new(self.channel.clone())
            .list_verification_keys(ListVerificationKeysRequest {})
            .await
            .map_err(|status| from_status(&status))?
            .into_inner();
        response
            .keys
            .into_iter()
            .map(|key| {
                let method = key.method().try_into()?;
                let wire::VerificationKey { key_id, issuer, public_key_pem, .. } = key;
                Ok(VerificationKey { key_id, issuer, method, public_key_pem })
            })
            .collect()
    }
}

#[async_trait]
impl NumberStatus for GrpcCarrier {
    async fn check(&self, checks: &[NumberCheck]) -> Result<Vec<Recycling>, Error> {
        let check = |check: &NumberCheck| wire::NumberCheck {
            msisdn: check.number.as_str().to_owned(),
            specified_date: check.since.to_string(),
        };
        let request = CheckNumbersRequest { checks: checks.iter().map(check).collect() };
        let answer = NumberServiceClient::new(self.channel.clone()).check_numbers(request).await;
        let results = answer.map_err(|status| from_status(&status))?.into_inner().results;
        if results.len() != checks.len() {
            let problem = format!("{} results for {} numbers", results.len(), checks.len());
            return Err(Error::new(ErrorKind::Unavailable, problem, "ask again"));
        }
        results.into_iter().map(recycling).collect()
    }
}

fn outgoing(message: OutgoingMessage) -> wire::OutgoingMessage {
    let traffic = match message.traffic {
        Traffic::ServiceRequest => TrafficType::ServiceRequest,
        Traffic::Transaction => TrafficType::Transaction,
        Traffic::Promotion => TrafficType::Promotion,
    };
    wire::OutgoingMessage {
        message_id: message.message_id.to_string(),
        msisdn: message.number.as_str().to_owned(),
        content: Some(message.content.into()),
        traffic_type: traffic.into(),
        expire_time: Some(timestamp(message.expire_time)),
    }
}

fn verdict(verdict: &wire::SendVerdict) -> Verdict {
    match verdict.decision() {
        SendDecision::Accepted | SendDecision::Duplicate => Verdict::Accepted,
        SendDecision::Refused => Verdict::Refused,
        SendDecision::Unreachable => Verdict::Unreachable,
        SendDecision::Throttled => {
            let wait = verdict.retry_after.as_ref().map(|wait| SignedDuration::new(wait.seconds, wait.nanos));
            Verdict::Throttled(wait.filter(SignedDuration::is_positive).unwrap_or(THROTTLED))
        }
        SendDecision::Unspecified => Verdict::Throttled(THROTTLED),
    }
}

fn list_part(part: wire::FetchSubscriberListResponse) -> Result<ListPart, Error> {
    match part.part {
        Some(Part::Header(header)) => Ok(ListPart::Header {
            generation: header.generation,
            as_of: instant(header.as_of_time.as_ref(), "as_of_time")?,
        }),
        Some(Part::Page(page)) => Ok(ListPart::Page {
            page_number: page.page_number,
            numbers: page.msisdns.iter().map(|number| number.parse()).collect::<Result<_, _>>()?,
        }),
        Some(Part::End(end)) => Ok(ListPart::End { count: end.count, digest: end.digest }),
        None => Err(Error::invalid("part", "a part is empty", "send a header, pages and an end")),
    }
}
