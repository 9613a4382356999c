//! The nodes as an outsider calls them: a company's operator at the company server, whoever plays stories at the terminals.
//!
//! Every call is safe to repeat and is repeated while a node is too busy. Surprising: pages of talk rooms are smaller than they
//! may be, because a thousand rooms don't fit into one message.

use std::{future::Future, path::Path, time::Duration};

use crate::cluster::Door;
use anyhow::{Context as _, bail};
use futures::{Stream, stream};
use musubi_proto::{
    company::v1::{
        Customer, EntrustMasterRequest, ImportCustomersRequest, ImportCustomersResponse,
        ListCustomersRequest, customer_service_client::CustomerServiceClient,
    },
    information::v1::{
        CreateDistributionRequest, Distribution, Follower, FollowerOutcome, GetDistributionRequest,
        GetFunnelRequest, GetFunnelResponse, ListFollowersRequest, PreviewDistributionRequest,
        PreviewDistributionResponse, StartDistributionRequest, UploadValuesRequest,
        distribution_service_client::DistributionServiceClient,
        follower_service_client::FollowerServiceClient,
    },
    terminal::v1::{
        GetProgressRequest, GetProgressResponse, ListTalkRoomsRequest, PlayStoriesRequest, Story, TalkRoom,
        terminal_service_client::TerminalServiceClient,
    },
};
use musubi_runtime::{
    Shutdown,
    grpc::{
        MAX_MESSAGE_BYTES,
        client::{ClientOptions, PeerChannel, connect},
        retry::{Backoff, with_retry},
    },
};

/// Bytes of a file in one part.
const PART: usize = 256 * 1024;
/// Rows and followers to a page.
const PAGE: u32 = 1_000;
/// Talk rooms to a page.
const ROOMS: u32 = 250;
/// How long a call may take; an import of millions of rows takes the longest.
const DEADLINE: Duration = Duration::from_secs(600);
/// How often a call is tried.
const TRIES: u32 = 12;
/// How long the master may be kept in custody.
const LEASE_SECONDS: u64 = 24 * 3600;

/// Calls again, patiently: a loaded machine is no fault.
macro_rules! ask {
    ($this:ident.$client:ident.$method:ident($request:expr)) => {{
        let request = $request;
        let again = Backoff::default().tries(TRIES);
        let answer = with_retry(stringify!($method), again, &$this.shutdown, || {
            let (mut client, request) = ($this.$client.clone(), request.clone());
            async move { client.$method(request).await }
        });
        match answer.await {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(anyhow::anyhow!(
                "{} failed: {:?}: {}",
                stringify!($method),
                status.code(),
                status.message()
            )),
        }
    }};
}

/// One company's server, as its operators call it.
#[derive(Clone)]
pub(super) struct CompanyClient {
    shutdown: Shutdown,
    customers: CustomerServiceClient<PeerChannel>,
    followers: FollowerServiceClient<PeerChannel>,
    distributions: DistributionServiceClient<PeerChannel>,
}

impl CompanyClient {
    /// Through this door; calls are not repeated any more when `shutdown` has begun.
    ///
    /// # Errors
    /// When the door's endpoint can't be one.
    pub(super) fn new(door: &Door, shutdown: &Shutdown) -> anyhow::Result<Self> {
        let channel =
            connect(&door.operator, &door.endpoint, Some(&door.node), ClientOptions { deadline: DEADLINE })?;
        Ok(Self {
            shutdown: shutdown.clone(),
            customers: CustomerServiceClient::new(channel.clone())
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
            followers: FollowerServiceClient::new(channel.clone())
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
            distributions: DistributionServiceClient::new(channel),
        })
    }

    /// Imports a customer master as it is.
    pub(super) async fn import(&self, file: &Path) -> anyhow::Result<ImportCustomersResponse> {
        let bytes =
            tokio::fs::read(file).await.with_context(|| format!("{} can not be read", file.display()))?;
        let parts: Vec<_> = bytes
            .chunks(PART)
            .map(|chunk| ImportCustomersRequest { dry_run: false, chunk: chunk.to_vec() })
            .collect();
        drop(bytes);
        ask!(self.customers.import_customers(stream::iter(parts)))
    }

    /// Entrusts the master to the information-management server; gives the number of customers.
    pub(super) async fn entrust(&self) -> anyhow::Result<u64> {
        let request = EntrustMasterRequest { lease_seconds: LEASE_SECONDS, blind: false };
        ask!(self.customers.entrust_master(request)).map(|answer| answer.customers)
    }

    /// Every customer, in pages.
    pub(super) fn customers(&self) -> impl Stream<Item = anyhow::Result<Vec<Customer>>> {
        pages(self.clone(), |this, page_token| async move {
            let request = ListCustomersRequest { page_size: PAGE, page_token };
            let page = ask!(this.customers.list_customers(request))?;
            Ok((page.customers, page.next_page_token))
        })
    }

