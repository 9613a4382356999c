//! The heads of HTTP/2's frames, looked at as they pass: what the library beneath would answer without an end, and what it breaks off
//! without a word to anybody.
//!
//! Pings, settings and empty data ask for nothing, cost an answer each, and have no limit there; here they have one. Surprising: nothing is held up
//! or changed. What is wrong with a frame is the library's to say, and is read from what it answers.

use std::time::{Duration, Instant};

/// How many frames that ask for nothing may come at once, and how long it takes until one more may.
const AHEAD: u32 = 1_000;
/// See [`AHEAD`].
const EACH: Duration = Duration::from_millis(10);
/// How many of them answer one frame of data: updates of two windows.
const ANSWERS: u32 = 2;

/// Bytes of a call's headers as they come, at most: what gRPC advises servers to allow.
const HEADERS_BYTES: usize = 8 * 1024;

/// Bytes of a frame's head, and of what a client says before its first.
const HEAD: usize = 9;
const PREFACE: usize = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;

/// Both directions of a server's connection.
pub(super) struct Frames {
    came: Heads,
    went: Heads,
    /// When those that ask for nothing would be over, had each come in its time.
    over: Instant,
    /// Bytes of the headers that come.
    headers: usize,
}

impl Frames {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            came: Heads { skip: PREFACE, ..Heads::default() },
            went: Heads::default(),
            over: now,
            headers: 0,
        }
    }

    /// Looks at bytes of the peer. Why the peer is not listened to any more, if so.
    pub(super) fn came(&mut self, bytes: &[u8], now: impl Fn() -> Instant) -> Option<&'static str> {
        let Self { came, over, headers, .. } = self;
        let mut wrong = None;
        came.walk(bytes, |frame| match frame.kind {
            HEADERS | CONTINUATION => {
                *headers = frame.length + if frame.kind == HEADERS { 0 } else { *headers };
                if *headers > HEADERS_BYTES {
                    wrong = Some("headers that are too long");
                }
            }
            _ if frame.asks_for_nothing() => {
                let now = now();
                *over = (*over).max(now) + EACH;
                if over.duration_since(now) > EACH * AHEAD {
                    wrong = Some("too many that ask for nothing");
                }
            }
            _ => {}
        });
        wrong
    }

    /// Looks at bytes that were written to the peer. What is wrong with the peer's frames, as often as it is said there.
    pub(super) fn went(&mut self, bytes: &[u8]) -> Vec<&'static str> {
        let (over, mut wrong) = (&mut self.over, Vec::new());
        self.went.walk(bytes, |frame| match frame.kind {
            DATA => *over = over.checked_sub(EACH * ANSWERS).unwrap_or(*over),
            RESET | GO_AWAY => wrong.extend(frame.code.and_then(name)),
            _ => {}
        });
        wrong
    }
}

/// What an error code says of the other's frames; none of those that say something else, as that a call was over before all of it had come.
const fn name(code: u32) -> Option<&'static str> {
    Some(match code {
        1 => "PROTOCOL_ERROR",
        3 => "FLOW_CONTROL_ERROR",
        4 => "SETTINGS_TIMEOUT",
        6 => "FRAME_SIZE_ERROR",
        7 => "REFUSED_STREAM",
        9 => "COMPRESSION_ERROR",
        11 => "ENHANCE_YOUR_CALM",
        _ => return None,
    })
}

/// What is looked at of a frame.
struct Frame {
    kind: u8,
    flags: u8,
    length: usize,
    /// Why a stream is reset, or the connection closed.
    code: Option<u32>,
}

impl Frame {
    const fn asks_for_nothing(&self) -> bool {
        match self.kind {
            DATA => self.length == 0 && self.flags & END_STREAM == 0,
            // Of resets the library has a limit of its own.
            HEADERS | RESET | CONTINUATION => false,
            _ => true,
        }
    }
}

/// A walk from head to head, over bytes that come in any pieces.
#[derive(Default)]
struct Heads {
    /// Bytes until the next head.
    skip: usize,
    /// As much of it as has come: the head, and what is read of the frame behind it.
    seen: Vec<u8>,
}

