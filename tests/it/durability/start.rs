//! How a process begins and ends when nobody kills it.
//!
//! What can't run says so in one sentence and exits with code 2; what is told to stop finishes its work and exits with code 0.
//! Surprising: the address of a node with a wrong configuration is taken by the test itself, so that one that asks for it
//! before it has read its configuration complains of that and not of what is wrong.

use std::{net::TcpListener, time::Duration};

use futures::future::join;
use musubi_tests::processes::{Kind, Layout, Process, System};
use tokio::time::sleep;

use super::{assert_right, play::Play};

/// Whether a node gets its address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Address {
    Free,
    Taken,
}

/// Starts each node with a configuration that was spoilt; its one sentence has to say all of `what`.
async fn refused(address: Address, spoil: impl Fn(Kind, String) -> String, what: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    for mut process in Layout::new(folder.path()).processes() {
        let configuration = std::fs::read_to_string(process.config()).unwrap();
        std::fs::write(process.config(), spoil(process.kind(), configuration)).unwrap();
        let listener = (address == Address::Taken).then(|| TcpListener::bind(process.address()).unwrap());
        let said = ends_with_one_sentence(&mut process).await;
        assert!(what.iter().all(|what| said.contains(what)), "{} said {said}", process.name());
        drop(listener);
    }
}

async fn ends_with_one_sentence(process: &mut Process) -> String {
    process.start();
    let status = process.end().await;
    let said = process.said();
    assert_eq!(status.code(), Some(2), "{} said {said}", process.name());
    assert!(said.lines().count() == 1 && said.contains("; "), "{} said {said}", process.name());
    assert!(!said.contains("-at-"), "{} tells a token", process.name());
    said
}

#[tokio::test]
async fn taken_port_is_refused() {
    refused(Address::Taken, |_, configuration| configuration, &["127.0.0.1:", "is taken by another process"])
        .await;
}

#[tokio::test]
async fn value_that_can_not_be_read_is_refused_by_its_key() {
    let spoil = |kind, configuration| match kind {
        Kind::Terminal => format!("shutdown.drain = 'soon'\n{configuration}"),
        Kind::Company | Kind::Information | Kind::Carrier => format!("drain = 'soon'\n{configuration}"),
    };
    refused(Address::Taken, spoil, &["drain", ".toml"]).await;
}

#[tokio::test]
async fn key_that_nobody_knows_is_refused_by_its_name() {
    refused(
        Address::Taken,
        |_, configuration| format!("surprise = 1\n{configuration}"),
        &["surprise", "is not known"],
    )
    .await;
}

#[tokio::test]
async fn certificate_that_is_not_there_is_refused() {
    let elsewhere = |_, configuration: String| configuration.replace("/tls/", "/nowhere/");
    refused(Address::Free, elsewhere, &["tls.certificate", "can not be read"]).await;
}

#[tokio::test]
async fn store_that_can_not_be_reached_is_refused() {
    refused(
        Address::Taken,
        |_, configuration| configuration.replace(".db'", ".toml/below-a-file.db'"),
        &["database", "below-a-file.db can not be opened"],
    )
    .await;
}

#[tokio::test]
async fn database_of_a_living_node_is_refused_and_not_touched() {
    let mut system = System::start_quiet().await;
    let folder = tempfile::tempdir().unwrap();
    let before = system.quiet().await;
    for living in system.processes() {
        let configuration = std::fs::read_to_string(living.config()).unwrap();
        let elsewhere = configuration.replace(&living.address().to_string(), "127.0.0.1:0");
        let file = folder.path().join(living.config().file_name().unwrap());
        std::fs::write(&file, elsewhere).unwrap();
        let mut second = living.with_config(file);
        let said = ends_with_one_sentence(&mut second).await;
        assert!(said.contains(".db is in use by another process; stop it"), "{} said {said}", living.name());
        assert_eq!(living.serving().await, Ok(()), "{} was disturbed", living.name());
    }
    assert!(before == system.stored(), "a refused start changed a living node's database");
    for process in system.processes() {
        process.kill();
        process.start();
        assert_eq!(process.serving().await, Ok(()), "{} is kept out by its dead self", process.name());
    }
}

#[tokio::test]
async fn node_told_to_stop_ends_well_and_goes_on_where_it_stopped() {
    let mut system = System::start().await;
    let play = Play::new(&system, 51, 150);
    play.import_masters().await;
    let stop_each = async {
        for process in system.processes() {
            sleep(Duration::from_millis(100)).await;
            let status = process.stop().await;
            assert_eq!(status.code(), Some(0), "{} said:\n{}", process.name(), process.said());
            process.start();
        }
    };
    join(play.hand_out_stories(), stop_each).await;
    play.until_dialogues_end().await;
    let distributions = play.distribute().await;
    play.until_delivered(&distributions).await;
    assert_right(&play).await;
}