    /// How far the followers are.
    pub(super) async fn funnel(&self) -> anyhow::Result<GetFunnelResponse> {
        ask!(self.followers.get_funnel(GetFunnelRequest::default()))
    }

    /// Every follower, in pages.
    pub(super) fn followers(&self, account: &str) -> impl Stream<Item = anyhow::Result<Vec<Follower>>> {
        let account = account.to_owned();
        pages(self.clone(), move |this, page_token| {
            let outcome = FollowerOutcome::Unspecified.into();
            let official_account = account.clone();
            let request = ListFollowersRequest {
                official_account,
                outcome,
                page_size: PAGE,
                page_token,
                operator: String::new(),
                masked: false,
            };
            async move {
                let page = ask!(this.followers.list_followers(request))?;
                Ok((page.followers, page.next_page_token))
            }
        })
    }

    /// Makes a draft.
    pub(super) async fn create(&self, request: CreateDistributionRequest) -> anyhow::Result<Distribution> {
        let answer = ask!(self.distributions.create_distribution(request))?;
        answer.distribution.context("a distribution was created and not told")
    }

    /// Uploads at most 1,000 customers' values; gives how many customers have values now.
    pub(super) async fn upload(&self, chunk: UploadValuesRequest) -> anyhow::Result<u64> {
        ask!(self.distributions.upload_values(stream::iter([chunk]))).map(|answer| answer.values)
    }

    /// Who would get which.
    pub(super) async fn preview(&self, distribution_id: &str) -> anyhow::Result<PreviewDistributionResponse> {
        let request = PreviewDistributionRequest {
            distribution_id: distribution_id.to_owned(),
            operator: String::new(),
        };
        ask!(self.distributions.preview_distribution(request))
    }

    /// Starts a draft.
    pub(super) async fn start(&self, distribution_id: &str) -> anyhow::Result<()> {
        let request =
            StartDistributionRequest { distribution_id: distribution_id.to_owned(), ..Default::default() };
        ask!(self.distributions.start_distribution(request)).map(drop)
    }

    /// A distribution as it stands.
    pub(super) async fn distribution(&self, distribution_id: &str) -> anyhow::Result<Distribution> {
        let request = GetDistributionRequest { distribution_id: distribution_id.to_owned() };
        let answer = ask!(self.distributions.get_distribution(request))?;
        answer.distribution.context("a distribution was asked for and not told")
    }
}

/// The terminals, as whoever plays stories calls them.
#[derive(Clone)]
pub(super) struct TerminalClient {
    shutdown: Shutdown,
    terminals: TerminalServiceClient<PeerChannel>,
}

impl TerminalClient {
    /// Through this door; calls are not repeated any more when `shutdown` has begun.
    ///
    /// # Errors
    /// When the door's endpoint can't be one.
    pub(super) fn new(door: &Door, shutdown: &Shutdown) -> anyhow::Result<Self> {
        let channel =
            connect(&door.operator, &door.endpoint, Some(&door.node), ClientOptions { deadline: DEADLINE })?;
        let terminals = TerminalServiceClient::new(channel)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Self { shutdown: shutdown.clone(), terminals })
    }

    /// Hands out at most 1,000 stories.
    pub(super) async fn play(&self, stories: Vec<Story>) -> anyhow::Result<()> {
        ask!(self.terminals.play_stories(PlayStoriesRequest { stories })).map(drop)
    }

    /// How far the stories are.
    pub(super) async fn progress(&self) -> anyhow::Result<GetProgressResponse> {
        ask!(self.terminals.get_progress(GetProgressRequest {}))
    }

    /// Talk rooms in pages; without a `phone_number` everybody's.
    pub(super) fn talk_rooms(&self, phone_number: &str) -> impl Stream<Item = anyhow::Result<Vec<TalkRoom>>> {
        let phone_number = phone_number.to_owned();
        pages(self.clone(), move |this, page_token| {
            let phone_number = phone_number.clone();
            let request = ListTalkRoomsRequest { phone_number, page_size: ROOMS, page_token };
            async move {
                let page = ask!(this.terminals.list_talk_rooms(request))?;
                Ok((page.talk_rooms, page.next_page_token))
            }
        })
    }
}

/// Pages until one names no next.
fn pages<C, T, F>(
    client: C,
    mut page: impl FnMut(C, String) -> F,
) -> impl Stream<Item = anyhow::Result<Vec<T>>>
where
    C: Clone,
    F: Future<Output = anyhow::Result<(Vec<T>, String)>>,
{
    stream::try_unfold(Some(String::new()), move |token| {
        let page = token.map(|token| (page(client.clone(), token.clone()), token));
        async move {
            let Some((page, token)) = page else { return Ok(None) };
            let (items, next) = page.await?;
            if next == token && !next.is_empty() {
                bail!("a list names its own page as the next");
            }
            Ok(Some((items, (!next.is_empty()).then_some(next))))
        }
    })
}
