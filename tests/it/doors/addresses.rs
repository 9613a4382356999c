//! Addresses that would lead a server somewhere: to this machine, to the network that it stands in, to a cloud's metadata, past a list of hosts. Companies
//! may not send them, followers and platforms may write what they like, and nobody goes there.
//!
//! Surprising: whether anybody went is asked of a listener that the forms point at. It is shown to hear by a connection of our own, which has to be its first.

use std::net::SocketAddr;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::stream;
use musubi_domain::ErrorKind;
use musubi_proto::{
    carrier::v1::{
        Action, Follow, SubmitActionsRequest, action, handset_service_client::HandsetServiceClient,
    },
    information::v1::{
        CarrierEvent, CreateDistributionRequest, CustomerValues, PushEventsRequest, Responded, Template,
        UploadValuesRequest, Variable, VariableKind, carrier_event::What,
        carrier_event_service_client::CarrierEventServiceClient,
        distribution_service_client::DistributionServiceClient, responded::How,
    },
    r#type::v1::{Card, OpenUrl, Suggestion, suggestion},
};
use musubi_runtime::{Clock as _, SystemClock, grpc::client::PeerChannel};
use musubi_tests::processes::CLIENT_TOKEN;
use prost_types::Timestamp;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use super::{
    probe::whole,
    strangers::{envelope, signature},
    world::{BANK, FLEET, KUMO, NAMI, World},
};

/// What stands before `://` where it is not the host that is wrong.
const SCHEMES: [&str; 12] = [
    "http",
    "ftp",
    "file",
    "gopher",
    "dict",
    "ldap",
    "ws",
    "javascript",
    "data",
    "jar:https",
    "HTTP",
    "https+x",
];
/// This machine and its neighbours, by every notation that some parser reads as one of them.
const HOSTS: [&str; 46] = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0177.0.0.1",
    "0177.1",
    "017700000001",
    "00000177.0.0.1",
    "127.0.0.1.",
    "%31%32%37.0.0.1",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "１２７.0.0.1",
    "[::1]",
    "[::]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1%25lo]",
    "[fd00:ec2::254]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "ｌocalhost",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "[::ffff:169.254.169.254]",
    "metadata.google.internal",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "127.0.0.1.nip.io",
    "localtest.me",
    "xn--bnk-5na.test",
    "bank.test.127.0.0.1.nip.io",
];
/// Around the company's own host; `HERE` is the listener.
const AROUND: [&str; 22] = [
    "https://bank.test@HERE/",
    "https://bank.test:443@HERE/",
    "https://bank.test%40HERE/",
    "https://bank.test%00@HERE/",
    "https://bank.test\\@HERE/",
    "https://HERE\\@bank.test/",
    "https://HERE%2f@bank.test/",
    "https://HERE\\.bank.test/",
    "https://bank.test\u{ad}@HERE/",
    "https://HERE@bank.test/",
    "https://user:secret@bank.test/",
    "https://bank.test:8443/",
    "https://bank.test./",
    "https://bank。test/",
    "https://HERE/?next=https://bank.test/",
    "https://HERE/#https://bank.test/",
    "https://HERE/redirect?to=http://169.254.169.254/",
    "https:///HERE/",
    "https:HERE/",
    "//HERE/",
    "https://",
    "\u{1}https://HERE/",
];

/// Every form, pointed at the listener.
fn forms(here: SocketAddr) -> Vec<String> {
    let schemes = SCHEMES.iter().map(|scheme| format!("{scheme}://{here}/"));
    let hosts = HOSTS.iter().map(|host| format!("https://{host}:{}/latest/meta-data/", here.port()));
    let around = AROUND.iter().map(|form| form.replace("HERE", &here.to_string()));
    schemes.chain(hosts).chain(around).collect()
}

/// How often the company and the carrier were refused.
pub(super) struct Refused {
    pub(super) drafts: u64,
    pub(super) values: u64,
    pub(super) postbacks: u64,
}

