//! `musubi distributions`: what is sent to followers.
//!
//! Surprising: `create` sends nothing at all while anything in its files is wrong, and makes a draft that sends nothing until it
//! is started, which to many followers is another person's deed.

use std::{io::Write, path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use futures::stream;
use indicatif::ProgressBar;
use jiff::Timestamp;
use musubi_company_server::values::Values;
use musubi_domain::{Error, content::Card, distribution::State, template::Template};
use musubi_proto::{
    convert::content::timestamp,
    information::v1::{
        CancelDistributionRequest, CreateDistributionRequest, Distribution, DistributionState,
        GetDistributionRequest, GetDistributionResponse, ListDistributionsRequest, PauseDistributionRequest,
        PreviewDistributionRequest, PreviewDistributionResponse, ResumeDistributionRequest,
        ReturnDistributionRequest, StartDistributionRequest, SubmitDistributionRequest, UploadValuesRequest,
        distribution_service_client::DistributionServiceClient,
    },
};
use musubi_runtime::{
    entropy,
    grpc::{MAX_MESSAGE_BYTES, client::PeerChannel},
};

use super::{
    Connection, Ending, UPLOAD_DEADLINE,
    distribution_file::{VariableArg, open_values, text},
    listing::{Format, Listing},
    progress, refused,
    trials::Try,
    unwritten,
    words::{parse_state, parse_time, show_time, state_word, thousands},
};

/// Customers of one chunk of values.
const CHUNK: usize = 1000;
/// How often a watched distribution is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// `musubi distributions`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  musubi distributions create --official-account tf-bank --name 'December points' \\
      --uniform-text everybody.txt --individual-text yours.txt \\
      --variable name:text --variable points:integer --values points.csv
  musubi distributions preview dst_…      who would get which, with samples
  musubi distributions test dst_… --to +819012345678      to one's own phone first
  musubi distributions submit dst_…       it is ready: nobody changes it any more
  musubi distributions list --state submitted             what waits, as an approver asks for it
  musubi distributions start dst_…        by an approver; if it goes to many, by one who has not prepared it
  musubi distributions return dst_…       or back to those who prepared it
  musubi distributions watch dst_…        live counts until it ends; ctrl-c leaves it running

A text holds its variables in braces: `{name}様、{points}ポイントです`. The values file is CSV with a column customer_id and one
for each variable. MUSUBI_SERVER names the company server, MUSUBI_CERTIFICATE or MUSUBI_TOKEN says who you are.")]
pub struct Distributions {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a draft. It sends nothing until it is started.
    Create(Box<Create>),
    /// Show who would get which message, with samples.
    Preview(Which),
    /// Send it to a few followers who are named, before everybody gets it; each gets what is theirs, under a label.
    Test(Try),
    /// Say that a draft is ready. It takes no values from then on, and waits for who starts it.
    Submit(Which),
    /// Send back what was submitted, or take it back: it is a draft again.
    Return(Which),
    /// Approve it: start what was submitted, now or at its start time, or a draft to few followers. One to many is started by somebody who has not
    /// prepared it.
    Start(Which),
    /// Show where one stands.
    Show(Which),
    /// Hold one: no message leaves until it is resumed.
    Pause(Which),
    /// Go on where it was paused.
    Resume(Which),
    /// End one for ever.
    Cancel(Which),
    /// List distributions, newest first.
    List {
        /// Only this account's.
        #[arg(long, value_name = "ACCOUNT", default_value = "", hide_default_value = true)]
        official_account: String,
        /// Only those that stand there: draft, submitted, running, paused, completed, cancelled.
        #[arg(long, value_parser = parse_state)]
        state: Option<State>,
        /// How to write them.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show the counts as they change, until it ends; ctrl-c leaves it running.
    Watch(Which),
}

#[derive(Debug, Args)]
struct Which {
    /// dst_ and 32 hexadecimal digits.
    distribution_id: String,
}

#[derive(Debug, Args)]
struct Create {
    /// Whose followers.
    #[arg(long, value_name = "ACCOUNT")]
    official_account: String,
    /// A name for people.
    #[arg(long)]
    name: String,
    /// The text for everybody who is not confirmed or has no values; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    uniform_text: PathBuf,
    /// The text for confirmed followers with values.
    #[arg(long, value_name = "FILE", requires = "values")]
    individual_text: Option<PathBuf>,
    /// A variable of the individual text and its kind: text, integer, yen or date. Once for each.
    #[arg(long = "variable", value_name = "NAME:KIND", requires = "individual_text")]
    variables: Vec<VariableArg>,
    /// A title above the individual text, which makes it a card.
    #[arg(long, value_name = "TEXT", requires = "individual_text")]
    individual_title: Option<String>,
    /// A picture above it: an https address at a host of the company's list.
    #[arg(long, value_name = "URL", requires = "individual_text")]
    individual_image: Option<String>,
    /// The same above the uniform text.
    #[arg(long, value_name = "TEXT")]
    uniform_title: Option<String>,
    /// A picture above the uniform text.
    #[arg(long, value_name = "URL")]
    uniform_image: Option<String>,
    /// The values: a CSV file, UTF-8 or Shift_JIS.
    #[arg(long, value_name = "FILE.csv", requires = "individual_text")]
    values: Option<PathBuf>,
    /// Not before: 2026-12-01T09:00 in Japanese time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    start: Option<Timestamp>,
    /// Not after; what is not sent by then expires.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    expire: Option<Timestamp>,
    /// Messages a second at the most, over each carrier; 0 is as fast as carriers take them.
    #[arg(long, default_value_t = 0)]
    rate: u32,
}

type Client = DistributionServiceClient<PeerChannel>;

/// Calls a method that takes an id and gives the distribution, and shows it.
macro_rules! command {
    ($client:ident.$method:ident($request:ident $(, $absent:ident)?), $which:ident, $out:ident) => {{
        let request = $request {
            distribution_id: $which.distribution_id,
            operator: String::new(),
            $($absent: None,)?
        };
        let answer = $client.$method(request).await.map_err(refused)?.into_inner();
        show(&answer.distribution.unwrap_or_default(), $out)?;
    }};
}

impl Distributions {
    /// Does it, and writes the answer.
    pub(crate) async fn run(self, out: &mut dyn Write) -> Result<Ending, Error> {
        let channel = self.connection.channel()?;
        let mut client = Client::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        match self.command {
            Command::Create(create) => {
                let uploads = Client::new(channel.with_deadline(UPLOAD_DEADLINE));
                return create.run(client, uploads, out).await;
            }
            Command::Preview(which) => {
                let request = PreviewDistributionRequest {
                    distribution_id: which.distribution_id,
                    operator: String::new(),
                };
                preview(&client.preview_distribution(request).await.map_err(refused)?.into_inner(), out)?;
            }
            Command::Test(it) => return it.run(client, out).await,
            Command::Submit(which) => {
                let id = which.distribution_id.clone();
                command!(client.submit_distribution(SubmitDistributionRequest), which, out);
                let next = format!("musubi distributions preview {id}, then start or return");
                writeln!(out, "next: an approver runs {next}").map_err(unwritten)?;
            }
            Command::Return(which) => {
                command!(client.return_distribution(ReturnDistributionRequest), which, out)
            }
            Command::Start(which) => {
                command!(client.start_distribution(StartDistributionRequest, submit_time), which, out)
            }
            Command::Show(which) => {
                let request = GetDistributionRequest { distribution_id: which.distribution_id };
                let answer = client.get_distribution(request).await.map_err(refused)?.into_inner();
                show(&answer.distribution.clone().unwrap_or_default(), out)?;
                show_taps(&answer, out)?;
            }
            Command::Pause(which) => {
                command!(client.pause_distribution(PauseDistributionRequest), which, out)
            }
            Command::Resume(which) => {
                command!(client.resume_distribution(ResumeDistributionRequest), which, out)
            }
            Command::Cancel(which) => {
                command!(client.cancel_distribution(CancelDistributionRequest), which, out)
            }
            Command::List { official_account, state, format } => {
                let state = state.map_or(DistributionState::Unspecified, Into::into).into();
                let request = ListDistributionsRequest { official_account, state };
                let answer = client.list_distributions(request).await.map_err(refused)?.into_inner();
                list(answer.distributions, format, out)?;
            }
            Command::Watch(which) => {
                tokio::select! {
                    ended = watch(client, which.distribution_id, out) => ended?,
                    _ = tokio::signal::ctrl_c() => {}
                }
            }
        }
        Ok(Ending::Done)
    }
}

impl Create {
    async fn run(self, mut client: Client, uploads: Client, out: &mut dyn Write) -> Result<Ending, Error> {
        let uniform = parsed(
            "--uniform-text",
            Template::parse(&text("--uniform-text", &self.uniform_text)?, vec![], vec![])
                .and_then(|it| it.with_card(card(&self.uniform_title, &self.uniform_image))),
        )?;
        let individual = self.individual()?;
        let mut rows = 0;
        if let (Some(template), Some(path)) = (&individual, &self.values) {
            let checked = open_values(path, template)?.check(template)?;
            rows = checked.rows;
            if checked.bad_rows > 0 {
                let mut faults = Listing::new(&["line", "field", "problem", "remedy"]);
                for fault in checked.faults {
                    let Error { field, problem, remedy, kind: _ } = fault.error;
                    faults.add([fault.line.to_string(), field, problem, remedy]);
                }
                faults.write(Format::Table, out)?;
                let [rows, bad] = [checked.rows, checked.bad_rows].map(thousands);
                writeln!(out, "{rows} rows; {bad} of them bad, so nothing was made").map_err(unwritten)?;
                return Ok(Ending::Refused);
            }
        }
        let request = CreateDistributionRequest {
            request_id: uuid::Builder::from_random_bytes(entropy::bytes()).into_uuid().to_string(),
            official_account: self.official_account,
            name: self.name,
            uniform: Some(uniform.into()),
            individual: individual.clone().map(Into::into),
            start_time: self.start.map(timestamp),
            expire_time: self.expire.map(timestamp),
            messages_per_second: self.rate,
            operator: String::new(),
        };
        let made = client.create_distribution(request).await.map_err(refused)?.into_inner();
        let mut made = made.distribution.unwrap_or_default();
        if let (Some(template), Some(path)) = (&individual, &self.values) {
            let values = open_values(path, template)?;
            made.values = upload(uploads, made.distribution_id.clone(), values, rows).await?;
        }
        show(&made, out)?;
        writeln!(out, "next: musubi distributions preview {}", made.distribution_id).map_err(unwritten)?;
        Ok(Ending::Done)
    }

    fn individual(&self) -> Result<Option<Template>, Error> {
        let Some(path) = &self.individual_text else { return Ok(None) };
        let variables = self.variables.iter().map(|variable| variable.0.clone()).collect();
        let parsed_text = Template::parse(&text("--individual-text", path)?, vec![], variables)
            .and_then(|it| it.with_card(card(&self.individual_title, &self.individual_image)));
        parsed("--individual-text", parsed_text).map(Some)
    }
}

/// What makes a message a card, if anything does.
fn card(title: &Option<String>, image_url: &Option<String>) -> Option<Card> {
    let card = Card { title: title.clone(), image_url: image_url.clone() };
    (title.is_some() || image_url.is_some()).then_some(card)
}

/// A template, or what is wrong with it, named by the argument.
fn parsed(argument: &str, template: Result<Template, Error>) -> Result<Template, Error> {
    template.map_err(|error| {
        let field = format!("{argument}: {}", error.field);
        error.at(field)
    })
}

/// Sends all values, and gives how many customers have some.
async fn upload(
    mut client: Client,
    distribution_id: String,
    values: Values,
    rows: u64,
) -> Result<u64, Error> {
    let bar = progress(rows, "{bar:40} {human_pos} of {human_len} customers");
    let (chunks, sent) = tokio::sync::mpsc::channel(2);
    let counted: ProgressBar = bar.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let mut values = values;
        loop {
            let customers = values.next_chunk(CHUNK)?;
            let count = customers.len() as u64;
            let distribution_id = distribution_id.clone();
            let chunk = UploadValuesRequest { distribution_id, customers, operator: String::new() };
            if count == 0 || chunks.blocking_send(chunk).is_err() {
                return Ok::<_, Error>(());
            }
            counted.inc(count);
        }
    });
    let sent = stream::unfold(sent, |mut sent| async move { sent.recv().await.map(|chunk| (chunk, sent)) });
    let stored = client.upload_values(sent).await.map_err(refused)?.into_inner().values;
    bar.finish_and_clear();
    let changed = || Error::invalid("--values", "the file changed while it was sent", "create it again");
    reading.await.map_err(|_| changed())??;
    if stored != rows {
        return Err(changed());
    }
    Ok(stored)
}

