//! The customer master: entrusted as a company does it, while it is made.
//!
//! Surprising: there are about four times as many customers as followers, because a population has all kinds of people, and only those
//! who can be confirmed are played.

use futures::StreamExt as _;
use musubi_domain::Error;
use musubi_proto::information::v1::{EntrustCustomersRequest, custody_service_client::CustodyServiceClient};
use musubi_runtime::grpc::MAX_MESSAGE_BYTES;
use tokio::sync::mpsc;

use super::super::{
    crowd::{self, Answer},
    site::{Node, broken},
    world::World,
};
use crate::demo::screen::Screen;

/// Customers of a chunk.
const CHUNK: usize = 1_000;
/// Chunks that wait.
const AHEAD: usize = 4;
/// Customers for each who can be confirmed, about; a few more, so that one part is enough for a small measurement.
const CUSTOMERS_PER_ANSWER: usize = 4;
/// The least of a part.
const LEAST: usize = 200;
/// How long an upload may take.
const UPLOAD: std::time::Duration = std::time::Duration::from_secs(4 * 3600);

/// Entrusts customers until so many of them can be confirmed; gives how many customers, and the answers of those.
pub(super) async fn entrust(
    world: &World,
    node: &Node,
    wanted: u64,
    screen: &Screen,
) -> Result<(u64, Vec<Answer>), Error> {
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    let stage = screen.begin("people", wanted as u64);
    let (chunks, made) = mpsc::channel(AHEAD);
    let making = tokio::task::spawn_blocking(move || make(wanted, &chunks));
    let channel = world.channel(&world.company_server(), node.endpoint(), UPLOAD)?;
    let chunks = futures::stream::unfold(made, async |mut made| made.recv().await.map(|chunk| (chunk, made)));
    let entrusted = CustodyServiceClient::new(channel)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
        .entrust_customers(chunks.boxed())
        .await;
    let answers = making.await.map_err(|error| broken("the making of people", error))??;
    let entrusted = entrusted.map_err(|status| broken("the master is not entrusted", status.message()))?;
    stage.at(answers.len() as u64, "");
    stage.end("");
    Ok((entrusted.into_inner().custody.unwrap_or_default().customers, answers))
}

fn make(wanted: usize, chunks: &mpsc::Sender<EntrustCustomersRequest>) -> Result<Vec<Answer>, Error> {
    let mut answers = Vec::new();
    for number in 0.. {
        let missing = wanted - answers.len();
        if missing == 0 {
            break;
        }
        let rows = crowd::ROWS.min(missing * CUSTOMERS_PER_ANSWER + LEAST);
        let part = crowd::part(number, rows, usize::MAX)?;
        for customers in part.customers.chunks(CHUNK) {
            let customers = customers.iter().cloned().map(Into::into).collect();
            let chunk = EntrustCustomersRequest { lease_seconds: 24 * 3600, customers };
            if chunks.blocking_send(chunk).is_err() {
                // The call has ended, and says why.
                return Ok(answers);
            }
        }
        answers.extend(part.answers.into_iter().filter(|answer| answer.confirmed).take(missing));
    }
    Ok(answers)
}
