//! A carrier as this server sees it. One implementation for each kind of carrier; which one is configuration.
//!
//! Nothing here decides anything: it carries words to and fro. Surprising: a failure to reach the carrier is an
//! [`Error`] of kind `Unavailable` and says nothing about what the carrier did; the caller sends the same again.

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp, civil::Date};
use musubi_domain::{
    Error, ErrorKind,
    content::Content,
    delivery::Addressed,
    id::{CarrierId, MessageId, OfficialAccountId},
    identity::IdentityMethod,
    phone_number::PhoneNumber,
    silence::Recycling,
};

mod grpc;
pub(crate) mod rbm;

pub use grpc::GrpcCarrier;
pub use rbm::RbmCarrier;

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct OutgoingMessage {
    /// Ours, for ever the same.
    pub message_id: MessageId,
    /// To whom.
    pub number: PhoneNumber,
    /// What it says.
    pub content: Content,
    /// Why it is sent.
    pub traffic: Traffic,
    /// Not after.
    pub expire_time: Timestamp,
}

/// Why a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// A step of a dialogue.
    ServiceRequest,
    /// Individual content.
    Transaction,
    /// Uniform content.
    Promotion,
}

/// What a carrier answers for one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has the message, now or since before.
    Accepted,
    /// It never will.
    Refused,
    /// It reaches nobody there: the number is nobody's, has no RCS, or follows no more.
    Unreachable,
    /// Not now; try again after so long.
    Throttled(SignedDuration),
    /// Nothing is known of what it did with this message, for this kind of reason; what it did with its neighbours is.
    Unknown(ErrorKind),
}

/// One part of a subscriber list's snapshot.
#[derive(Clone, Debug)]
pub enum ListPart {
    /// Comes first.
    Header {
        /// Grows with every change.
        generation: u64,
        /// The moment that the list is of.
        as_of: Timestamp,
    },
    /// Numbers.
    Page {
        /// From 0, without a gap.
        page_number: u32,
        /// Ascending.
        numbers: Vec<PhoneNumber>,
    },
    /// Comes last.
    End {
        /// How many numbers there were.
        count: u64,
        /// SHA-256 over them.
        digest: Vec<u8>,
    },
}

/// The key that one of a carrier's authorities signs with.
#[derive(Clone, Debug)]
pub struct VerificationKey {
    /// Names it.
    pub key_id: String,
    /// Who signs.
    pub issuer: String,
    /// What is verified.
    pub method: IdentityMethod,
    /// P-256, PEM.
    pub public_key_pem: String,
}

/// A number, and since when it may not have changed hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberCheck {
    /// Which.
    pub number: PhoneNumber,
    /// Since the beginning of this day, in UTC.
    pub since: Date,
}

/// Who knows whether numbers changed hands: their carrier. Has the shape of CAMARA's Number Recycling API (r1.3), in batches.
#[async_trait]
pub trait NumberStatus: Send + Sync {
    /// What is known of up to 1,000 numbers, one answer for each, in order. Repeatable.
    ///
    /// # Errors
    /// When nothing is said, or something that can't be believed.
    async fn check(&self, checks: &[NumberCheck]) -> Result<Vec<Recycling>, Error>;
}

/// A carrier.
#[async_trait]
pub trait CarrierGateway: Send + Sync {
    /// Which.
    fn carrier(&self) -> &CarrierId;

    /// Opens an official account, or changes its name. Repeatable.
    ///
    /// # Errors
    /// When the carrier can't be reached or refuses.
    async fn open_account(&self, account: &OfficialAccountId, display_name: &str) -> Result<(), Error>;

    /// Whether the carrier keeps a list of who follows. Where it doesn't, its events and consents that the company has collected are
    /// the list, and [`Self::fetch_list`] is never called.
    fn has_list(&self) -> bool {
        true
    }

    /// Fetches the subscriber list. A stream that ends without [`ListPart::End`] is worth nothing.
    ///
    /// # Errors
    /// When the carrier can't be reached or refuses; also inside the stream.
    async fn fetch_list(
        &self,
        account: &OfficialAccountId,
    ) -> Result<BoxStream<'static, Result<ListPart, Error>>, Error>;

    /// Which of these numbers messages reach now, in order. Asked where there is no list. Repeatable.
    ///
    /// # Errors
    /// When the carrier can't be reached.
    async fn reachable(&self, _: &OfficialAccountId, numbers: &[PhoneNumber]) -> Result<Vec<bool>, Error> {
        Ok(vec![true; numbers.len()])
    }

    /// Sends up to 1,000 messages; one verdict for each, in order: throttled for all when the carrier took nothing because it
    /// was too much. Repeatable.
    ///
    /// # Errors
    /// When nothing is known of what the carrier did.
    async fn send(
        &self,
        account: &OfficialAccountId,
        messages: Vec<OutgoingMessage>,
    ) -> Result<Vec<Verdict>, Error>;

    /// Takes back up to 1,000 messages; whether each could be, in order. Repeatable.
    ///
    /// # Errors
    /// When the carrier can't be reached.
    async fn revoke(&self, account: &OfficialAccountId, messages: &[Addressed]) -> Result<Vec<bool>, Error>;

    /// The keys of the carrier's authorities.
    ///
    /// # Errors
    /// When the carrier can't be reached.
    async fn verification_keys(&self) -> Result<Vec<VerificationKey>, Error>;
}