impl Heads {
    fn walk(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            let taken = (self.wanted() - self.seen.len()).min(bytes.len() - skipped);
            self.seen.extend(&bytes[skipped..skipped + taken]);
            bytes = &bytes[skipped + taken..];
            match *self.seen {
                [_, _, _, kind, flags, _, _, _, _, ref payload @ ..] if self.seen.len() == self.wanted() => {
                    let code = payload.last_chunk().copied().map(u32::from_be_bytes);
                    let length = self.length();
                    self.skip = length - payload.len();
                    self.seen.clear();
                    each(Frame { kind, flags, length, code });
                }
                _ if bytes.is_empty() => return,
                _ => {}
            }
        }
    }

    /// How much is looked at, as far as that is known.
    fn wanted(&self) -> usize {
        let code = match self.seen.get(3) {
            Some(&RESET) => 4,
            Some(&GO_AWAY) => 8,
            _ => 0,
        };
        HEAD + if self.seen.len() < HEAD { 0 } else { code.min(self.length()) }
    }

    /// Bytes behind the head, as it says.
    fn length(&self) -> usize {
        self.seen.iter().take(3).fold(0, |length, byte| length << 8 | usize::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// A connection of a peer that has said hello, and whether it goes on after so many of these frames in one moment.
    fn takes(frames: u32, frame: &[u8]) -> bool {
        let now = Instant::now();
        let mut seen = Frames::new(now);
        seen.came(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", || now).is_none()
            && (0..frames).all(|_| seen.came(frame, || now).is_none())
    }

    #[test]
    fn frames_that_ask_for_nothing_have_a_limit_and_all_others_have_none_here() {
        for idle in [frame(PING, 0, &[0; 8]), frame(4, 0, &[]), frame(DATA, 0, &[]), frame(200, 0, b"what")] {
            assert!(takes(AHEAD, &idle) && !takes(AHEAD + 1, &idle), "{idle:?}");
        }
        let ends = frame(DATA, END_STREAM, &[]);
        for work in
            [frame(HEADERS, 5, b"block"), frame(DATA, 0, b"\0\0\0\0\0"), frame(RESET, 0, &[0; 4]), ends]
        {
            // Only frames of data are as common as to be told from idle ones by more than their kind.
            assert!(takes(2 * AHEAD, &work), "{work:?}");
        }
    }

    #[test]
    fn who_has_been_quiet_may_go_on_and_whoever_is_sent_data_may_answer_it() {
        let begin = Instant::now();
        let mut seen = Frames::new(begin);
        seen.came(&[0; PREFACE], || begin);
        let pings = |count: usize| frame(PING, 0, &[0; 8]).repeat(count);
        let mut goes_on = |count, at| seen.came(&pings(count), || at).is_none();
        assert!(goes_on(1_000, begin) && !goes_on(1, begin));
        assert!(goes_on(99, begin + 100 * EACH) && !goes_on(1, begin + 100 * EACH));
        let later = begin + Duration::from_secs(3_600);
        assert!(goes_on(1_000, later));
        for _ in 0..10_000 {
            assert!(seen.went(&frame(DATA, 0, b"more")).is_empty());
            assert!(seen.came(&frame(WINDOW_UPDATE, 0, &[0; 4]).repeat(2), || later).is_none());
        }
    }

    #[test]
    fn headers_are_as_long_as_their_frames_together() {
        let now = Instant::now();
        let (long, short) = (vec![0; HEADERS_BYTES / 2], vec![0; 10]);
        for (frames, goes_on) in [
            (&[(HEADERS, &long), (CONTINUATION, &long), (HEADERS, &long)][..], true),
            (&[(HEADERS, &long), (CONTINUATION, &long), (CONTINUATION, &short)], false),
        ] {
            let mut seen = Frames::new(now);
            seen.came(&[0; PREFACE], || now);
            let bytes: Vec<u8> = frames.iter().flat_map(|(kind, payload)| frame(*kind, 0, payload)).collect();
            assert_eq!(seen.came(&bytes, || now).is_none(), goes_on);
        }
    }

    #[test]
    fn what_is_wrong_with_a_peers_frames_is_what_it_is_answered() {
        let mut seen = Frames::new(Instant::now());
        let code = |code: u8| [0, 0, 0, code];
        for (answer, said) in [
            (frame(RESET, 0, &code(1)), &["PROTOCOL_ERROR"][..]),
            (frame(RESET, 0, &code(8)), &[]),
            (frame(RESET, 0, &code(0)), &[]),
            (frame(GO_AWAY, 0, &[code(9), code(0)].concat()), &[]),
            (
                frame(GO_AWAY, 0, &[&code(9)[..], &code(11), b"too_many_resets"].concat()),
                &["ENHANCE_YOUR_CALM"],
            ),
            (frame(HEADERS, 4, b"\x01\x01\x01\x01\x01"), &[]),
            (
                [frame(RESET, 0, &code(7)), frame(RESET, 0, &code(6))].concat(),
                &["REFUSED_STREAM", "FRAME_SIZE_ERROR"],
            ),
        ] {
            assert_eq!(seen.went(&answer), said, "{answer:?}");
        }
    }

    proptest! {
        /// A frame may say anything of its length and end anywhere; what is looked at is never more than a head and a code.
        #[test]
        fn bytes_that_are_no_frames_are_passed_over(
            pieces in prop::collection::vec(prop::collection::vec(prop_oneof![3 => Just(0), 1 => any::<u8>()], 0..60), 1..20),
        ) {
            let mut seen = Frames::new(Instant::now());
            for piece in &pieces {
                seen.came(piece, Instant::now);
                prop_assert!(seen.went(piece).len() <= piece.len() / HEAD + 1);
                prop_assert!(seen.came.seen.len() < HEAD + 8 && seen.went.seen.len() < HEAD + 8);
            }
        }

        #[test]
        fn frames_are_the_same_in_whatever_pieces_they_come(
            frames in prop::collection::vec((0..12_u8, prop::collection::vec(any::<u8>(), 0..40)), 1..20),
            cuts in prop::collection::vec(1..30_usize, 1..40),
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(kind, payload)| frame(*kind, 0, payload)).collect();
            let (mut heads, mut walked, mut rest) = (Heads::default(), Vec::new(), &bytes[..]);
            for cut in cuts.iter().cycle() {
                let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                heads.walk(piece, |frame| walked.push((frame.kind, frame.length)));
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
            let sent: Vec<_> = frames.iter().map(|(kind, payload)| (*kind, payload.len())).collect();
            prop_assert_eq!(walked, sent);
        }
    }
}
