//! `musubi customers`: the customer master.
//!
//! Surprising: a file is sent as it is; the server reads its encoding and checks its rows, so that everybody is told the same.

use std::{io::Write, path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use futures::stream;
use indicatif::ProgressBar;
use musubi_domain::Error;
use musubi_proto::company::v1::{
    Customer, EntrustMasterRequest, EraseCustomerRequest, GetCustomerRequest, ImportCustomersRequest,
    ImportCustomersResponse, ListCopiesRequest, ListCustomersRequest, ListImportsRequest, PurgeMasterRequest,
    SearchCustomerRequest, customer_service_client::CustomerServiceClient,
};
use musubi_runtime::grpc::{MAX_MESSAGE_BYTES, client::PeerChannel};
use tokio::io::AsyncReadExt as _;

use super::{
    Connection, Ending, UPLOAD_DEADLINE,
    listing::{Format, Listing},
    progress, refused, rights, unreadable, unwritten,
    words::{parse_duration, show_time, thousands},
};

/// Bytes of a file in one part.
const PART: usize = 128 * 1024;

/// `musubi customers`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  musubi customers import master.csv --dry-run     what would change
  musubi customers import master.csv               the file becomes the master, all or nothing
  musubi customers history                         who brought in which file, and what became of it
  musubi customers list --all --format csv
  musubi customers show B000001
  musubi customers entrust --lease 30d --blind     keyed digests instead of customers
  musubi customers copies                          what is entrusted, and until when
  musubi customers erase B000001 --followers       the customer, and whoever is tied to them

MUSUBI_SERVER names the company server, MUSUBI_CERTIFICATE or MUSUBI_TOKEN says who you are.")]
pub struct Customers {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replace the master by a CSV file, UTF-8 or Shift_JIS. Any bad row: nothing changes, and the exit code is 1.
    Import {
        /// The file, with the columns customer_id, name, name_kana, birth_date, address, branch_number, account_number and
        /// identity_verification.
        file: PathBuf,
        /// Only check the file and say what would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// List the files that were sent to be the master, newest first: who, when, which file by its digest, what it did.
    History {
        /// How many at most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// How to write them.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// List customers by their ids.
    List {
        /// Customers to a page, 1 to 1,000.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        page_size: u32,
        /// Every page instead of the first.
        #[arg(long)]
        all: bool,
        /// How to write them.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show one customer.
    Show {
        /// Which.
        customer_id: String,
    },
    /// Entrust a copy of the master to the information-management server, which then decides matches itself.
    Entrust {
        /// How long the copy may be kept: 1m to 30d.
        #[arg(long, value_parser = parse_duration)]
        lease: Duration,
        /// Entrust keyed digests in place of customers.
        #[arg(long)]
        blind: bool,
    },
    /// Show what is entrusted, and what was purged. The exit code is 1 if the copy has to be entrusted again.
    Copies {
        /// How to write them.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Have the entrusted copy destroyed.
    Purge,
    /// Erase a customer from the master. The next file that is imported must not have them.
    Erase {
        /// Which.
        customer_id: String,
        /// Also everything that is held about the people who are tied to the customer, in every account.
        #[arg(long)]
        followers: bool,
    },
    /// Search the company server for a customer; the exit code is 0 only if nothing is held.
    ProveErased {
        /// Which.
        customer_id: String,
    },
}

type Client = CustomerServiceClient<PeerChannel>;

impl Customers {
    /// Does it, and writes the answer.
    pub(crate) async fn run(self, out: &mut dyn Write) -> Result<Ending, Error> {
        let channel = self.connection.channel()?;
        let client = |channel| Client::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let uploads = || client(channel.with_deadline(UPLOAD_DEADLINE));
        let client = client(channel.clone());
        match self.command {
            Command::Import { file, dry_run } => import(uploads(), file, dry_run, out).await,
            Command::List { page_size, all, format } => list(client, page_size, all, format, out).await,
            Command::History { limit, format } => history(client, limit, format, out).await,
            Command::Show { customer_id } => show(client, customer_id, out).await,
            Command::Entrust { lease, blind } => entrust(uploads(), lease, blind, out).await,
            Command::Copies { format } => copies(client, format, out).await,
            Command::Purge => purge(client, out).await,
            Command::Erase { customer_id, followers } => {
                // The ties first: without them nobody knows whose the followers were.
                if followers {
                    let asked = rights::erase_tied(channel, &customer_id, out).await?;
                    if asked == Ending::Refused {
                        let then = "the customer stays in the master until then; run this command again";
                        writeln!(out, "{then}").map_err(unwritten)?;
                        return Ok(asked);
                    }
                }
                erase(client, customer_id, out).await
            }
            Command::ProveErased { customer_id } => prove_erased(client, customer_id, out).await,
        }
    }
}

async fn import(
    mut client: Client,
    path: PathBuf,
    dry_run: bool,
    out: &mut dyn Write,
) -> Result<Ending, Error> {
    let broken = |error: std::io::Error| unreadable("FILE", &error);
    let file = tokio::fs::File::open(&path).await.map_err(broken)?;
    let size = file.metadata().await.map_err(broken)?.len();
    let bar = progress(size, "{bar:40} {bytes} of {total_bytes}  {msg}");
    let (failed, mut failure) = tokio::sync::mpsc::channel(1);
    let parts = stream::unfold((file, bar.clone()), move |(mut file, bar)| {
        let failed = failed.clone();
        async move {
            match part(&mut file, &bar).await {
                Ok(chunk) if chunk.is_empty() => None,
                Ok(chunk) => Some((ImportCustomersRequest { dry_run, chunk }, (file, bar))),
                Err(error) => {
                    // An upload that ends would be imported as if it were whole, so this one never ends.
                    let _nobody_listens = failed.send(error).await;
                    std::future::pending().await
                }
            }
        }
    });
    let response = tokio::select! {
        biased;
        Some(error) = failure.recv() => Err(unreadable("FILE", &error)),
        response = client.import_customers(parts) => response.map_err(refused),
    };
    bar.finish_and_clear();
    report(&response?.into_inner(), dry_run, out)
}

async fn part(file: &mut tokio::fs::File, bar: &ProgressBar) -> std::io::Result<Vec<u8>> {
    let mut chunk = vec![0; PART];
    let read = file.read(&mut chunk).await?;
    chunk.truncate(read);
    bar.inc(read as u64);
    if bar.length() == Some(bar.position()) {
        bar.set_message("checking");
    }
    Ok(chunk)
}

fn report(done: &ImportCustomersResponse, dry_run: bool, out: &mut dyn Write) -> Result<Ending, Error> {
    let rows = format!("{} rows ({})", thousands(done.rows), done.encoding);
    if done.errors.is_empty() {
        let [added, changed, removed] = [done.added, done.changed, done.removed].map(thousands);
        let verb = if dry_run { "an import would bring" } else { "imported:" };
        writeln!(out, "{rows}; {verb} {added} new, {changed} changed, {removed} removed")
            .map_err(unwritten)?;
        return Ok(Ending::Done);
    }
    let mut faults = Listing::new(&["line", "field", "problem", "remedy"]);
    for fault in &done.errors {
        faults.add([
            fault.line.to_string(),
            fault.field.clone(),
            fault.problem.clone(),
            fault.remedy.clone(),
        ]);
    }
    faults.write(Format::Table, out)?;
    let bad = thousands(done.error_count);
    writeln!(out, "{rows}; {bad} of them bad, so nothing was imported").map_err(unwritten)?;
    Ok(Ending::Refused)
}

const COLUMNS: &[&str] = &[
    "customer_id",
    "name",
    "name_kana",
    "birth_date",
    "address",
    "branch_number",
    "account_number",
    "identity_verification",
    "update_time",
];

fn row(customer: Customer) -> [String; 9] {
    let update_time = show_time(customer.update_time.as_ref());
    [
        customer.customer_id,
        customer.name,
        customer.name_kana,
        customer.birth_date,
        customer.address,
        customer.branch_number,
        customer.account_number,
        customer.identity_verification,
        update_time,
    ]
}

async fn list(
    mut client: Client,
    page_size: u32,
    all: bool,
    format: Format,
    out: &mut dyn Write,
) -> Result<Ending, Error> {
    let mut listing = Listing::new(COLUMNS);
    let (mut page_token, mut shown) = (String::new(), 0_usize);
    let total = loop {
        let request = ListCustomersRequest { page_size, page_token };
        let page = client.list_customers(request).await.map_err(refused)?.into_inner();
        shown += page.customers.len();
        page.customers.into_iter().for_each(|customer| listing.add(row(customer)));
        page_token = page.next_page_token;
        if !all || page_token.is_empty() {
            break page.total;
        }
    };
    listing.write(format, out)?;
    if format == Format::Table {
        let hint = if page_token.is_empty() { "" } else { "; --all shows every one" };
        writeln!(out, "{} of {} customers{hint}", thousands(shown as u64), thousands(total))
            .map_err(unwritten)?;
    }
    Ok(Ending::Done)
}

async fn show(mut client: Client, customer_id: String, out: &mut dyn Write) -> Result<Ending, Error> {
    let answer = client.get_customer(GetCustomerRequest { customer_id }).await.map_err(refused)?;
    let mut listing = Listing::new(&["field", "value"]);
    let values = row(answer.into_inner().customer.unwrap_or_default());
    COLUMNS.iter().zip(values).for_each(|(column, value)| listing.add([(*column).to_owned(), value]));
    listing.write(Format::Table, out)?;
    Ok(Ending::Done)
}

async fn entrust(
    mut client: Client,
    lease: Duration,
    blind: bool,
    out: &mut dyn Write,
) -> Result<Ending, Error> {
    let request = EntrustMasterRequest { lease_seconds: lease.as_secs(), blind };
    let entrusted = client.entrust_master(request).await.map_err(refused)?.into_inner();
    let end = show_time(entrusted.lease_end_time.as_ref());
    let kind = if entrusted.blind { " as digests" } else { "" };
    writeln!(out, "{} customers entrusted{kind} until {end}", thousands(entrusted.customers))
        .map_err(unwritten)?;
    Ok(Ending::Done)
}

async fn copies(mut client: Client, format: Format, out: &mut dyn Write) -> Result<Ending, Error> {
    let copies = client.list_copies(ListCopiesRequest {}).await.map_err(refused)?.into_inner().copies;
    let mut listing =
        Listing::new(&["kind", "customers", "entrust_time", "lease_end_time", "purge_time", "purge_reason"]);
    for copy in &copies {
        listing.add([
            if copy.blind { "blind" } else { "plain" }.to_owned(),
            copy.customers.to_string(),
            show_time(copy.entrust_time.as_ref()),
            show_time(copy.lease_end_time.as_ref()),
            show_time(copy.purge_time.as_ref()),
            copy.purge_reason.clone(),
        ]);
    }
    listing.write(format, out)?;
    // A copy that is gone needs nothing.
    let outdated = copies.iter().any(|copy| copy.outdated && copy.purge_reason.is_empty());
    if outdated && format == Format::Table {
        let told = "the copy is of other rules of matching and decides nothing: upgrade both servers to one version, and entrust again";
        writeln!(out, "{told}").map_err(unwritten)?;
    }
    Ok(if outdated { Ending::Refused } else { Ending::Done })
}

async fn history(
    mut client: Client,
    limit: u32,
    format: Format,
    out: &mut dyn Write,
) -> Result<Ending, Error> {
    let request = ListImportsRequest { page_size: limit, page_token: String::new() };
    let imports = client.list_imports(request).await.map_err(refused)?.into_inner().imports;
    let mut listing = Listing::new(&[
        "time", "operator", "result", "rows", "added", "changed", "removed", "bad_rows", "encoding", "sha256",
    ]);
    for import in imports {
        let counts = [import.rows, import.added, import.changed, import.removed, import.bad_rows];
        let [rows, added, changed, removed, bad_rows] = counts.map(|count| count.to_string());
        listing.add([
            show_time(import.import_time.as_ref()),
            import.operator,
            if import.bad_rows > 0 { "refused" } else { "imported" }.to_owned(),
            rows,
            added,
            changed,
            removed,
            bad_rows,
            import.encoding,
            import.file_digest,
        ]);
    }
    listing.write(format, out)?;
    Ok(Ending::Done)
}

async fn purge(mut client: Client, out: &mut dyn Write) -> Result<Ending, Error> {
    let purged = client.purge_master(PurgeMasterRequest {}).await.map_err(refused)?.into_inner().purged;
    writeln!(out, "the copy is destroyed; it held {} customers", thousands(purged)).map_err(unwritten)?;
    Ok(Ending::Done)
}

async fn erase(mut client: Client, customer_id: String, out: &mut dyn Write) -> Result<Ending, Error> {
    let request = EraseCustomerRequest { customer_id };
    let erased = client.erase_customer(request).await.map_err(refused)?.into_inner().erased;
    let said = if erased { "the customer is erased" } else { "the master has no such customer" };
    writeln!(out, "{said}").map_err(unwritten)?;
    Ok(Ending::Done)
}

async fn prove_erased(mut client: Client, customer_id: String, out: &mut dyn Write) -> Result<Ending, Error> {
    let found = client.search_customer(SearchCustomerRequest { customer_id }).await.map_err(refused)?;
    let tables = found.into_inner().tables;
    let mut listing = Listing::new(&["table", "rows"]);
    tables.iter().for_each(|table| listing.add([table.table.clone(), thousands(table.rows)]));
    listing.write(Format::Table, out)?;
    let nothing = tables.iter().all(|table| table.rows == 0);
    writeln!(out, "{}", if nothing { "nothing is held" } else { "something is held" }).map_err(unwritten)?;
    Ok(if nothing { Ending::Done } else { Ending::Refused })
}