/// Who writes addresses in their talk room with the bank.
const NUMBER: &str = "+818011110009";

/// Sends every form through every door of the information-management server that takes an address or a text, and goes to see whether anybody followed.
pub(super) async fn probe(world: &World) -> Refused {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap();
    let forms = forms(here);
    let distributions = DistributionServiceClient::new(world.system.channel_of(BANK, "information"));
    let draft = draft(&distributions).await;
    follow(world).await;
    let before = world.system.quiet().await;
    let drafts = drafts(&distributions, &forms).await;
    let values = values(&distributions, &draft, &forms).await;
    let postbacks = postbacks(world, &forms).await;
    assert!(before == world.system.stored(), "an address that was refused has changed something");
    texts(world, &forms).await;
    files(world, &forms).await;
    world.system.quiet().await;

    let own = TcpStream::connect(here).await.unwrap();
    let (_, first) = listener.accept().await.unwrap();
    assert_eq!(first, own.local_addr().unwrap(), "somebody went where an address led");
    Refused { drafts, values, postbacks }
}

async fn follow(world: &World) {
    let action = Action {
        msisdn: NUMBER.to_owned(),
        official_account: BANK.to_owned(),
        what: Some(action::What::Follow(Follow {})),
    };
    let request = SubmitActionsRequest {
        batch_id: Uuid::from_bytes(musubi_runtime::entropy::bytes()).to_string(),
        fleet: FLEET.to_owned(),
        actions: vec![action],
    };
    let mut handset = HandsetServiceClient::new(world.system.channel_of("phones", KUMO));
    handset.submit_actions(request).await.unwrap();
}

/// A template whose address, picture or text is this form; `individual` asks for a value in its text.
fn request(change: impl FnOnce(&mut Template)) -> CreateDistributionRequest {
    let page = OpenUrl { url: "https://bank.test/".to_owned(), webview: true };
    let open = Suggestion {
        text: "見る".to_owned(),
        action: Some(suggestion::Action::OpenUrl(page)),
        ..Suggestion::default()
    };
    let picture = Card { title: "残高".to_owned(), image_url: "https://bank.test/x.png".to_owned() };
    let mut uniform = Template {
        text: "お知らせ".to_owned(),
        suggestions: vec![open],
        card: Some(picture),
        ..Template::default()
    };
    change(&mut uniform);
    let variable = Variable { name: "note".to_owned(), kind: VariableKind::Text.into() };
    CreateDistributionRequest {
        request_id: Uuid::from_bytes(musubi_runtime::entropy::bytes()).to_string(),
        official_account: BANK.to_owned(),
        name: "addresses".to_owned(),
        operator: "sato".to_owned(),
        uniform: Some(uniform),
        individual: Some(Template {
            text: "{note}".to_owned(),
            variables: vec![variable],
            ..Template::default()
        }),
        ..CreateDistributionRequest::default()
    }
}

async fn draft(distributions: &DistributionServiceClient<PeerChannel>) -> String {
    let created = distributions.clone().create_distribution(request(|_| {})).await.unwrap();
    created.into_inner().distribution.unwrap().distribution_id
}

/// Only what phones make a link of is looked at in a text.
fn is_link(form: &str) -> bool {
    form.contains("://")
}

async fn drafts(distributions: &DistributionServiceClient<PeerChannel>, forms: &[String]) -> u64 {
    let mut refused = 0;
    let mut create = async |request: CreateDistributionRequest, field: &str, form: &str| {
        let error = whole(distributions.clone().create_distribution(request).await);
        let error = error.err().unwrap_or_else(|| panic!("{field} may be {form}"));
        assert_eq!((error.kind, error.field.as_str()), (ErrorKind::InvalidArgument, field), "{form}");
        refused += 1;
    };
    for form in forms {
        let open = |template: &mut Template| {
            let page = OpenUrl { url: form.clone(), webview: false };
            template.suggestions[0].action = Some(suggestion::Action::OpenUrl(page));
        };
        create(request(open), "uniform.suggestions[0].open_url.url", form).await;
        let picture = |template: &mut Template| template.card.as_mut().unwrap().image_url.clone_from(form);
        create(request(picture), "uniform.card.image_url", form).await;
        if is_link(form) {
            let text = |template: &mut Template| template.text = format!("ご案内 {form} まで");
            create(request(text), "uniform.text", form).await;
        }
    }
    refused
}

