//! Operators' commands against a running company server; followers and distributions against a peer of the same contract.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use clap::Parser;
use musubi_domain::{
    Error, ErrorKind,
    caller::{Caller, Role},
};
use musubi_proto::{
    callers::COMPANY,
    convert::content::timestamp,
    information::v1::{
        distribution_service_server::{DistributionService, DistributionServiceServer},
        follower_service_server::{FollowerService, FollowerServiceServer},
        *,
    },
    r#type::v1::Content,
};
use musubi_runtime::{
    Shutdown, SystemClock,
    config::{Endpoint, ListenAddress},
    grpc::{auth::Authenticator, server::Server, status::to_status},
    tls::authority::Authority,
};
use tempfile::TempDir;
use tonic::{Request, Response, Status, Streaming, service::Routes};

use super::*;

mod followers;

#[derive(Parser)]
enum Command {
    Customers(Customers),
    Followers(Followers),
    Distributions(Distributions),
    Session(Session),
    AuditList(AuditLines),
}

/// Files, and a server to call.
struct Desk {
    folder: TempDir,
    authority: Authority,
    server: Endpoint,
    _shutdown: Shutdown,
}

fn bank() -> Caller {
    Caller::Company("tf-bank".parse().unwrap())
}

fn operator(name: &str) -> Caller {
    Caller::CompanyOperator("tf-bank".parse().unwrap(), name.parse().unwrap())
}

impl Desk {
    /// At a company server.
    async fn at_company() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("company.toml");
        let database = folder.path().join("company.db");
        let settings = format!(
            "company = 'tf-bank'\nlisten = '127.0.0.1:0'\ndatabase = '{}'\ninformation.endpoint = 'https://127.0.0.1:1'\n\
             callers.operators.sato = ['editor', 'auditor', 'administrator']\ntls = {{ certificate = 'a', key = 'a', authorities = 'a' }}\n\
             keys.master = ['the master key of all these tests']\nkeys.audit = ['signs seals of the tests']\n",
            database.display()
        );
        fs::write(&config, settings).unwrap();
        let authority = Authority::temporary(&folder.path().join("tls")).unwrap();
        let tls = authority.issue_temporary(&bank()).unwrap();
        let config = musubi_company_server::Config::load(Some(&config)).unwrap();
        let config = musubi_company_server::Config { tls, ..config };
        let app = musubi_company_server::App::build(config, Arc::new(SystemClock)).await.unwrap();
        let (server, shutdown) = (app.endpoint(), Shutdown::new(Duration::from_secs(1)));
        tokio::spawn(app.run(shutdown.clone()));
        Self { folder, authority, server, _shutdown: shutdown }
    }

    /// At a peer that answers for followers and distributions.
    async fn at_peer() -> (Self, Peer) {
        let peer = Peer::default();
        let listen: ListenAddress = "127.0.0.1:0".parse().unwrap();
        let bound = Server::bind(listen).await.unwrap();
        let server = bound.endpoint();
        let mut routes = Routes::builder();
        routes
            .add_service(FollowerServiceServer::new(peer.clone()))
            .add_service(DistributionServiceServer::new(peer.clone()));
        let auth = Authenticator::with_roles(COMPANY, [(operator("sato"), Role::ALL.to_vec())]);
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::temporary(&folder.path().join("tls")).unwrap();
        let identity = authority.identity(&bank()).unwrap();
        let shutdown = Shutdown::new(Duration::from_secs(1));
        shutdown.spawn("peer", bound.serve(routes.routes(), identity, auth, shutdown.clone()));
        (Self { folder, authority, server, _shutdown: shutdown }, peer)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path: PathBuf = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    /// An operator's certificate; key and authority stand beside it.
    fn certificate(&self, name: &str) -> String {
        self.authority.issue_temporary(&operator(name)).unwrap().certificate.display().to_string()
    }

    /// Runs `musubi` with these arguments, and gives what it wrote.
    async fn run(&self, arguments: &[&str]) -> (Result<Ending, Error>, String) {
        let certificate = self.certificate("sato");
        let connection = ["--server", self.server.as_str(), "--certificate", &certificate];
        let command = Command::try_parse_from(["musubi"].iter().chain(arguments).chain(&connection)).unwrap();
        let mut out = Vec::new();
        let ending = match command {
            Command::Customers(command) => command.run(&mut out).await,
            Command::Followers(command) => command.run(&mut out).await,
            Command::Distributions(command) => command.run(&mut out).await,
            Command::Session(command) => command.run(&mut out).await,
            Command::AuditList(command) => command.run(&mut out).await,
        };
        (ending, String::from_utf8(out).unwrap())
    }
}

