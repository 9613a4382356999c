//! `musubi reviews`: matches that people decide.
//!
//! Attested and master stand side by side; the verdict on each field is made on this side, by the same crate that decides matches.
//! Surprising: what is shown comes from two servers. The company's own master is read by its own call, so that no master row
//! ever travels with a review.

use std::io::Write;

use clap::{Args, Subcommand};
use musubi_company_server::side_by_side::{Field, side_by_side as beside};
use musubi_domain::{Error, ErrorKind, review::ReviewState as State};
use musubi_proto::{
    company::v1::{Customer, GetCustomerRequest, customer_service_client::CustomerServiceClient},
    information::v1::{
        ApproveReviewRequest, GetReviewRequest, GetReviewResponse, ListReviewsRequest, RejectReviewRequest,
        Review, ReviewState, ReviewSubject, review_service_client::ReviewServiceClient,
    },
};
use musubi_runtime::grpc::{MAX_MESSAGE_BYTES, client::PeerChannel, status::from_status};

use super::{
    Connection, Ending,
    listing::{Format, Listing},
    refused, unwritten,
    words::{method_word, parse_review_state, review_state_word, show_time, thousands, verdict_word},
};
use crate::matching::{reasons, verdict};

/// Reviews of a page.
const PAGE: u32 = 1000;
/// Those that wait for an operator.
const WAITING: [ReviewState; 2] = [ReviewState::Open, ReviewState::ApprovedOnce];

/// `musubi reviews`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  musubi reviews list                              what waits for a decision, the oldest first
  musubi reviews list --state rejected --format csv
  musubi reviews show rev_0190…                    attested and master side by side, and why it could not be decided
  musubi reviews approve rev_0190…                 ties the customer; the person is told that they are confirmed
  musubi reviews reject rev_0190…                  the person is told that it could not be confirmed, and nothing else

Who looks and who decides is recorded by name. A review that nobody decides in time is rejected.

