//! `FollowerService`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use musubi_domain::{
    Error,
    dialogue::Stage,
    id::{CarrierId, CompanyId, FollowerKeyring, OfficialAccountId},
    phone_number::masked,
};
use musubi_proto::{
    convert::{content::timestamp, information as convert},
    information::v1::{self as wire, follower_service_server::FollowerService},
};
use musubi_runtime::{
    Clock,
    grpc::{auth, status::to_status},
};
use musubi_storage::information::{
    InformationStore,
    follower::{Acquisition, FollowerQuery, FollowerView, Funnel, MessageCount, Quarantine},
};
use tonic::{Request, Response, Status};

use super::rights::show_held;
use crate::{
    approvals::{Approvals, show_approval},
    directory::{Account, Directory},
    gateway::CarrierGateway,
    signal::Signals,
};

/// The followers of a page when nobody says, and the most.
const PAGE: (u32, u32) = (100, 1_000);

type Gateways = Arc<HashMap<CarrierId, Arc<dyn CarrierGateway>>>;

/// What companies ask of followers.
pub struct Followers {
    pub(super) store: Arc<dyn InformationStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) directory: Arc<Directory>,
    pub(super) keyring: FollowerKeyring,
    pub(super) approvals: Approvals,
    pub(super) gateways: Gateways,
    pub(super) signals: Signals,
}

impl Followers {
    /// Shows what stands in this store to the companies of this directory; the keyring names followers by their numbers.
    #[must_use]
    pub fn new(
        store: Arc<dyn InformationStore>,
        clock: Arc<dyn Clock>,
        directory: Arc<Directory>,
        keyring: FollowerKeyring,
        gateways: Gateways,
        signals: Signals,
    ) -> Self {
        let approvals = Approvals::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&directory));
        Self { store, clock, directory, keyring, approvals, gateways, signals }
    }

    async fn funnel(&self, company: &CompanyId, account: &str) -> Result<wire::GetFunnelResponse, Error> {
        let accounts = match account {
            "" => self.directory.accounts_of(company),
            named => vec![self.directory.own_account(company, named)?],
        };
        let ids: Vec<OfficialAccountId> = accounts.iter().map(|account| account.id.clone()).collect();
        let overview = self.store.overview(company, &ids).await?;
        Ok(wire::GetFunnelResponse {
            funnels: show_funnels(&accounts, overview.funnels),
            messages: show_messages(overview.messages),
            acquisitions: overview.acquisitions.into_iter().map(show_acquisition).collect(),
        })
    }

    fn query(
        &self,
        company: CompanyId,
        request: &wire::ListFollowersRequest,
    ) -> Result<FollowerQuery, Error> {
        let account = self.directory.own_account(&company, &request.official_account)?.id.clone();
        let limit = match request.page_size {
            0 => PAGE.0,
            size if size <= PAGE.1 => size,
            size => {
                let problem = format!("{size} followers");
                return Err(Error::invalid("page_size", problem, "ask for 1 to 1,000, or 0 for 100"));
            }
        };
        let after = match request.page_token.as_str() {
            "" => None,
            token => Some(token.parse().map_err(|_| {
                let remedy = "give the next_page_token of the page before, or none";
                Error::invalid("page_token", "is no token of ours", remedy)
            })?),
        };
        let (operator, outcome) = (request.operator.parse()?, convert::outcome(request.outcome)?);
        Ok(FollowerQuery { company, operator, account, outcome, after, limit })
    }
}

