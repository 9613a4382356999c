//! The master: imports, pages, restarts, and who may see it.

use std::time::{Duration, Instant};

use musubi_proto::company::v1::{
    EraseCustomerRequest, GetCustomerRequest, ListCustomersRequest, ListImportsRequest,
    SearchCustomerRequest, customer_service_client::CustomerServiceClient,
};
use musubi_runtime::{Clock, grpc::status::from_status};
use musubi_storage::audit::verify;
use tonic::Code;

use super::*;

fn file(rows: &str) -> String {
    format!("{HEADER}{rows}")
}

#[tokio::test]
async fn a_file_becomes_the_master_and_outlives_a_restart() {
    let mut company = Company::start("").await;
    let response = company.import(file(THREE).as_bytes()).await.unwrap();
    assert_eq!((response.rows, response.added, response.error_count), (3, 3, 0));
    assert_eq!(response.encoding, "UTF-8");
    company.restart().await;
    assert_eq!(company.ids().await, ["B000001", "B000002", "B000003"]);
    let request = GetCustomerRequest { customer_id: "B000003".to_owned() };
    let customer = company.customers().get_customer(request).await.unwrap().into_inner().customer.unwrap();
    assert_eq!((customer.name.as_str(), customer.branch_number.as_str()), ("高橋 嗣織", "005"));
    assert_eq!(customer.update_time, Some(musubi_proto::convert::content::timestamp(company.now())));
}

#[tokio::test]
async fn what_became_of_each_file_is_listed_with_whose_it_was() {
    let company = Company::start("").await;
    company.import(file(THREE).as_bytes()).await.unwrap();
    let bad = file(THREE).replace("B000002", "B 2");
    assert_eq!(company.import(bad.as_bytes()).await.unwrap().error_count, 1);
    assert!(company.import(b"not a master").await.is_err());
    let request = ListImportsRequest { page_size: 1, page_token: String::new() };
    let newest = company.customers().list_imports(request).await.unwrap().into_inner();
    let request = ListImportsRequest { page_size: 9, page_token: newest.next_page_token };
    let older = company.customers().list_imports(request).await.unwrap().into_inner();
    assert_eq!((older.imports.len(), older.next_page_token.as_str()), (1, ""));
    let told = [&newest.imports[0], &older.imports[0]]
        .map(|it| (it.operator.as_str(), it.rows, it.added, it.bad_rows, it.file_digest.len()));
    assert_eq!(told, [("sato", 3, 0, 1, 64), ("sato", 3, 3, 0, 64)]);
    assert_ne!(newest.imports[0].file_digest, older.imports[0].file_digest);
    assert_eq!(company.ids().await.len(), 3, "the refused file changed nothing");
}

#[tokio::test]
async fn encodings_line_endings_and_the_order_of_columns_do_not_matter() {
    let company = Company::start("").await;
    company.import(file(THREE).as_bytes()).await.unwrap();
    let shift_jis = encoding_rs::SHIFT_JIS.encode(&file(THREE)).0.into_owned();
    let turned: String =
        file(THREE).lines().map(|line| line.split(',').rev().collect::<Vec<_>>().join(",") + "\n").collect();
    for (bytes, encoding) in [
        (shift_jis, "Shift_JIS"),
        (format!("\u{feff}{}", file(THREE)).into_bytes(), "UTF-8"),
        (file(THREE).replace('\n', "\r\n").into_bytes(), "UTF-8"),
        (
            file(THREE)
                .replace(",神奈川県", ",\"神奈川県")
                .replace(",760,", "\",760,")
                .replace(",005,", "\",005,")
                .into_bytes(),
            "UTF-8",
        ),
        (turned.into_bytes(), "UTF-8"),
    ] {
        let response = company.import(&bytes).await.unwrap();
        assert_eq!((response.rows, response.added, response.changed, response.removed), (3, 0, 0, 0));
        assert_eq!(response.encoding, encoding);
    }
}