fn show(distribution: &Distribution, out: &mut dyn Write) -> Result<(), Error> {
    let mut listing = Listing::new(&["field", "value"]);
    let mut add = |field: &str, value: String| {
        if !value.is_empty() {
            listing.add([field.to_owned(), value]);
        }
    };
    add("distribution", distribution.distribution_id.clone());
    add("name", distribution.name.clone());
    add("official account", distribution.official_account.clone());
    add("state", state_word(distribution.state()));
    add("customers with values", thousands(distribution.values));
    add("deliveries", thousands(distribution.created));
    for delivery in &distribution.deliveries {
        add(&format!("  {} {}", delivery.kind, delivery.state), thousands(delivery.count));
    }
    add("prepared by", distribution.prepared_by.join(" "));
    add("submitted by", distribution.submitted_by.clone());
    add("submitted", show_time(distribution.submit_time.as_ref()));
    add("made", show_time(distribution.create_time.as_ref()));
    add("not before", show_time(distribution.start_time.as_ref()));
    add("not after", show_time(distribution.expire_time.as_ref()));
    add("ended", show_time(distribution.end_time.as_ref()));
    listing.write(Format::Table, out)
}

/// How often each button was tapped, if there are buttons.
fn show_taps(answer: &GetDistributionResponse, out: &mut dyn Write) -> Result<(), Error> {
    let mut listing = Listing::new(&["message", "button", "taps"]);
    let taps = answer.distribution.as_ref().map_or(&[][..], |distribution| &distribution.taps);
    let mut any = false;
    for (kind, template) in [("individual", &answer.individual), ("uniform", &answer.uniform)] {
        let buttons = template.as_ref().map_or(&[][..], |template| &template.suggestions);
        for (place, button) in (0..).zip(buttons) {
            let counts = taps.iter().filter(|tap| tap.kind == kind && tap.place == place);
            let count: u64 = counts.map(|tap| tap.count).sum();
            listing.add([kind.to_owned(), button.text.clone(), thousands(count)]);
            any = true;
        }
    }
    if any { listing.write(Format::Table, out) } else { Ok(()) }
}