const MASTER: &str = "\
customer_id,name,name_kana,birth_date,address,branch_number,account_number,identity_verification
B1,宮本 真和,ミヤモト マナ,1948-05-04,神奈川県横浜市,760,0076317,passport:2018-11
B2,大森 千恵美,オオモリ チエミ,1940-12-15,東京都練馬区,230,0091500,
";

#[tokio::test]
async fn a_master_is_imported_listed_shown_and_erased_from() {
    let desk = Desk::at_company().await;
    let file = desk.file("master.csv", &encoding_rs::SHIFT_JIS.encode(MASTER).0);
    let (ending, text) = desk.run(&["customers", "import", &file, "--dry-run"]).await;
    assert_eq!(ending, Ok(Ending::Done));
    assert_eq!(text, "2 rows (Shift_JIS); an import would bring 2 new, 0 changed, 0 removed\n");
    let (_, text) = desk.run(&["customers", "import", &file]).await;
    assert_eq!(text, "2 rows (Shift_JIS); imported: 2 new, 0 changed, 0 removed\n");
    let (_, text) = desk.run(&["customers", "history"]).await;
    assert!(text.contains("imported") && text.contains("sha256") && text.lines().count() >= 2, "{text}");
    let (_, text) = desk.run(&["customers", "list", "--page-size", "1"]).await;
    assert!(
        text.contains("B1") && !text.contains("B2") && text.contains("1 of 2 customers; --all"),
        "{text}"
    );
    let (_, text) = desk.run(&["customers", "list", "--page-size", "1", "--all", "--format", "csv"]).await;
    assert_eq!(text.lines().count(), 3);
    let (_, text) = desk.run(&["customers", "show", "B2"]).await;
    assert!(text.contains("大森 千恵美"), "{text}");
    let (ending, text) = desk.run(&["customers", "prove-erased", "B2"]).await;
    assert!(ending == Ok(Ending::Refused) && text.ends_with("something is held\n"), "{text}");
    let (_, text) = desk.run(&["customers", "erase", "B2"]).await;
    assert_eq!(text, "the customer is erased\n");
    let (ending, text) = desk.run(&["customers", "prove-erased", "B2"]).await;
    assert!(ending == Ok(Ending::Done) && text.ends_with("nothing is held\n"), "{text}");
    let (_, text) = desk.run(&["customers", "erase", "B2"]).await;
    assert_eq!(text, "the master has no such customer\n");
}

#[tokio::test]
async fn bad_rows_are_a_table_by_line_and_field() {
    let desk = Desk::at_company().await;
    let file = desk.file("master.csv", MASTER.replace("1940-12-15", "1940-02-30").as_bytes());
    let (ending, text) = desk.run(&["customers", "import", &file]).await;
    assert_eq!(ending, Ok(Ending::Refused));
    let row = text.lines().find(|line| line.contains("birth_date")).unwrap();
    assert!(row.trim_start().starts_with('3') && !text.contains("1940"), "{text}");
    assert!(text.ends_with("2 rows (UTF-8); 1 of them bad, so nothing was imported\n"), "{text}");
}

#[tokio::test]
async fn refusals_are_shown_as_field_problem_and_remedy() {
    let desk = Desk::at_company().await;
    let (ending, _) = desk.run(&["customers", "show", "B7"]).await;
    let text = described(&ending.unwrap_err());
    assert_eq!(
        text,
        "field    customer_id\nproblem  the master has no such customer\nremedy   see the list of customers\n"
    );
    let (ending, _) = desk.run(&["customers", "entrust", "--lease", "30d"]).await;
    assert_eq!(ending.unwrap_err().kind, ErrorKind::FailedPrecondition);
    let (ending, _) = desk.run(&["customers", "import", "nowhere.csv"]).await;
    assert_eq!(ending.unwrap_err().field, "FILE");
}

#[tokio::test]
async fn a_missing_server_or_certificate_is_named() {
    for (arguments, field) in [
        (&["musubi", "customers", "purge", "--certificate", "x"][..], "--server"),
        (&["musubi", "customers", "purge", "--server", "https://127.0.0.1:1"][..], "--token"),
        (
            &["musubi", "customers", "purge", "--server", "https://127.0.0.1:1", "--token", "/nowhere"][..],
            "--token",
        ),
        (
            &["musubi", "customers", "purge", "--server", "https://127.0.0.1:1", "--certificate", "/nowhere"]
                [..],
            "--certificate",
        ),
    ] {
        let Ok(Command::Customers(command)) = Command::try_parse_from(arguments) else { panic!("{field}") };
        assert_eq!(command.run(&mut Vec::new()).await.unwrap_err().field, field);
    }
}