#[tokio::test]
async fn a_bad_row_is_named_and_nothing_changes() {
    let company = Company::start("").await;
    company
        .import(file(&THREE.lines().take(2).map(|line| format!("{line}\n")).collect::<String>()).as_bytes())
        .await
        .unwrap();
    for (from, to, line, field) in [
        ("B000002", "B000001", 3, "customer_id"),
        ("B000003", "B 3", 4, "customer_id"),
        ("宮本 真和", "", 2, "name"),
        ("オオモリ チエミ", "大森", 3, "name_kana"),
        ("1994-12-01", "1994-13-01", 4, "birth_date"),
        ("1994-12-01", "2027-01-01", 4, "birth_date"),
        ("神奈川県川崎市宮前区宮崎一丁目5-23", "", 4, "address"),
        ("760", "東京", 2, "branch_number"),
        ("8377835", "88377835", 4, "account_number"),
        ("passport", "pass\u{7}port", 3, "identity_verification"),
        (",passport:2018-11", "", 3, "row"),
        ("passport:2018-11", "passport:2018-11,x", 3, "row"),
    ] {
        let response = company.import(file(&THREE.replace(from, to)).as_bytes()).await.unwrap();
        assert_eq!((response.rows, response.error_count, response.errors.len()), (3, 1, 1), "{field}");
        assert_eq!((response.errors[0].line, response.errors[0].field.as_str()), (line, field));
        assert_eq!(response.added, 0);
        assert!(!response.errors[0].remedy.is_empty());
        assert_eq!(company.ids().await, ["B000001", "B000002"], "nothing changed");
    }
}

#[tokio::test]
async fn a_file_that_is_no_master_is_refused_and_nothing_changes() {
    let company = Company::start("[import]\nlargest_file_mib = 1\nmost_rows = 3").await;
    company.import(file(THREE).as_bytes()).await.unwrap();
    let four = format!("{THREE}{}", THREE.lines().next().unwrap().replace("B000001", "B000004"));
    for (bytes, field, problem) in [
        (vec![], "file", "it is empty"),
        (HEADER.as_bytes().to_vec(), "file", "it has a header and no rows"),
        (THREE.as_bytes().to_vec(), "header", "the first line names none of the columns"),
        (
            file(THREE).replace("name_kana", "kana").into_bytes(),
            "header",
            "missing: name_kana; unknown: kana",
        ),
        (
            file(THREE).replace("name_kana", "name").into_bytes(),
            "header",
            "missing: name_kana; repeated: name",
        ),
        (file(&four).into_bytes(), "file", "it has more than 3 rows"),
        (vec![b'x'; 1_100_000], "chunk", "the file is larger than 1 MiB"),
        (b"\x81\n".to_vec(), "file", "line 1 is not Shift_JIS"),
    ] {
        let error = from_status(&company.import(&bytes).await.err().unwrap());
        assert_eq!((error.field.as_str(), error.problem.as_str()), (field, problem));
        assert_eq!(company.ids().await.len(), 3, "nothing changed");
    }
}

#[tokio::test]
async fn a_dry_run_tells_what_would_change_and_changes_nothing() {
    let company = Company::start("").await;
    company.import(file(THREE).as_bytes()).await.unwrap();
    let other = file(&THREE.replace("B000001", "B000009").replace("5-23", "5-24"));
    let response = company.upload(other.as_bytes(), true).await.unwrap();
    assert_eq!((response.added, response.changed, response.removed), (1, 1, 1));
    assert_eq!(company.ids().await, ["B000001", "B000002", "B000003"]);
}

#[tokio::test]
async fn a_hundred_faults_are_listed_and_all_bad_rows_are_counted() {
    let company = Company::start("").await;
    let rows: String = (0..150).map(|row| format!("C{row},,,1980-01-01,,,1,\n")).collect();
    let response = company.import(file(&rows).as_bytes()).await.unwrap();
    assert_eq!((response.error_count, response.errors.len()), (150, 100));
}

#[tokio::test]
async fn a_second_import_at_once_is_told_to_wait() {
    let company = Company::start("").await;
    let part = |text: &str| ImportCustomersRequest { dry_run: false, chunk: text.as_bytes().to_vec() };
    loop {
        let (parts, upload) = tokio::sync::mpsc::channel(1);
        let mut client = company.customers();
        let upload = tokio_stream::wrappers::ReceiverStream::new(upload);
        let first = tokio::spawn(async move { client.import_customers(upload).await });
        parts.send(part(HEADER)).await.unwrap();
        // Ours are let in until the first has reached the server; when it came while one of ours was in, it is refused itself.
        let refused = loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            match company.import(file(THREE).as_bytes()).await {
                Err(status) => break Some(status),
                Ok(_) if first.is_finished() => break None,
                Ok(_) => {}
            }
        };
        let Some(refused) = refused else { continue };
        assert_eq!(refused.code(), Code::FailedPrecondition);
        parts.send(part(THREE)).await.unwrap();
        drop(parts);
        assert_eq!(first.await.unwrap().unwrap().into_inner().rows, 3);
        company.import(file(THREE).as_bytes()).await.unwrap();
        return;
    }
}

