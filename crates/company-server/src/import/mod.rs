//! The import of a customer master: a CSV file becomes the master, all or nothing.
//!
//! The upload goes to a nameless file first, because its encoding is known only when the whole was seen; then its rows go to
//! the store's staging in batches, with the keys that matching compares, and one transaction makes them the master. Memory stays bounded but for the customer ids,
//! which are kept to find the ones that come twice. Surprising: once a row is bad nothing is staged any more, but the file is
//! read to its end, so that all faults are counted.

pub mod row;

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::File,
    sync::Arc,
    time::Duration,
};

use futures::{Stream, StreamExt as _, stream};
use jiff::{Timestamp, tz::offset};
use musubi_domain::{
    Error, ErrorKind,
    customer::{Customer, KeyedCustomer},
    id::{CustomerId, OperatorName},
};
use musubi_matching::{AccountFormat, keyed};
use musubi_proto::company::v1::ImportCustomersRequest;
use musubi_runtime::grpc::status::from_status;
use musubi_storage::company::{CompanyStore, FileDigest, ImportEnding, ImportTally, RefusedFile};
use sha2::{Digest as _, Sha256};
use tokio::{io::AsyncWriteExt as _, sync::mpsc, time::timeout};
use tonic::Status;

use self::row::{COLUMNS, RowRules};
use crate::{
    config::ImportConfig,
    csv_text::{CsvRows, Encoding},
};

/// The largest part of an upload, in bytes.
const LARGEST_PART: usize = 256 * 1024;
/// How many faults a report lists.
const LISTED_FAULTS: usize = 100;
/// Rows of one transaction.
const BATCH: usize = 1000;
/// Batches that wait for the store.
const BATCHES_AHEAD: usize = 4;
/// How long the next part of an upload may take. Nobody else imports meanwhile.
pub(crate) const NEXT_PART: Duration = Duration::from_secs(30);

/// What is wrong with one field of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowFault {
    /// The line where the row begins, from 1.
    pub(crate) line: u64,
    /// Field, problem and remedy.
    pub(crate) fault: Error,
}

/// What a file holds.
#[derive(Debug)]
pub(crate) struct FileReport {
    /// Rows read.
    pub(crate) rows: u64,
    /// Rows with a fault.
    pub(crate) bad_rows: u64,
    /// The first [`LISTED_FAULTS`] faults.
    pub(crate) faults: Vec<RowFault>,
    /// What the file is written in.
    pub(crate) encoding: Encoding,
}

/// What an import did; no tally when the file had bad rows.
#[derive(Debug)]
pub(crate) struct ImportReport {
    /// What the file holds.
    pub(crate) file: FileReport,
    /// What it did to the master, or would do.
    pub(crate) tally: Option<ImportTally>,
}

/// The parts of an upload, of which the next one may take so long.
///
/// # Errors
/// `chunk` when it does not come; a status's own error when the upload breaks off.
pub(crate) fn in_time(
    parts: impl Stream<Item = Result<ImportCustomersRequest, Status>> + Unpin + Send,
    within: Duration,
) -> impl Stream<Item = Result<ImportCustomersRequest, Error>> + Unpin + Send {
    Box::pin(stream::unfold(parts, move |mut parts| async move {
        let part = match timeout(within, parts.next()).await {
            Ok(part) => part?.map_err(|status| from_status(&status)),
            Err(_elapsed) => {
                let remedy = "send one part after the other, and end the upload";
                Err(Error::invalid("chunk", format!("nothing came for {within:?}"), remedy))
            }
        };
        Some((part, parts))
    }))
}

/// Writes an upload, whose first part is here already, to a nameless file in the temporary folder, which vanishes with the process. Gives
/// also the file's digest.
///
/// # Errors
/// `chunk` when a part or the whole is too large, or the stream's own.
pub(crate) async fn receive(
    first: Option<ImportCustomersRequest>,
    mut parts: impl Stream<Item = Result<ImportCustomersRequest, Error>> + Unpin,
    config: &ImportConfig,
) -> Result<(File, FileDigest), Error> {
    let largest = config.largest_file_mib * 1024 * 1024;
    let full = |error: std::io::Error| {
        Error::new(
            ErrorKind::Unavailable,
            format!("the upload can not be kept: {}", error.kind()),
            "repeat it",
        )
    };
    let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(full)?);
    let (mut next, mut size, mut digest) = (first, 0_u64, Sha256::new());
    while let Some(part) = next {
        size += part.chunk.len() as u64;
        if part.chunk.len() > LARGEST_PART {
            let problem = format!("{} bytes in one part", part.chunk.len());
            return Err(Error::invalid("chunk", problem, format!("send at most {LARGEST_PART}")));
        }
        if size > largest {
            let problem = format!("the file is larger than {} MiB", config.largest_file_mib);
            return Err(Error::invalid(
                "chunk",
                problem,
                "raise import.largest_file_mib, or send a smaller file",
            ));
        }
        digest.update(&part.chunk);
        file.write_all(&part.chunk).await.map_err(full)?;
        next = parts.next().await.transpose()?;
    }
    file.flush().await.map_err(full)?;
    Ok((file.into_std().await, digest.finalize().into()))
}

