//! A company server over real gRPC, with a peer in the information-management server's place.

mod console;
mod custody;
mod customers;
mod matching;
mod peer;
mod proxied;

use std::sync::Arc;

use jiff::Timestamp;
use musubi_proto::company::v1::{
    ImportCustomersRequest, ImportCustomersResponse, customer_service_client::CustomerServiceClient,
};
use musubi_runtime::{
    ManualClock, Shutdown,
    config::Endpoint,
    grpc::{
        MAX_MESSAGE_BYTES,
        client::{ClientOptions, PeerChannel, connect},
    },
    lifecycle::LifecycleError,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tonic::Status;

use self::peer::Peer;
use crate::{App, Config};

const OPERATOR: &str = "company/tf-bank/operator/sato";
const OTHER_OPERATOR: &str = "company/tf-bank/operator/kato";
const INFORMATION: &str = "information";
const STRANGER: &str = "company/tf-bank/operator/mori";

/// Wraps the company's keys.
const MASTER: &str = "the master key of all these tests";

const HEADER: &str =
    "customer_id,name,name_kana,birth_date,address,branch_number,account_number,identity_verification\n";
const THREE: &str = "\
B000001,宮本 真和,ミヤモト マナ,1948-05-04,神奈川県横浜市鶴見区駒岡五丁目5-15 サンライズ西305,760,0076317,drivers_licence:2017-02
B000002,大森 千恵美,オオモリ チエミ,1940-12-15,東京都練馬区中村南二丁目29-9 サンライズ西305,230,0091500,passport:2018-11
B000003,高橋 嗣織,タカハシ シオリ,1994-12-01,神奈川県川崎市宮前区宮崎一丁目5-23,005,8377835,my_number_card:2017-07
";

/// A company server that runs, and its peer.
struct Company {
    folder: TempDir,
    peer: Peer,
    settings: &'static str,
    clock: Arc<ManualClock>,
    endpoint: Endpoint,
    /// Where its console is; empty: it has none.
    console: String,
    shutdown: Shutdown,
    ended: JoinHandle<Result<(), LifecycleError>>,
}

/// A server that runs: its address, its console's, its end.
type Running = (Endpoint, String, Shutdown, JoinHandle<Result<(), LifecycleError>>);

impl Company {
    /// With these settings beyond the necessary ones.
    async fn start(settings: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new("2026-11-23T03:00:00Z".parse().unwrap()));
        let peer = Peer::start().await;
        let (endpoint, console, shutdown, ended) = run(&folder, &peer, settings, &clock).await;
        Self { folder, peer, settings, clock, endpoint, console, shutdown, ended }
    }

    /// Stops it and starts it again on the same database.
    async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Starts it again after [`Self::stop`].
    async fn start_again(&mut self) {
        (self.endpoint, self.console, self.shutdown, self.ended) =
            run(&self.folder, &self.peer, self.settings, &self.clock).await;
    }

    /// Stops it; its database is free then.
    async fn stop(&mut self) {
        self.shutdown.begin();
        (&mut self.ended).await.unwrap().unwrap();
    }

    fn channel(&self, party: &str) -> PeerChannel {
        connect(&self.peer.identity(party), &self.endpoint, None, ClientOptions::default()).unwrap()
    }

    fn customers(&self) -> CustomerServiceClient<PeerChannel> {
        CustomerServiceClient::new(self.channel(OPERATOR)).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    async fn import(&self, file: &[u8]) -> Result<ImportCustomersResponse, Status> {
        self.upload(file, false).await
    }

    async fn upload(&self, file: &[u8], dry_run: bool) -> Result<ImportCustomersResponse, Status> {
        let parts: Vec<_> = file
            .chunks(100_000)
            .map(|chunk| ImportCustomersRequest { dry_run, chunk: chunk.to_vec() })
            .collect();
        let mut client = CustomerServiceClient::new(
            self.channel(OPERATOR).with_deadline(std::time::Duration::from_secs(300)),
        );
        Ok(client.import_customers(futures::stream::iter(parts)).await?.into_inner())
    }

    /// The master's ids, by pages of two.
    async fn ids(&self) -> Vec<String> {
        let (mut ids, mut page_token) = (vec![], String::new());
        loop {
            let request = musubi_proto::company::v1::ListCustomersRequest { page_size: 2, page_token };
            let page = self.customers().list_customers(request).await.unwrap().into_inner();
            ids.extend(page.customers.into_iter().map(|customer| customer.customer_id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                assert_eq!(page.total, ids.len() as u64);
                return ids;
            }
        }
    }

    fn now(&self) -> Timestamp {
        musubi_runtime::Clock::now(&*self.clock)
    }
}

async fn run(folder: &TempDir, peer: &Peer, settings: &'static str, clock: &Arc<ManualClock>) -> Running {
    let app = App::build(config(folder, peer, settings), clock.clone()).await.unwrap();
    let shutdown = Shutdown::new(std::time::Duration::from_secs(5));
    let (endpoint, console) = (app.endpoint(), app.console().unwrap_or_default());
    let ended = tokio::spawn(app.run(shutdown.clone()));
    (endpoint, console, shutdown, ended)
}

fn config(folder: &TempDir, peer: &Peer, settings: &str) -> Config {
    let path = folder.path().join("company.toml");
    let database = folder.path().join("company.db");
    let file = format!(
        "company = 'tf-bank'\nlisten = '127.0.0.1:0'\ndatabase = '{}'\n\
         tls = {{ certificate = 'a', key = 'a', authorities = 'a' }}\ncallers.operators.sato = ['editor', 'approver', 'auditor', 'administrator']\n\
         callers.operators.kato = ['approver']\n\
         {settings}\n[keys]\nmaster = ['{MASTER}']\naudit = ['signs seals of the tests']\n[information]\nendpoint = '{}'\n",
        database.display(),
        peer.endpoint,
    );
    std::fs::write(&path, file).unwrap();
    Config { tls: peer.certificate("company/tf-bank"), ..Config::load(Some(&path)).unwrap() }
}

#[test]
fn a_name_that_no_record_could_show_is_refused_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("company.toml");
    let file = "company = 'tf-bank'\ntls = { certificate = 'a', key = 'a', authorities = 'a' }\n\
                keys.master = ['the master key of all these tests']\nkeys.audit = ['signs seals of the tests']\ncallers.operators = { '佐藤 花子' = ['editor'] }\n";
    std::fs::write(&path, file).unwrap();
    let error = Config::load(Some(&path)).unwrap_err().to_string();
    assert!(error.contains("callers.operators") && error.contains("a-z, 0-9 and hyphen"), "{error}");
    assert!(!error.contains("佐藤"), "{error}");
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_before_anything_is_opened() {
    type Spoil = fn(&mut Config);
    let cases: [(&str, Spoil); 11] = [
        ("keys.master", |config| config.keys.master.clear()),
        ("keys.audit", |config| config.keys.audit.clear()),
        ("keys.epoch_days", |config| config.keys.epoch_days = 3651),
        ("keys.keep_days", |config| config.keys.keep_days = 0),
        ("account.account_digits", |config| config.account.account_digits = 0),
        ("custody.lease", |config| config.custody.lease = std::time::Duration::from_secs(59)),
        ("import.most_rows", |config| config.import.most_rows = 0),
        ("callers.operators", |config| config.callers.operators.clear()),
        ("callers.operators.sato", |config| config.callers.operators.values_mut().last().unwrap().clear()),
        ("tls.certificate", |config| config.tls.certificate = "nowhere.pem".into()),
        ("tls.certificate", |config| config.company = "minato-power".parse().unwrap()),
    ];
    let peer = Peer::start().await;
    for (field, spoil) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder, &peer, "");
        spoil(&mut config);
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let error = App::build(config, clock).await.err().unwrap().to_string();
        assert!(error.starts_with(&format!("{field}: ")), "{error}");
        assert!(!folder.path().join("company.db").exists());
    }
}