#[tokio::test]
async fn only_operators_see_the_master() {
    let company = Company::start("").await;
    let mut client = CustomerServiceClient::new(company.channel(INFORMATION));
    let status = client.list_customers(ListCustomersRequest::default()).await.err().unwrap();
    assert_eq!(status.code(), Code::PermissionDenied);
    let mut client = CustomerServiceClient::new(company.channel(STRANGER));
    let status = client.list_customers(ListCustomersRequest::default()).await.err().unwrap();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn wrong_pages_and_unknown_customers_are_named() {
    let company = Company::start("").await;
    for (page_size, page_token, field) in [(1001, "", "page_size"), (1, "???", "page_token")] {
        let request = ListCustomersRequest { page_size, page_token: page_token.to_owned() };
        let status = company.customers().list_customers(request).await.err().unwrap();
        assert_eq!((status.code(), from_status(&status).field.as_str()), (Code::InvalidArgument, field));
    }
    let request = GetCustomerRequest { customer_id: "B7".to_owned() };
    let status = company.customers().get_customer(request).await.err().unwrap();
    assert_eq!((status.code(), from_status(&status).field.as_str()), (Code::NotFound, "customer_id"));
}

#[tokio::test]
async fn twenty_thousand_rows_are_imported_in_batches_and_again_without_change() {
    let company = Company::start("").await;
    let many = 20_000;
    let rows: String = (0..many)
        .map(|row| format!("C{row:07},山田 太郎{row},ヤマダ タロウ,1980-01-01,東京都港区芝公園四丁目2-{row},001,{row:07},\n"))
        .collect();
    let start = Instant::now();
    let response = company.import(file(&rows).as_bytes()).await.unwrap();
    println!("{many} rows imported in {:?}", start.elapsed());
    assert_eq!((response.rows, response.added), (many, many));
    let again = company.import(file(&rows).as_bytes()).await.unwrap();
    assert_eq!((again.added, again.changed, again.removed), (0, 0, 0));
}

#[tokio::test]
async fn looks_changes_and_refusals_are_in_the_sealed_audit() {
    let mut company = Company::start("").await;
    company
        .import(
            file("B1,山田 太郎,ヤマダ タロウ,1980-01-01,東京都港区芝公園四丁目2,001,0000001,\n").as_bytes(),
        )
        .await
        .unwrap();
    let one = || "B1".to_owned();
    company.customers().list_customers(ListCustomersRequest::default()).await.unwrap();
    company.customers().get_customer(GetCustomerRequest { customer_id: one() }).await.unwrap();
    company.customers().search_customer(SearchCustomerRequest { customer_id: one() }).await.unwrap();
    company.customers().erase_customer(EraseCustomerRequest { customer_id: one() }).await.unwrap();
    let stranger = CustomerServiceClient::new(company.channel(INFORMATION));
    let refused =
        stranger.clone().get_customer(GetCustomerRequest { customer_id: one() }).await.err().unwrap();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let erased = company.customers().get_customer(GetCustomerRequest { customer_id: one() }).await;
    assert_eq!(erased.err().unwrap().code(), Code::NotFound);
    company.stop().await;

    let config = config(&company.folder, &company.peer, "");
    let clock: Arc<dyn Clock> = company.clock.clone();
    let store = crate::open_audit(&config, &clock).await.unwrap();
    let keys = config.keys.auditors().unwrap();
    store.seal_audit(&keys, clock.now(), 100).await.unwrap();
    let lines = store.audit_lines(0, 100).await.unwrap();
    let told: Vec<_> = lines.iter().map(|line| format!("{} {}", line.action, line.detail)).collect();
    let refused = [
        "denied information GetCustomer, 1 times",
        "refused company/tf-bank/operator/sato GetCustomer: NOT_FOUND, 1 times",
    ];
    assert!(refused.iter().all(|line| told.iter().any(|told| told == line)), "{told:?}");
    let done: Vec<_> = told.iter().filter(|line| !refused.contains(&line.as_str())).collect();
    let expected = [
        "master_imported 1 rows: 1 added, 0 changed, 0 removed by sato",
        "customers_listed 1 customers after the first by sato",
        "customer_shown B1 by sato",
        "customer_searched B1 by sato",
        "customer_erased B1 by sato",
    ];
    assert_eq!(done, expected);
    let verdict = verify(&*store, &keys, None).await.unwrap();
    assert_eq!((verdict.lines, verdict.unsealed, verdict.broken), (7, 0, None));
    store.close().await;
}