MUSUBI_SERVER names the company server, MUSUBI_CERTIFICATE or MUSUBI_TOKEN says who you are.")]
pub struct Reviews {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List reviews, those that began first in front; without --state those that wait.
    List {
        /// Only those that stand there: open, approved_once, approved, rejected, expired, withdrawn.
        #[arg(long, value_parser = parse_review_state)]
        state: Option<State>,
        /// Only this account's.
        #[arg(long, value_name = "ACCOUNT", default_value = "", hide_default_value = true)]
        official_account: String,
        /// How to write them.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show one review: what was attested beside what the master has, and what an approval would do. It is recorded that you
    /// looked.
    Show {
        /// Which.
        review_id: String,
    },
    /// The person is the customer: tie them, or be the first of two who say so.
    Approve {
        /// Which.
        review_id: String,
    },
    /// The person is not the customer, or it can't be told.
    Reject {
        /// Which.
        review_id: String,
    },
}

type Client = ReviewServiceClient<PeerChannel>;

impl Reviews {
    /// Does it, and writes the answer.
    pub(crate) async fn run(self, out: &mut dyn Write) -> Result<Ending, Error> {
        let channel = self.connection.channel()?;
        let client = Client::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        match self.command {
            Command::List { state, official_account, format } => {
                let states = state.map_or(WAITING.to_vec(), |state| vec![state.into()]);
                list(client, &states, official_account, format, out).await?;
            }
            Command::Show { review_id } => show(client, channel, review_id, out).await?,
            Command::Approve { review_id } => approve(client, review_id, out).await?,
            Command::Reject { review_id } => reject(client, review_id, out).await?,
        }
        Ok(Ending::Done)
    }
}

const COLUMNS: &[&str] = &[
    "review_id",
    "official_account",
    "follower_id",
    "customer_id",
    "reasons",
    "state",
    "decided_by",
    "open_time",
    "expire_time",
    "close_time",
];

fn row(review: Review) -> [String; 10] {
    let state = review_state_word(review.state());
    let who: Vec<String> = review.decisions.into_iter().map(|decision| decision.operator).collect();
    let [open_time, expire_time, close_time] =
        [&review.open_time, &review.expire_time, &review.close_time].map(|time| show_time(time.as_ref()));
    [
        review.review_id,
        review.official_account,
        review.follower_id,
        review.customer_id,
        review.reasons.join(" "),
        state,
        who.join(" "),
        open_time,
        expire_time,
        close_time,
    ]
}

async fn list(
    mut client: Client,
    states: &[ReviewState],
    official_account: String,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut listing = Listing::new(COLUMNS);
    let mut count = 0;
    for state in states {
        let mut page_token = String::new();
        loop {
            let request = ListReviewsRequest {
                official_account: official_account.clone(),
                state: (*state).into(),
                page_size: PAGE,
                page_token,
            };
            let page = client.list_reviews(request).await.map_err(refused)?.into_inner();
            count += page.reviews.len() as u64;
            page.reviews.into_iter().for_each(|review| listing.add(row(review)));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
    }
    if format != Format::Table {
        return listing.write(format, out);
    }
    listing
        .only(&["review_id", "official_account", "customer_id", "reasons", "state", "expire_time"])
        .write(format, out)?;
    let hint = if count > 0 { "; musubi reviews show ID tells more" } else { "" };
    writeln!(out, "{} reviews{hint}", thousands(count)).map_err(unwritten)
}

async fn show(
    mut client: Client,
    channel: PeerChannel,
    review_id: String,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let request = GetReviewRequest { review_id, operator: String::new() };
    let answer = client.get_review(request).await.map_err(refused)?.into_inner();
    let review = answer.review.clone().unwrap_or_default();
    let customer = master_row(channel, &review.customer_id).await?;
    head(&answer, &review, out)?;
    match &answer.subject {
        Some(subject) => side_by_side(subject, customer.as_ref(), out)?,
        None => writeln!(out, "It waits no more, so nothing of the person is kept.").map_err(unwritten)?,
    }
    history(&review, out)?;
    for sentence in warnings(&answer, &review, customer.is_some()) {
        writeln!(out, "{sentence}").map_err(unwritten)?;
    }
    Ok(())
}

/// The proposed customer as the company's own master has them now.
async fn master_row(channel: PeerChannel, customer_id: &str) -> Result<Option<Customer>, Error> {
    if customer_id.is_empty() {
        return Ok(None);
    }
    let request = GetCustomerRequest { customer_id: customer_id.to_owned() };
    match CustomerServiceClient::new(channel).get_customer(request).await {
        Ok(found) => Ok(found.into_inner().customer),
        Err(status) if from_status(&status).kind == ErrorKind::NotFound => Ok(None),
        Err(status) => Err(refused(status)),
    }
}

fn head(answer: &GetReviewResponse, review: &Review, out: &mut dyn Write) -> Result<(), Error> {
    let [opened, expires, closed] =
        [&review.open_time, &review.expire_time, &review.close_time].map(|time| show_time(time.as_ref()));
    let mut listing = Listing::new(&["review", ""]);
    for (name, value) in [
        ("review_id", review.review_id.clone()),
        ("state", review_state_word(review.state())),
        ("official_account", review.official_account.clone()),
        ("follower_id", review.follower_id.clone()),
        ("phone_number", answer.phone_number.clone()),
        ("customer_id", review.customer_id.clone()),
        ("method", method_word(review.method())),
        ("reasons", review.reasons.join(" ")),
        ("open_time", opened),
        ("expire_time", expires),
        ("close_time", closed),
    ] {
        if !value.is_empty() {
            listing.add([name.to_owned(), value]);
        }
    }
    listing.write(Format::Table, out)
}

fn side_by_side(
    subject: &ReviewSubject,
    customer: Option<&Customer>,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut listing = Listing::new(&["field", "attested", "master", "verdict", "reasons"]);
    for Field { name, attested, master, compared } in beside(subject, customer) {
        let name = if name == "account" { "account (typed)" } else { name };
        listing.add([
            name.to_owned(),
            attested,
            master,
            compared.as_ref().map_or("", verdict).to_owned(),
            compared.as_ref().map(|compared| reasons(compared).replace(',', " ")).unwrap_or_default(),
        ]);
    }
    listing.write(Format::Table, out)
}

fn history(review: &Review, out: &mut dyn Write) -> Result<(), Error> {
    if review.decisions.is_empty() {
        return Ok(());
    }
    let mut listing = Listing::new(&["operator", "said", "time"]);
    for decision in &review.decisions {
        let time = show_time(decision.decide_time.as_ref());
        listing.add([decision.operator.clone(), verdict_word(decision.verdict()), time]);
    }
    listing.write(Format::Table, out)
}

/// What an operator has to know before they decide.
fn warnings(answer: &GetReviewResponse, review: &Review, in_master: bool) -> Vec<String> {
    if !WAITING.contains(&review.state()) {
        return Vec::new();
    }
    let customer = &review.customer_id;
    let mut sentences = Vec::new();
    if customer.is_empty() {
        sentences.push("No customer is proposed, so it can only be rejected.".to_owned());
    } else if !in_master {
        sentences.push(format!("The master has no {customer} any more."));
    }
    if !answer.tied_phone_number.is_empty() {
        let number = &answer.tied_phone_number;
        sentences.push(format!(
            "{customer} is tied to {number} now. To approve means that they moved: that tie ends."
        ));
    }
    if !answer.former_customer_id.is_empty() && answer.former_customer_id != *customer {
        let former = &answer.former_customer_id;
        sentences.push(format!("{} was tied to {former} before.", answer.phone_number));
    }
    if answer.second_person_required {
        sentences.push("Two operators have to approve it; one may reject it.".to_owned());
    }
    sentences
}

async fn approve(mut client: Client, review_id: String, out: &mut dyn Write) -> Result<(), Error> {
    let request = ApproveReviewRequest { review_id, operator: String::new() };
    let answer = client.approve_review(request).await.map_err(refused)?.into_inner();
    let review = answer.review.unwrap_or_default();
    if review.state() == ReviewState::ApprovedOnce {
        let sentence =
            "approved once; another operator has to approve it too. Nobody is tied or told anything yet";
        return writeln!(out, "{sentence}").map_err(unwritten);
    }
    writeln!(
        out,
        "approved: {} is tied to {}; the person is told that the confirmation is complete",
        review.customer_id, review.follower_id
    )
    .map_err(unwritten)?;
    if !answer.ended_follower_id.is_empty() {
        let ended = &answer.ended_follower_id;
        writeln!(out, "the customer's tie to {ended} has ended; its person is told nothing")
            .map_err(unwritten)?;
    }
    Ok(())
}

async fn reject(mut client: Client, review_id: String, out: &mut dyn Write) -> Result<(), Error> {
    let request = RejectReviewRequest { review_id, operator: String::new() };
    client.reject_review(request).await.map_err(refused)?;
    writeln!(out, "rejected; the person is told that it could not be confirmed, and nothing else")
        .map_err(unwritten)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut dyn Write) -> Result<(), Error>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn subject() -> ReviewSubject {
        ReviewSubject {
            account_number: "0076317".to_owned(),
            branch_number: "760".to_owned(),
            name: "宮本　真和".to_owned(),
            name_kana: "ﾐﾔﾓﾄ ﾏﾅ".to_owned(),
            birth_date: "1948-05-04".to_owned(),
            address: "横浜市鶴見区駒岡5-5-15".to_owned(),
        }
    }

    fn customer() -> Customer {
        Customer {
            customer_id: "B1".to_owned(),
            name: "宮本 真和".to_owned(),
            name_kana: "ミヤモト マナ".to_owned(),
            birth_date: "1948-05-14".to_owned(),
            address: "神奈川県横浜市鶴見区駒岡五丁目5-15".to_owned(),
            branch_number: "760".to_owned(),
            // As masters have it: a short number without its zeros.
            account_number: "76317".to_owned(),
            ..Customer::default()
        }
    }

    #[test]
    fn each_field_stands_beside_the_masters_with_its_verdict() {
        let text = written(|out| side_by_side(&subject(), Some(&customer()), out));
        let row =
            |field: &str| text.lines().find(|line| line.trim_start().starts_with(field)).unwrap().to_owned();
        for (field, verdict, reason) in [
            ("name ", "equal", "name.space"),
            ("name_kana", "equal", "kana.width"),
            ("birth_date", "review", "birth_date."),
            ("address", "equal", "address.prefecture_missing"),
            ("account", "equal", "account.equal"),
        ] {
            let row = row(field);
            assert!(row.contains(verdict) && row.contains(reason), "{row}");
        }
        let alone = written(|out| side_by_side(&subject(), None, out));
        assert!(
            alone.contains("宮本") && !alone.contains("equal") && !alone.contains("different"),
            "{alone}"
        );
    }

    #[test]
    fn what_an_approval_would_do_is_said_before_it_and_only_while_it_waits() {
        let review = Review {
            customer_id: "B1".to_owned(),
            state: ReviewState::ApprovedOnce.into(),
            ..Review::default()
        };
        let answer = GetReviewResponse {
            phone_number: "+818011110001".to_owned(),
            tied_phone_number: "+818022220002".to_owned(),
            former_customer_id: "B9".to_owned(),
            second_person_required: true,
            ..GetReviewResponse::default()
        };
        let said = warnings(&answer, &review, false).join("\n");
        for part in [
            "The master has no B1 any more.",
            "B1 is tied to +818022220002 now. To approve means that they moved: that tie ends.",
            "+818011110001 was tied to B9 before.",
            "Two operators have to approve it",
        ] {
            assert!(said.contains(part), "no {part} in {said}");
        }
        let closed = Review { state: ReviewState::Approved.into(), ..review.clone() };
        assert!(warnings(&answer, &closed, true).is_empty());
        let plain = GetReviewResponse { former_customer_id: "B1".to_owned(), ..GetReviewResponse::default() };
        assert!(warnings(&plain, &review, true).is_empty(), "the same customer came back");
        let nobody = Review { customer_id: String::new(), ..review };
        assert!(warnings(&plain, &nobody, false)[0].contains("only be rejected"));
    }
}