#[tokio::test]
async fn a_server_that_is_away_and_an_operator_who_is_not_known_have_remedies_for_who_typed_them() {
    let desk = Desk::at_company().await;
    let stranger = desk.certificate("stranger");
    for (server, field, remedy) in [
        (
            desk.server.as_str(),
            "",
            "sign in, or show a certificate that names one party whom the called node's configuration knows",
        ),
        (
            "https://127.0.0.1:1",
            "",
            "start the company server, or name another with --server; then repeat it",
        ),
    ] {
        let arguments = ["musubi", "customers", "list", "--server", server, "--certificate", &stranger];
        let Ok(Command::Customers(command)) = Command::try_parse_from(arguments) else { panic!("{server}") };
        let error = command.run(&mut Vec::new()).await.unwrap_err();
        assert_eq!((error.field.as_str(), error.remedy.as_str()), (field, remedy), "{error}");
    }
}

fn create(texts: [&str; 3]) -> Vec<&str> {
    let [uniform, individual, values] = texts;
    let head =
        ["distributions", "create", "--official-account", "tf-bank", "--name", "points", "--uniform-text"];
    let tail = ["--variable", "name:text", "--variable", "points:integer", "--values", values];
    head.into_iter().chain([uniform, "--individual-text", individual]).chain(tail).collect()
}

#[tokio::test]
async fn a_distribution_is_made_with_its_values() {
    let (desk, peer) = Desk::at_peer().await;
    let uniform = desk.file("uniform.txt", "みなさまへ\n".as_bytes());
    let individual = desk.file("individual.txt", "{name}様、{points}ポイントです\n".as_bytes());
    let rows: String = (0..2500).map(|row| format!("{row},B{row},宮本\n")).collect();
    let values = desk.file("values.csv", format!("points,customer_id,name\n{rows}").as_bytes());
    let (ending, text) = desk.run(&create([&uniform, &individual, &values])).await;
    assert_eq!(ending, Ok(Ending::Done), "{text}");
    assert!(text.contains("2,500") && text.contains("musubi distributions preview dst_1"), "{text}");
    let told = peer.0.lock().unwrap();
    assert_eq!(told.request.as_ref().unwrap().uniform.as_ref().unwrap().text, "みなさまへ");
    assert_eq!((told.values.len(), told.largest_chunk), (2500, 1000));
    assert_eq!(told.values[7].values, ["宮本", "7"]);
}

#[tokio::test]
async fn nothing_is_sent_while_a_text_or_a_value_is_wrong() {
    let (desk, peer) = Desk::at_peer().await;
    let uniform = desk.file("uniform.txt", b"hello");
    let individual = desk.file("individual.txt", "{name}様、{points}ポイントです".as_bytes());
    let values = desk.file("values.csv", "customer_id,name,points\nB1,宮本,7\nB2,大森,many\n".as_bytes());
    let (ending, text) = desk.run(&create([&uniform, &individual, &values])).await;
    assert_eq!(ending, Ok(Ending::Refused));
    let row = text.lines().find(|line| line.contains("values[points]")).unwrap();
    assert!(row.trim_start().starts_with('3') && text.contains("1 of them bad"), "{text}");
    let other = desk.file("other.txt", "{nam}様".as_bytes());
    let (ending, _) = desk.run(&create([&uniform, &other, &values])).await;
    assert!(ending.unwrap_err().field.starts_with("--individual-text: "));
    let (ending, _) = desk.run(&create([&individual, &individual, &values])).await;
    assert!(ending.unwrap_err().field.starts_with("--uniform-text: "));
    assert!(peer.0.lock().unwrap().request.is_none());
}

#[tokio::test]
async fn a_watched_distribution_is_followed_to_its_end() {
    let (desk, _) = Desk::at_peer().await;
    let (ending, text) = desk.run(&["distributions", "watch", "dst_1"]).await;
    assert_eq!(ending, Ok(Ending::Done));
    assert_eq!(
        text,
        "running: 3 deliveries, 3 individual queued\ncompleted: 3 deliveries, 3 individual delivered\n"
    );
}

