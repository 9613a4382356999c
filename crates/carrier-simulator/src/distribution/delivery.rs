//! Messages to fleets of terminals: first all that wait, then each as it comes.
//!
//! A stream walks the store by the messages' places in the order of delivery, a page at a time, so a slow terminal costs no
//! memory. Surprising: nothing is marked when it is sent; until its phone confirms it, the next stream sends it again.

use std::{sync::Arc, time::Duration};

use musubi_domain::{Error, ErrorKind};
use musubi_proto::carrier::v1::{IncomingMessage, ReceiveMessagesResponse};
use musubi_runtime::{Clock, grpc::status::to_status};
use musubi_storage::carrier::{CarrierStore, FleetName, QueuedMessage};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::fleets::{Fleets, Listener};

/// How often the store is asked although nobody said that there is something.
const ASK_ANYWAY: Duration = Duration::from_secs(2);
/// Responses that wait for a slow terminal.
const RESPONSES_AHEAD: usize = 1;
/// About how many bytes one response holds at most.
const RESPONSE_BYTES: usize = 1 << 20;

/// Begins streams.
#[derive(Clone)]
pub(crate) struct Delivery {
    pub(crate) store: Arc<dyn CarrierStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) fleets: Fleets,
    /// Cancelled when the process is to stop.
    pub(crate) stop: CancellationToken,
}

type Responses = mpsc::Sender<Result<ReceiveMessagesResponse, Status>>;

impl Delivery {
    /// The fleet's stream; an earlier one of the same fleet ends.
    pub(crate) fn begin(&self, fleet: FleetName) -> ReceiverStream<Result<ReceiveMessagesResponse, Status>> {
        let (responses, stream) = mpsc::channel(RESPONSES_AHEAD);
        let (this, listener) = (self.clone(), self.fleets.join(&fleet));
        tokio::spawn(async move {
            let over = async {
                tokio::select! {
                    () = listener.ended.cancelled() => {}
                    () = this.stop.cancelled() => {}
                    () = responses.closed() => {}
                }
            };
            tokio::select! {
                biased;
                () = over => {}
                ended = this.run(&fleet, &listener, &responses) => if let Err(error) = ended {
                    // A terminal that has gone away needs no error.
                    responses.send(Err(to_status(error))).await.unwrap_or_default();
                },
            }
            this.fleets.leave(&fleet, &listener);
        });
        ReceiverStream::new(stream)
    }

    /// Ends only by an error, or when the terminal has gone away.
    async fn run(&self, fleet: &FleetName, listener: &Listener, responses: &Responses) -> Result<(), Error> {
        let mut place = 0;
        loop {
            let queued = self.store.list_queued(fleet, place, self.clock.now()).await?;
            let Some(last) = queued.last() else {
                let woken = tokio::time::timeout(ASK_ANYWAY, listener.wake.notified());
                woken.await.unwrap_or_default();
                continue;
            };
            place = last.sequence;
            for response in in_responses(queued)? {
                if responses.send(Ok(response)).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// The messages in as few responses as their size allows.
fn in_responses(queued: Vec<QueuedMessage>) -> Result<Vec<ReceiveMessagesResponse>, Error> {
    let mut responses = Vec::with_capacity(1);
    let (mut messages, mut bytes) = (Vec::with_capacity(queued.len()), 0);
    for QueuedMessage { display_name, payload, .. } in queued {
        if bytes + payload.len() > RESPONSE_BYTES && !messages.is_empty() {
            responses.push(ReceiveMessagesResponse { messages: std::mem::take(&mut messages) });
            bytes = 0;
        }
        bytes += payload.len();
        let message = IncomingMessage::decode(payload.as_slice())
            .map_err(|_| Error::new(ErrorKind::Internal, "a stored message can't be read", ""))?;
        messages.push(IncomingMessage { display_name, ..message });
    }
    responses.push(ReceiveMessagesResponse { messages });
    Ok(responses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_messages_are_spread_over_responses_in_order() {
        let queued = |sequence: u64| QueuedMessage {
            sequence,
            account: "bank".parse().unwrap(),
            display_name: "名".to_owned(),
            payload: IncomingMessage {
                message_id: sequence.to_string(),
                official_account: "x".repeat(300_000),
                ..Default::default()
            }
            .encode_to_vec(),
        };
        let responses = in_responses((0..7).map(queued).collect()).unwrap();
        assert_eq!(responses.iter().map(|response| response.messages.len()).collect::<Vec<_>>(), [3, 3, 1]);
        let ids: Vec<_> =
            responses.iter().flat_map(|response| &response.messages).map(|it| &it.message_id).collect();
        assert_eq!(ids, ["0", "1", "2", "3", "4", "5", "6"]);
    }
}