/// What a file is for.
#[derive(Clone, Copy)]
pub(crate) enum Ending<'a> {
    /// It becomes the master, by this person's word.
    Replace(&'a OperatorName, FileDigest),
    /// It is only compared.
    Compare,
}

/// Checks a file and, when every row is good, makes it the master, or only compares it.
///
/// # Errors
/// `file`, `header` when it can't be read as a master, the store's own.
pub(crate) async fn import(
    file: File,
    ending: Ending<'_>,
    format: AccountFormat,
    config: &ImportConfig,
    store: &Arc<dyn CompanyStore>,
    now: Timestamp,
) -> Result<ImportReport, Error> {
    let rules = RowRules { format, today: offset(9).to_datetime(now).date() };
    let most_rows = config.most_rows;
    let (batches, mut staged) = mpsc::channel(BATCHES_AHEAD);
    let reading = tokio::task::spawn_blocking(move || read(file, &rules, most_rows, &batches));
    let staging = async {
        store.begin_import().await?;
        while let Some(batch) = staged.recv().await {
            store.stage_customers(&batch).await?;
        }
        let file = reading.await;
        file.map_err(|_| Error::new(ErrorKind::Internal, "the reading of a file panicked", ""))?
    };
    let file: Result<FileReport, Error> = staging.await;
    if !file.as_ref().is_ok_and(|file| file.bad_rows == 0) {
        // What is staged is people's data, and has no use any more.
        store.begin_import().await?;
        let file = file?;
        if let Ending::Replace(by, digest) = ending {
            let (encoding, rows, bad_rows) = (file.encoding.as_str(), file.rows, file.bad_rows);
            store.record_refusal(&RefusedFile { now, encoding, digest, rows, bad_rows }, by).await?;
        }
        return Ok(ImportReport { file, tally: None });
    }
    let file = file?;
    let (ending, by) = match ending {
        Ending::Compare => (ImportEnding::Compare, None),
        Ending::Replace(by, digest) => {
            (ImportEnding::Replace { now, encoding: file.encoding.as_str(), digest }, Some(by))
        }
    };
    let tally = store.finish_import(ending, by).await?;
    Ok(ImportReport { file, tally: Some(tally) })
}

/// Reads and checks every row, and hands good ones on with their keys until the first bad one. On a blocking thread, beside the
/// staging of the batches before.
fn read(
    file: File,
    rules: &RowRules,
    most_rows: u64,
    batches: &mpsc::Sender<Vec<KeyedCustomer>>,
) -> Result<FileReport, Error> {
    let mut rows = CsvRows::open(file, &COLUMNS)?;
    let mut report = FileReport { rows: 0, bad_rows: 0, faults: vec![], encoding: rows.encoding() };
    let mut seen: HashMap<CustomerId, u64> = HashMap::new();
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(row) = rows.next_row()? {
        report.rows += 1;
        if report.rows > most_rows {
            let problem = format!("it has more than {most_rows} rows");
            return Err(Error::invalid("file", problem, "raise import.most_rows, or send a smaller file"));
        }
        let line = row.line();
        let parsed = row.values().map_err(|fault| vec![fault]).and_then(|values| row::parse(values, rules));
        match parsed.and_then(|customer| unique(customer, line, &mut seen).map_err(|fault| vec![fault])) {
            Ok(customer) if report.bad_rows == 0 => batch.push(keyed(customer)),
            Ok(_) => {}
            Err(faults) => {
                report.bad_rows += 1;
                let room = LISTED_FAULTS - report.faults.len();
                report.faults.extend(faults.into_iter().take(room).map(|fault| RowFault { line, fault }));
            }
        }
        if batch.len() == BATCH
            && batches.blocking_send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).is_err()
        {
            return Err(Error::new(ErrorKind::Unavailable, "the import was given up", "repeat it"));
        }
    }
    if report.rows == 0 {
        let remedy = "send every customer; an import never empties the master";
        return Err(Error::invalid("file", "it has a header and no rows", remedy));
    }
    // Nobody listens any more only when the store failed, and then its error stands.
    let _ = batches.blocking_send(batch);
    Ok(report)
}

fn unique(customer: Customer, line: u64, seen: &mut HashMap<CustomerId, u64>) -> Result<Customer, Error> {
    match seen.entry(customer.customer_id.clone()) {
        Entry::Vacant(place) => {
            place.insert(line);
            Ok(customer)
        }
        Entry::Occupied(first) => Err(Error::invalid(
            "customer_id",
            format!("the same as in line {}", first.get()),
            "give each customer one row and an id of its own",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_upload_that_stands_still_is_refused() {
        let part = || ImportCustomersRequest { dry_run: false, chunk: b"customer_id".to_vec() };
        let silent = stream::iter([Ok(part()), Ok(part())]).chain(stream::pending());
        let config = ImportConfig { largest_file_mib: 1, most_rows: 1 };
        let parts = in_time(silent, Duration::from_millis(20));
        let error = receive(Some(part()), parts, &config).await.unwrap_err();
        assert_eq!((error.field.as_str(), error.problem.as_str()), ("chunk", "nothing came for 20ms"));
    }
}
