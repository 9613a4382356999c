//! Progress on standard error: bars on a terminal, lines elsewhere, and only the end of each stage when that is asked for.
//!
//! What the demo found goes to standard output and is no business of this file. Surprising: a line shows when a stage ends, so
//! that a file of them reads as a protocol.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a stage says where it is, in lines.
const EVERY: Duration = Duration::from_secs(5);

/// Where progress is shown.
pub(crate) struct Screen {
    bars: Option<MultiProgress>,
    /// Says nothing before the end of a stage.
    headless: bool,
}

impl Screen {
    /// Bars if standard error is a terminal and `headless` isn't asked for.
    pub(crate) fn new(headless: bool) -> Self {
        let bars = (!headless && io::stderr().is_terminal())
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        Self { bars, headless }
    }

    /// Begins a stage; `total` is what it counts up to.
    pub(crate) fn begin(&self, name: &'static str, total: u64) -> Stage<'_> {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = ProgressBar::new(total).with_style(style()).with_prefix(name);
            let bar = bars.add(bar);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let begun = Instant::now();
        Stage {
            screen: self,
            name,
            total,
            bar,
            begun,
            said: Mutex::new(Said { position: 0, moved: begun, written: begun }),
        }
    }

    /// Ends what the bars left on the terminal.
    pub(crate) fn clear(&self) {
        if let Some(bars) = &self.bars {
            // A terminal that went away has nothing to be cleared from.
            let _gone = bars.clear();
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:15} {bar:28} {pos:>8}/{len:<8} {elapsed:>4} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// One stage under way.
pub(crate) struct Stage<'a> {
    screen: &'a Screen,
    name: &'static str,
    total: u64,
    bar: Option<ProgressBar>,
    begun: Instant,
    said: Mutex<Said>,
}

/// What a stage said last.
struct Said {
    position: u64,
    moved: Instant,
    written: Instant,
}

impl Stage<'_> {
    /// Says how far it is.
    pub(crate) fn at(&self, position: u64, note: &str) {
        let mut said = self.said();
        if position != said.position {
            said.position = position;
            said.moved = Instant::now();
        }
        if let Some(bar) = &self.bar {
            bar.set_position(position);
            bar.set_message(note.to_owned());
        } else if !self.screen.headless && said.written.elapsed() >= EVERY {
            said.written = Instant::now();
            line(&format!("{:15} {position}/{} {note}", self.name, self.total));
        }
    }

    /// Says that it is so much further.
    pub(crate) fn advance(&self, by: u64) {
        let position = self.said().position + by;
        self.at(position, "");
    }

    /// How long it has run.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Ends it where it is and gives the seconds until it last moved.
    pub(crate) fn end(self, note: &str) -> f64 {
        let Said { position, moved, .. } = *self.said();
        let seconds = (moved - self.begun).as_secs_f64();
        match &self.bar {
            Some(bar) => bar.abandon_with_message(note.to_owned()),
            None => {
                let spaced = if note.is_empty() { String::new() } else { format!(" {note}") };
                line(&format!("{:15} {position}/{}{spaced} ({seconds:.1} s)", self.name, self.total));
            }
        }
        seconds
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line on standard error; whoever closed it doesn't want it.
pub(crate) fn line(text: &str) {
    let _closed = writeln!(io::stderr(), "{text}");
}
