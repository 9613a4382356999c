//! The file of `musubi followers import`: who agreed elsewhere to hear from an account, where and when.
//!
//! The whole file is read and checked before anything is sent. Surprising: what was sent stays when a later batch fails; the same command again
//! goes on, because who follows already is left as they are.

use std::{collections::HashMap, fs::File, io::Write, path::Path};

use musubi_company_server::csv_text::{CsvRows, Row};
use musubi_domain::{Error, phone_number::PhoneNumber};
use musubi_proto::{
    convert::content::timestamp,
    information::v1::{
        ImportFollowersRequest, ImportedConsent, follower_service_client::FollowerServiceClient,
    },
};
use musubi_runtime::grpc::client::PeerChannel;

use super::{
    Ending,
    listing::{Format, Listing},
    progress, refused, unreadable, unwritten,
    words::{parse_time, thousands},
};

/// Consents of one request.
const BATCH: usize = 1_000;
/// How many faults are listed.
const LISTED_FAULTS: usize = 100;
/// The longest source, in characters.
const SOURCE: usize = 200;

/// Brings them in, or only checks the file.
pub(super) async fn import(
    mut client: FollowerServiceClient<PeerChannel>,
    official_account: String,
    carrier: String,
    file: &Path,
    dry_run: bool,
    out: &mut dyn Write,
) -> Result<Ending, Error> {
    let (consents, faults) = read(file)?;
    if !faults.is_empty() {
        let mut listing = Listing::new(&["line", "field", "problem", "remedy"]);
        for (line, error) in faults.iter().take(LISTED_FAULTS) {
            listing.add([line.to_string(), error.field.clone(), error.problem.clone(), error.remedy.clone()]);
        }
        listing.write(Format::Table, out)?;
        writeln!(out, "{} bad rows; nothing was brought in", thousands(faults.len() as u64))
            .map_err(unwritten)?;
        return Ok(Ending::Refused);
    }
    if dry_run {
        writeln!(out, "{} consents, all of them good", thousands(consents.len() as u64))
            .map_err(unwritten)?;
        return Ok(Ending::Done);
    }
    let bar = progress(consents.len() as u64, "{bar:40} {human_pos} of {human_len} consents");
    let (mut imported, mut unchanged, mut unreachable) = (0_u64, 0_u64, 0_u64);
    for batch in consents.chunks(BATCH) {
        let request = ImportFollowersRequest {
            official_account: official_account.clone(),
            carrier: carrier.clone(),
            consents: batch.to_vec(),
            operator: String::new(),
        };
        let answer = client.import_followers(request).await.map_err(refused)?.into_inner();
        imported += u64::from(answer.imported);
        unchanged += u64::from(answer.unchanged);
        unreachable += u64::from(answer.unreachable);
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    let [imported, unchanged, left_out] = [imported, unchanged, unreachable].map(thousands);
    writeln!(out, "{imported} follow now; nothing changed for {unchanged}; {left_out} can not be reached and were left out")
        .map_err(unwritten)?;
    if unreachable > 0 {
        writeln!(out, "repeat the command some day to bring in those whom messages reach by then")
            .map_err(unwritten)?;
    }
    Ok(Ending::Done)
}

type Faults = Vec<(u64, Error)>;

fn read(path: &Path) -> Result<(Vec<ImportedConsent>, Faults), Error> {
    let file = File::open(path).map_err(|error| unreadable("FILE", &error))?;
    let in_file = |error: Error| {
        let field = format!("FILE: {}", error.field);
        error.at(field)
    };
    let mut rows = CsvRows::open(file, &["phone_number", "source", "consent_time"]).map_err(in_file)?;
    let (mut consents, mut faults, mut lines) = (Vec::new(), Vec::new(), HashMap::new());
    while let Some(row) = rows.next_row().map_err(in_file)? {
        let line = row.line();
        let read =
            read_row(&row).and_then(|consent| match lines.insert(consent.phone_number.clone(), line) {
                None => Ok(consent),
                Some(first) => {
                    let problem = format!("stands in line {first} already");
                    Err(Error::invalid("phone_number", problem, "give each number once"))
                }
            });
        match read {
            Ok(consent) => consents.push(consent),
            Err(error) => faults.push((line, error)),
        }
    }
    Ok((consents, faults))
}

fn read_row(row: &Row<'_>) -> Result<ImportedConsent, Error> {
    let mut values = row.values()?;
    let mut next = || values.next().unwrap_or_default();
    let (number, source, time) = (next(), next(), next());
    let number: PhoneNumber = number.parse().map_err(|error: Error| error.at("phone_number"))?;
    if !(1..=SOURCE).contains(&source.chars().count()) {
        let problem = format!("{} characters", source.chars().count());
        return Err(Error::invalid(
            "source",
            problem,
            "say in 1 to 200 characters where they agreed, and to what",
        ));
    }
    let time = parse_time(time).map_err(|error| error.at("consent_time"))?;
    Ok(ImportedConsent {
        phone_number: number.as_str().to_owned(),
        source: source.to_owned(),
        consent_time: Some(timestamp(time)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_row_is_told_by_line_and_field_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("consents.csv");
        let rows = [
            "phone_number,source,consent_time",
            "+819012345678,ウェブ 2026-03,2026-03-01T09:00",
            "090-1234-5678,ウェブ,2026-03-01T09:00",
            "+819012345679,,2026-03-01T09:00",
            "+819012345680,ウェブ,in spring",
            "+819012345678,店頭,2026-03-02T00:00:00Z",
            "+819012345681,店頭",
        ];
        std::fs::write(&path, rows.join("\n")).unwrap();
        let (consents, faults) = read(&path).unwrap();
        assert_eq!(consents.len(), 1);
        assert_eq!(consents[0].consent_time.unwrap().seconds, 1_772_323_200);
        let told: Vec<(u64, &str)> =
            faults.iter().map(|(line, error)| (*line, error.field.as_str())).collect();
        assert_eq!(
            told,
            [(3, "phone_number"), (4, "source"), (5, "consent_time"), (6, "phone_number"), (7, "row")]
        );
        assert!(faults.iter().all(|(_, error)| !error.to_string().contains("1234")), "{faults:?}");
        std::fs::write(&path, "number\n1").unwrap();
        assert_eq!(read(&path).err().unwrap().field, "FILE: header");
    }
}