async fn values(
    distributions: &DistributionServiceClient<PeerChannel>,
    draft: &str,
    forms: &[String],
) -> u64 {
    let mut refused = 0;
    for form in forms.iter().filter(|form| is_link(form)) {
        let row = CustomerValues { customer_id: "A000001".to_owned(), values: vec![form.clone()] };
        let chunk = UploadValuesRequest {
            distribution_id: draft.to_owned(),
            customers: vec![row],
            operator: "sato".to_owned(),
        };
        let answer = distributions.clone().upload_values(stream::iter([chunk])).await;
        let error = whole(answer).err().unwrap_or_else(|| panic!("a value may be {form}"));
        assert!(error.field.starts_with("customers[0].values["), "{form}: {error}");
        refused += 1;
    }
    refused
}

/// What a follower of the bank says, event by event.
fn says(forms: &[String], how: impl Fn(&String) -> How) -> PushEventsRequest {
    let now = Timestamp { seconds: SystemClock.now().as_second(), nanos: 0 };
    let event = |form| CarrierEvent {
        event_id: Uuid::from_bytes(musubi_runtime::entropy::bytes()).to_string(),
        official_account: BANK.to_owned(),
        msisdn: NUMBER.to_owned(),
        event_time: Some(now),
        what: Some(What::Responded(Responded { how: Some(how(form)) })),
    };
    PushEventsRequest { events: forms.iter().map(event).collect() }
}

/// Taps whose postback is an address are nobody's.
async fn postbacks(world: &World, forms: &[String]) -> u64 {
    let mut client = CarrierEventServiceClient::new(world.system.channel_of(KUMO, "information"));
    let request = says(forms, |form| How::Postback(form.clone()));
    let refused = client.push_events(request).await.unwrap().into_inner().refused;
    assert_eq!(refused.len(), forms.len(), "a tap is one of ours");
    refused.len() as u64
}

/// What a follower types is a text, whatever it looks like.
async fn texts(world: &World, forms: &[String]) {
    let mut client = CarrierEventServiceClient::new(world.system.channel_of(KUMO, "information"));
    let request = says(forms, |form| How::Text(form.clone()));
    let refused = client.push_events(request).await.unwrap().into_inner().refused;
    assert!(refused.is_empty(), "{} texts are refused", refused.len());
}

/// A file or a place that somebody has sent over RCS Business Messaging is taken note of, and not fetched.
async fn files(world: &World, forms: &[String]) {
    let (client, webhook) = (Client::new(), world.system.webhook(NAMI));
    for (place, form) in forms.iter().enumerate() {
        let file = json!({ "mimeType": "image/png", "fileSizeBytes": 1, "fileUri": form });
        let mut event = json!({
            "agentId": format!("{BANK}-agent"), "senderPhoneNumber": "+818044440002", "messageId": format!("file-{place}"),
            "sendTime": SystemClock.now().to_string(),
        });
        let sent: Value = match place % 2 {
            0 => json!({ "userFile": { "payload": file, "thumbnail": file } }),
            _ => json!({ "text": form }),
        };
        event.as_object_mut().unwrap().extend(sent.as_object().unwrap().clone());
        let data = serde_json::to_vec(&event).unwrap();
        let signed = BASE64_STANDARD.encode(signature(CLIENT_TOKEN, &data));
        let request = client.post(&webhook).header("X-Goog-Signature", signed).body(envelope(&data));
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK, "{form}");
    }
}