fn preview(preview: &PreviewDistributionResponse, out: &mut dyn Write) -> Result<(), Error> {
    let mut listing = Listing::new(&["who", "followers"]);
    for (who, count) in [
        ("get the individual message", preview.individual),
        ("get the uniform message", preview.uniform),
        ("  of these confirmed, but without values", preview.confirmed_without_values),
        ("values whose customer is no confirmed follower", preview.values_without_follower),
    ] {
        listing.add([who.to_owned(), thousands(count)]);
    }
    listing.write(Format::Table, out)?;
    let samples = preview.individual_samples.iter().map(|sample| ("individual", sample));
    for (kind, sample) in samples.chain(preview.uniform_sample.iter().map(|sample| ("uniform", sample))) {
        writeln!(out, "--- {kind}\n{}", sample.text).map_err(unwritten)?;
    }
    Ok(())
}

fn list(distributions: Vec<Distribution>, format: Format, out: &mut dyn Write) -> Result<(), Error> {
    let mut listing = Listing::new(&[
        "distribution_id",
        "official_account",
        "name",
        "state",
        "values",
        "deliveries",
        "create_time",
    ]);
    for distribution in distributions {
        let state = state_word(distribution.state());
        let create_time = show_time(distribution.create_time.as_ref());
        listing.add([
            distribution.distribution_id,
            distribution.official_account,
            distribution.name,
            state,
            distribution.values.to_string(),
            distribution.created.to_string(),
            create_time,
        ]);
    }
    listing.write(format, out)
}

/// Writes a line whenever a count or the state changed, until it ends.
async fn watch(mut client: Client, distribution_id: String, out: &mut dyn Write) -> Result<(), Error> {
    let mut before = String::new();
    loop {
        let request = GetDistributionRequest { distribution_id: distribution_id.clone() };
        let answer = client.get_distribution(request).await.map_err(refused)?.into_inner();
        let distribution = answer.distribution.unwrap_or_default();
        let now = counts(&distribution);
        if now != before {
            writeln!(out, "{now}").and_then(|()| out.flush()).map_err(unwritten)?;
            before = now;
        }
        match distribution.state() {
            DistributionState::Completed | DistributionState::Cancelled => return Ok(()),
            DistributionState::Unspecified
            | DistributionState::Draft
            | DistributionState::Submitted
            | DistributionState::Running
            | DistributionState::Paused => tokio::time::sleep(LOOK).await,
        }
    }
}

fn counts(distribution: &Distribution) -> String {
    let mut line =
        format!("{}: {} deliveries", state_word(distribution.state()), thousands(distribution.created));
    for delivery in &distribution.deliveries {
        line.push_str(&format!(", {} {} {}", thousands(delivery.count), delivery.kind, delivery.state));
    }
    line
}