fn show_funnels(accounts: &[&Account], counted: Vec<Funnel>) -> Vec<wire::Funnel> {
    let open = accounts.iter().flat_map(|account| {
        account.carriers.iter().map(|carrier| {
            (
                (account.id.clone(), carrier.clone()),
                wire::Funnel {
                    official_account: account.id.to_string(),
                    carrier: carrier.to_string(),
                    ..wire::Funnel::default()
                },
            )
        })
    });
    let mut funnels: BTreeMap<_, _> = open.collect();
    for funnel in counted {
        let since = |stage: Stage| funnel.reached.range(stage..).map(|(_, count)| count).sum();
        let outcomes = funnel.outcomes.iter().map(|(outcome, count)| wire::OutcomeCount {
            outcome: wire::FollowerOutcome::from(*outcome).into(),
            count: *count,
        });
        let shown = wire::Funnel {
            official_account: funnel.account.to_string(),
            carrier: funnel.carrier.to_string(),
            followers: since(Stage::Follower),
            asked: since(Stage::Asked),
            answered: since(Stage::Answered),
            wants: since(Stage::Wants),
            account_given: since(Stage::AccountGiven),
            verified: since(Stage::Verified),
            outcomes: outcomes.collect(),
        };
        funnels.insert((funnel.account, funnel.carrier), shown);
    }
    funnels.into_values().collect()
}

fn show_messages(counted: Vec<MessageCount>) -> Vec<wire::MessageTally> {
    let mut tallies: BTreeMap<_, u64> = BTreeMap::new();
    for message in counted {
        let words = (convert::purpose(message.purpose), message.state.as_str());
        *tallies.entry((message.account, message.carrier, words)).or_default() += message.count;
    }
    let shown = tallies.into_iter().map(|((account, carrier, (purpose, state)), count)| wire::MessageTally {
        official_account: account.to_string(),
        carrier: carrier.to_string(),
        purpose: purpose.to_owned(),
        state: state.to_owned(),
        count,
    });
    shown.collect()
}

fn show_acquisition(acquisition: Acquisition) -> wire::Acquisition {
    wire::Acquisition {
        official_account: acquisition.account.to_string(),
        carrier: acquisition.carrier.to_string(),
        promoted: acquisition.promoted,
        discarded: acquisition.discarded,
        quarantined: acquisition.quarantined,
        generation: acquisition.generation,
        added_by_event: acquisition.added_by_event,
        added_by_list: acquisition.added_by_list,
        skipped: acquisition.skipped,
        promote_time: acquisition.promote_time.map(timestamp),
        quarantine: acquisition.quarantine.map(show_quarantine),
    }
}

fn show_quarantine(quarantine: Quarantine) -> wire::Quarantine {
    wire::Quarantine {
        begin_time: Some(timestamp(quarantine.begin_time)),
        followers: quarantine.followers,
        missing: quarantine.missing,
        released: quarantine.released,
    }
}

fn show_follower(view: FollowerView) -> wire::Follower {
    wire::Follower {
        follower_id: view.follower.to_string(),
        phone_number: view.phone_number.as_str().to_owned(),
        carrier: view.carrier.to_string(),
        outcome: wire::FollowerOutcome::from(view.outcome).into(),
        customer_id: view.customer_id.map_or_else(String::new, |customer| customer.to_string()),
        reasons: view.reasons,
        follow_time: Some(timestamp(view.follow_time)),
        outcome_time: Some(timestamp(view.outcome_time)),
        suspended: view.held.is_some(),
        held_reason: view.held.map_or_else(String::new, |held| held.as_str().to_owned()),
        suspended_by_company: view.suspended,
    }
}

#[tonic::async_trait]
impl FollowerService for Followers {
    async fn get_funnel(
        &self,
        request: Request<wire::GetFunnelRequest>,
    ) -> Result<Response<wire::GetFunnelResponse>, Status> {
        let company = auth::company(&request)?;
        let account = request.into_inner().official_account;
        self.funnel(&company, &account).await.map(Response::new).map_err(to_status)
    }

