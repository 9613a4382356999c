//! The end of a server, and what it does not let come that far: overload, and connections that only harm.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{super::client::dial, *};

#[tokio::test]
async fn drain_finishes_calls_in_hand_and_refuses_new_ones() {
    let node = start(Duration::from_secs(10)).await;
    let channel = node.channel(COMPANY);
    let in_hand = tokio::spawn({
        let channel = channel.clone();
        async move { say(&channel, "wait").await }
    });
    node.echo.inside.notified().await;
    node.shutdown.begin();
    let drained = tokio::spawn({
        let shutdown = node.shutdown.clone();
        async move { shutdown.drained().await }
    });

    let refused = say(&node.channel(COMPANY), "who").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert_eq!(say(&channel, "who").await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(node.health().await.unwrap(), ServingStatus::NotServing);

    node.echo.finish.add_permits(1);
    assert_eq!(in_hand.await.unwrap().unwrap(), "finished");
    drained.await.unwrap().unwrap();
    assert_eq!(say(&channel, "who").await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn drain_ends_calls_that_do_not_end_with_unavailable() {
    let node = start(SHORT).await;
    let channel = node.channel(COMPANY);
    let mut endless = listen(&channel).await.unwrap();
    assert_eq!(endless.next().await.unwrap().unwrap(), "first");
    node.shutdown.begin();
    assert!(node.shutdown.drained().await.is_err());
    assert_eq!(endless.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn idle_clients_do_not_hold_the_drain_up() {
    let node = start(Duration::from_secs(10)).await;
    let channel = node.channel(COMPANY);
    say(&channel, "hello").await.unwrap();
    let watching = node.channel(CARRIER).open_ended();
    let mut watch =
        HealthClient::new(watching).watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let begun = Instant::now();
    node.shutdown.begin();
    let told = tokio::time::timeout(Duration::from_secs(5), watch.next()).await.unwrap();
    assert_eq!(told.unwrap().unwrap().status(), ServingStatus::NotServing);
    node.shutdown.drained().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// 256 handlers at once for a caller, over enough connections of 200 streams; another caller's calls go on.
#[tokio::test]
async fn overload_by_one_is_refused_at_once_and_others_are_still_answered() {
    let node = start(SHORT).await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let channel = node.channel(COMPANY);
        for _ in 0..150 {
            let channel = channel.clone();
            waiting.spawn(async move { say(&channel, "wait").await });
        }
    }
    for _ in 0..2 * 150 - 256 {
        let refused = waiting.join_next().await.unwrap().unwrap().unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    }
    assert_eq!(node.health().await.unwrap(), ServingStatus::Serving);
    assert_eq!(say(&node.channel(CARRIER), "who").await.unwrap(), CARRIER);
    node.echo.finish.add_permits(256);
    while let Some(answer) = waiting.join_next().await {
        assert_eq!(answer.unwrap().unwrap(), "finished");
    }
    assert_eq!(say(&node.channel(COMPANY), "again").await.unwrap(), "again");
}

/// RUSTSEC-2024-0003: without a limit, a peer makes the server reset malformed streams for ever.
#[tokio::test]
async fn flood_of_malformed_streams_closes_the_connection() {
    const SETTINGS: u8 = 4;
    const GO_AWAY: u8 = 7;
    const MAX_CONCURRENT_STREAMS: [u8; 2] = [0, 3];
    let node = start(SHORT).await;
    let uri = node.endpoint.as_str().parse().unwrap();
    let connection = dial(&uri, &node.identity(COMPANY), None).await.unwrap();
    let (mut read, mut write) = tokio::io::split(connection);
    write.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    write.flush().await.unwrap();
    tokio::spawn(async move {
        for stream in (1_u32..4000).step_by(2) {
            // HEADERS without any header, END_STREAM and END_HEADERS.
            let frame = [&[0, 0, 0, 1, 5][..], &stream.to_be_bytes()].concat();
            if write.write_all(&frame).await.is_err() || write.flush().await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    });
    let mut streams_at_once = None;
    let until_closed = async {
        loop {
            let mut head = [0; 9];
            read.read_exact(&mut head).await.unwrap();
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            read.read_exact(&mut payload).await.unwrap();
            match head[3] {
                SETTINGS => {
                    let found = payload.chunks(6).find(|setting| setting[..2] == MAX_CONCURRENT_STREAMS);
                    if let Some(setting) = found {
                        streams_at_once = Some(setting[2..].to_vec());
                    }
                }
                GO_AWAY => break,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), until_closed).await.expect("the server goes away");
    assert_eq!(streams_at_once.unwrap(), 200_u32.to_be_bytes());
}