#[tokio::test]
async fn distributions_are_shown_commanded_and_previewed() {
    let (desk, peer) = Desk::at_peer().await;
    for command in ["submit", "return", "start", "pause", "resume", "cancel", "show"] {
        let (ending, text) = desk.run(&["distributions", command, "dst_1"]).await;
        assert_eq!(ending, Ok(Ending::Done));
        assert!(text.contains("dst_1"), "{text}");
    }
    assert_eq!(peer.0.lock().unwrap().commands, ["submit", "return", "start", "pause", "resume", "cancel"]);
    let (_, text) = desk.run(&["distributions", "preview", "dst_1"]).await;
    assert!(text.contains("宮本様、1,200ポイントです") && text.contains("--- uniform"), "{text}");
    let (_, text) = desk.run(&["distributions", "list", "--format", "json"]).await;
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(list[0]["state"], "draft");
    let (_, text) = desk.run(&["distributions", "list", "--state", "submitted", "--format", "json"]).await;
    assert_eq!(text.trim(), "[]", "the draft is left out");
}

#[tokio::test]
async fn a_distribution_is_tried_on_phones_and_told_of_each() {
    let (desk, peer) = Desk::at_peer().await;
    let (ending, text) = desk.run(&["distributions", "test", "dst_1", "--to", "+819012345678"]).await;
    assert_eq!(ending, Ok(Ending::Done), "{text}");
    assert!(text.contains("+**********78") && text.contains("displayed"), "{text}");
    let two = ["distributions", "test", "dst_1", "--to", "+819012345678", "--to", "+819012345679"];
    let (ending, text) = desk.run(&two).await;
    assert_eq!(ending, Ok(Ending::Refused), "{text}");
    assert!(text.contains("not_following") && text.contains("--request-id"), "{text}");
    assert_eq!(peer.0.lock().unwrap().tried, ["+819012345678", "+819012345679"]);
    let many: Vec<_> = (0..21).flat_map(|_| ["--to", "+819012345678"]).collect();
    let many = [&["distributions", "test", "dst_1"][..], &many].concat();
    assert_eq!(desk.run(&many).await.0.unwrap_err().field, "--to");
    assert_eq!(peer.0.lock().unwrap().tried.len(), 2, "nothing was sent");
}

#[tokio::test]
async fn sessions_and_lines_of_the_audit_are_listed() {
    let desk = Desk::at_company().await;
    let (ending, text) = desk.run(&["session", "list", "--everybody", "--format", "json"]).await;
    assert_eq!((ending, text.trim()), (Ok(Ending::Done), "[]"), "who has a certificate has no session");
    let (ending, text) = desk.run(&["session", "end", "--of", "kato"]).await;
    assert_eq!((ending, text.trim()), (Ok(Ending::Done), "0 sessions ended"));
    let wrong = desk.run(&["session", "end", "--of", "Kato!"]).await.0.unwrap_err();
    assert_eq!(wrong.field, "name");
    let master = desk.file("master.csv", MASTER.as_bytes());
    desk.run(&["customers", "import", &master]).await.0.unwrap();
    let (ending, text) = desk.run(&["audit-list", "--node", "company", "--limit", "1"]).await;
    assert_eq!(ending, Ok(Ending::Done));
    assert!(text.contains("import") && text.contains("sato"), "{text}");
    let accounts = ["audit-list", "--node", "company", "--official-account", "tf-bank"];
    assert_eq!(desk.run(&accounts).await.0.unwrap_err().field, "--official-account");
}

#[derive(Default)]
struct Told {
    request: Option<CreateDistributionRequest>,
    values: Vec<CustomerValues>,
    largest_chunk: usize,
    commands: Vec<&'static str>,
    tried: Vec<String>,
    looks: u32,
    searches: u32,
}

/// A server in the company server's place.
#[derive(Clone, Default)]
struct Peer(Arc<Mutex<Told>>);

fn distribution(state: DistributionState, delivered: &str) -> Option<Distribution> {
    let delivery = DeliveryCount { kind: "individual".to_owned(), state: delivered.to_owned(), count: 3 };
    Some(Distribution {
        distribution_id: "dst_1".to_owned(),
        state: state.into(),
        created: 3,
        deliveries: vec![delivery],
        create_time: Some(timestamp(jiff::Timestamp::UNIX_EPOCH)),
        ..Distribution::default()
    })
}

