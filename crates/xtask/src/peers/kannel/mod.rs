//! Kannel, measured: messages over HTTP into its smsbox, out over SMPP to a centre of our own, and their reports back over HTTP, until
//! the last has come.
//!
//! Sender, centre and receiver of reports are threads of this process, and do as little as can be done; what they cost is counted to Kannel's
//! disadvantage, as what plays the carrier is counted to Musubi's. Surprising: messages are answered once the bearerbox has stored them, so the sender needs many
//! connections.

mod centre;
mod http;
mod listener;
mod smpp;
mod tally;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use musubi_servers::kannel::{Kannel, Settings};

use self::centre::Centre;
use self::http::{Caller, Reports};
use super::progress::Progress;
use super::verdict::Rate;
use crate::servers::Signals;

/// What gave Kannel the most of what was tried: connections of the sender, connections to the centre, messages on each that wait for its
/// answer, reports on their way.
const SENDERS: u32 = 64;
const CONNECTIONS: u32 = 4;
const WINDOW: u32 = 100;
const REPORTS: u32 = 512;
/// Delivered, or can't be.
const REPORT_MASK: u32 = 3;
/// 140 letters, the most of one message in Kannel.
const TEXT: &str = "Dear+customer%2C+your+bill+of+this+month+is+12%2C345+yen+and+will+be+debited+on+the+28th.+Please+see+to+it+that+your+account+covers+it+by+then.";
/// How long it may take to connect to the centre, and how long nothing may move.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);

/// Sends so many messages, with their reports or without, and gives how long it took until the centre had taken the last or its report had come
/// back.
///
/// # Errors
///
/// When Kannel does not start, refuses a message, or nothing moves any more.
pub(super) fn measure(
    within: &Path,
    size: u64,
    reported: bool,
    signals: &Signals,
) -> anyhow::Result<(String, Rate)> {
    let centre = Centre::open(size)?;
    let reports = Reports::open(size)?;
    let kannel = Kannel::start(&Settings {
        within: within.to_owned(),
        centre: centre.address().port(),
        connections: CONNECTIONS,
        window: WINDOW,
        reports: REPORTS,
    })?;
    let since = Instant::now();
    while centre.bound() < CONNECTIONS {
        signals.none()?;
        centre.works()?;
        let late = || format!("Kannel does not come to the message centre\n{}", kannel.last_words());
        anyhow::ensure!(since.elapsed() < PATIENCE, late());
        thread::sleep(LOOK);
    }
    let target = |number: u64| {
        let to = centre::number(number);
        let report = match reported {
            true => format!("&dlr-mask={REPORT_MASK}&dlr-url={}", reports.url(number)),
            false => String::new(),
        };
        format!("{}&from=Aoba&to={to}&text={TEXT}{report}", kannel.target())
    };
    let ended = if reported { reports.told() } else { centre.taken() };
    let works = || {
        signals.none()?;
        centre.works()?;
        reports.works()
    };
    let took = send(&kannel, size, &target, || ended.count(), works)
        .with_context(|| format!("Kannel said: {}", kannel.last_words()))?;
    anyhow::ensure!(centre.taken().is_full(), "reports came of messages that the centre has not");
    Ok((kannel.version()?, Rate { count: size, seconds: took.as_secs_f64() }))
}

/// Sends messages over all connections at once, until as many as were sent have ended.
fn send(
    kannel: &Kannel,
    size: u64,
    target: &(impl Fn(u64) -> String + Sync),
    ended: impl Fn() -> u64,
    works: impl Fn() -> anyhow::Result<()>,
) -> anyhow::Result<Duration> {
    let (next, stopped) = (&AtomicU64::default(), &AtomicBool::default());
    let one = move || -> anyhow::Result<()> {
        let mut caller = Caller::connect(kannel.address())?;
        while !stopped.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= size {
                break;
            }
            caller.get(&target(number)).context("a message was refused")?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let since = Instant::now();
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(one)).collect();
        let watched = watch(size, ended, || {
            works()?;
            // One that is refused ends early, and is told below.
            let refused = senders.iter().any(thread::ScopedJoinHandle::is_finished)
                && next.load(Ordering::Relaxed) < size;
            anyhow::ensure!(!refused, "a sender has ended");
            Ok(())
        });
        let took = since.elapsed();
        stopped.store(true, Ordering::Relaxed);
        let sent =
            senders.into_iter().map(|sender| sender.join().map_err(|_| anyhow::anyhow!("a sender broke"))?);
        sent.collect::<anyhow::Result<()>>()?;
        watched.map(|()| took)
    })
}

/// Waits until all have ended.
fn watch(size: u64, ended: impl Fn() -> u64, works: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut progress = Progress::begin("messages", size);
    let mut moved = (0, Instant::now());
    loop {
        let count = ended();
        if count == size {
            return Ok(());
        }
        works()?;
        if count > moved.0 {
            moved = (count, Instant::now());
        }
        anyhow::ensure!(
            moved.1.elapsed() < PATIENCE,
            "nothing moves any more, after {count} of {size} messages"
        );
        progress.at(count);
        thread::sleep(LOOK);
    }
}