    async fn list_days(
        &self,
        request: Request<wire::ListDaysRequest>,
    ) -> Result<Response<wire::ListDaysResponse>, Status> {
        let company = auth::company(&request)?;
        self.days(&company, &request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn list_followers(
        &self,
        request: Request<wire::ListFollowersRequest>,
    ) -> Result<Response<wire::ListFollowersResponse>, Status> {
        let company = auth::company(&request)?;
        let request = request.into_inner();
        let query = self.query(company, &request).map_err(to_status)?;
        let page = self.store.list_followers(&query, self.clock.now()).await.map_err(to_status)?;
        let full = u32::try_from(page.len()).is_ok_and(|length| length == query.limit);
        let next_page_token =
            page.last().filter(|_| full).map_or_else(String::new, |last| last.follower.to_string());
        let mut followers: Vec<_> = page.into_iter().map(show_follower).collect();
        if request.masked {
            followers.iter_mut().for_each(|it| it.phone_number = masked(&it.phone_number));
        }
        Ok(Response::new(wire::ListFollowersResponse { followers, next_page_token }))
    }

    async fn get_follower(
        &self,
        request: Request<wire::GetFollowerRequest>,
    ) -> Result<Response<wire::GetFollowerResponse>, Status> {
        let company = auth::company(&request)?;
        self.get(company, &request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn erase_followers(
        &self,
        request: Request<wire::EraseFollowersRequest>,
    ) -> Result<Response<wire::EraseFollowersResponse>, Status> {
        let company = auth::company(&request)?;
        let (asked, approval) = self.erase(&company, &request.into_inner()).await.map_err(to_status)?;
        let erasures = asked.into_iter().map(|erasure| wire::RequestedErasure {
            official_account: erasure.account.to_string(),
            follower_id: erasure.follower.to_string(),
            request_time: Some(timestamp(erasure.request_time)),
        });
        let approval = approval.map(|approval| show_approval(&approval, false));
        Ok(Response::new(wire::EraseFollowersResponse { erasures: erasures.collect(), approval }))
    }

    async fn release_list(
        &self,
        request: Request<wire::ReleaseListRequest>,
    ) -> Result<Response<wire::ReleaseListResponse>, Status> {
        let company = auth::company(&request)?;
        let (approval, quarantine) = self.release(company, &request.into_inner()).await.map_err(to_status)?;
        let approval = approval.map(|approval| show_approval(&approval, false));
        let quarantine = quarantine.map(show_quarantine);
        Ok(Response::new(wire::ReleaseListResponse { approval, quarantine }))
    }

    async fn import_followers(
        &self,
        request: Request<wire::ImportFollowersRequest>,
    ) -> Result<Response<wire::ImportFollowersResponse>, Status> {
        let company = auth::company(&request)?;
        self.import(&company, &request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn unlock_follower(
        &self,
        request: Request<wire::UnlockFollowerRequest>,
    ) -> Result<Response<wire::UnlockFollowerResponse>, Status> {
        let company = auth::company(&request)?;
        let unlocked = self.unlock(company, &request.into_inner()).await.map_err(to_status)?;
        Ok(Response::new(wire::UnlockFollowerResponse { unlocked }))
    }

    async fn untie_follower(
        &self,
        request: Request<wire::UntieFollowerRequest>,
    ) -> Result<Response<wire::UntieFollowerResponse>, Status> {
        let company = auth::company(&request)?;
        let untied = self.untie(company, &request.into_inner()).await.map_err(to_status)?;
        Ok(Response::new(wire::UntieFollowerResponse { untied }))
    }

    async fn suspend_follower(
        &self,
        request: Request<wire::SuspendFollowerRequest>,
    ) -> Result<Response<wire::SuspendFollowerResponse>, Status> {
        let company = auth::company(&request)?;
        let changed = self.suspend(company, &request.into_inner()).await.map_err(to_status)?;
        Ok(Response::new(wire::SuspendFollowerResponse { changed }))
    }

    async fn search_follower(
        &self,
        request: Request<wire::SearchFollowerRequest>,
    ) -> Result<Response<wire::SearchFollowerResponse>, Status> {
        let company = auth::company(&request)?;
        let (follower, held) = self.search(company, &request.into_inner()).await.map_err(to_status)?;
        Ok(Response::new(show_held(follower, held)))
    }

    async fn export_follower(
        &self,
        request: Request<wire::ExportFollowerRequest>,
    ) -> Result<Response<wire::ExportFollowerResponse>, Status> {
        let company = auth::company(&request)?;
        self.export(company, &request.into_inner()).await.map(Response::new).map_err(to_status)
    }
}