/// A trial of one follower, which stands so.
fn trial(state: &str) -> Trial {
    let recipient = TrialRecipient {
        masked_phone_number: "+**********78".to_owned(),
        kind: "individual".to_owned(),
        state: state.to_owned(),
        ..TrialRecipient::default()
    };
    Trial { trial_id: "dst_2".to_owned(), recipients: vec![recipient], ..Trial::default() }
}

macro_rules! commands {
    ($($method:ident $word:literal: $request:ident => $response:ident,)+) => {
        #[tonic::async_trait]
        impl DistributionService for Peer {
            $(
                async fn $method(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                    self.0.lock().unwrap().commands.push($word);
                    Ok(Response::new($response { distribution: distribution(DistributionState::Running, "queued") }))
                }
            )+

            async fn create_distribution(
                &self,
                request: Request<CreateDistributionRequest>,
            ) -> Result<Response<CreateDistributionResponse>, Status> {
                let request = request.into_inner();
                if request.request_id.len() != 36 {
                    return Err(to_status(Error::invalid("request_id", "no UUID", "")));
                }
                self.0.lock().unwrap().request = Some(request);
                Ok(Response::new(CreateDistributionResponse { distribution: distribution(DistributionState::Draft, "queued") }))
            }

            async fn upload_values(
                &self,
                request: Request<Streaming<UploadValuesRequest>>,
            ) -> Result<Response<UploadValuesResponse>, Status> {
                let mut chunks = request.into_inner();
                while let Some(chunk) = chunks.message().await? {
                    let mut told = self.0.lock().unwrap();
                    told.largest_chunk = told.largest_chunk.max(chunk.customers.len());
                    told.values.extend(chunk.customers);
                }
                let values = self.0.lock().unwrap().values.len() as u64;
                Ok(Response::new(UploadValuesResponse { values }))
            }

            async fn preview_distribution(
                &self,
                _: Request<PreviewDistributionRequest>,
            ) -> Result<Response<PreviewDistributionResponse>, Status> {
                let content = |text: &str| Content { text: text.to_owned(), suggestions: vec![], card: None };
                Ok(Response::new(PreviewDistributionResponse {
                    individual: 1,
                    individual_samples: vec![content("宮本様、1,200ポイントです")],
                    uniform_sample: Some(content("みなさまへ")),
                    ..PreviewDistributionResponse::default()
                }))
            }

            async fn try_distribution(
                &self,
                request: Request<TryDistributionRequest>,
            ) -> Result<Response<TryDistributionResponse>, Status> {
                let mut told = self.0.lock().unwrap();
                told.tried = request.into_inner().phone_numbers;
                let not_following = (1..).take(told.tried.len() - 1).collect();
                Ok(Response::new(TryDistributionResponse { trial: Some(trial("queued")), not_following }))
            }

            async fn list_trials(
                &self,
                _: Request<ListTrialsRequest>,
            ) -> Result<Response<ListTrialsResponse>, Status> {
                Ok(Response::new(ListTrialsResponse { trials: vec![trial("displayed")] }))
            }

            async fn get_distribution(
                &self,
                _: Request<GetDistributionRequest>,
            ) -> Result<Response<GetDistributionResponse>, Status> {
                let mut told = self.0.lock().unwrap();
                told.looks += 1;
                let distribution = match told.looks {
                    1 => distribution(DistributionState::Running, "queued"),
                    _ => distribution(DistributionState::Completed, "delivered"),
                };
                Ok(Response::new(GetDistributionResponse {
                    distribution,
                    ..GetDistributionResponse::default()
                }))
            }

            async fn list_distributions(
                &self,
                request: Request<ListDistributionsRequest>,
            ) -> Result<Response<ListDistributionsResponse>, Status> {
                let of_state = request.get_ref().state();
                let there = |it: &Distribution| [DistributionState::Unspecified, it.state()].contains(&of_state);
                let distributions =
                    distribution(DistributionState::Draft, "queued").into_iter().filter(there).collect();
                Ok(Response::new(ListDistributionsResponse { distributions }))
            }
        }
    };
}

commands! {
    submit_distribution "submit": SubmitDistributionRequest => SubmitDistributionResponse,
    return_distribution "return": ReturnDistributionRequest => ReturnDistributionResponse,
    start_distribution "start": StartDistributionRequest => StartDistributionResponse,
    pause_distribution "pause": PauseDistributionRequest => PauseDistributionResponse,
    resume_distribution "resume": ResumeDistributionRequest => ResumeDistributionResponse,
    cancel_distribution "cancel": CancelDistributionRequest => CancelDistributionResponse,
}
