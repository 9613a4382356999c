//! As much of SMPP 3.4 as a message centre needs that takes every message at once and reports it as delivered. Bytes in, bytes out.
//!
//! Numbers and fields are those of the specification's sections 4 and 5.3. Surprising: a report is a message to the sender whose text tells what
//! became of the other; what reads it by machine stands behind the text, as optional parameters.

use anyhow::Context as _;

/// Length, command, status and sequence number, 4 bytes each.
const HEAD: usize = 16;
/// No message of ours is longer.
const LONGEST: usize = 64 * 1024;
const RESPONSE: u32 = 0x8000_0000;
const BINDS: [u32; 3] = [0x1, 0x2, 0x9];
const SUBMIT: u32 = 0x4;
const DELIVER: u32 = 0x5;
const UNBIND: u32 = 0x6;
const ENQUIRE_LINK: u32 = 0x15;
const NACK: u32 = RESPONSE;
/// "Invalid command id", of what isn't known here.
const INVALID_COMMAND: u32 = 0x3;
/// Of `esm_class`: this message is a report.
const IS_REPORT: u8 = 0x04;
/// Of `registered_delivery`: how it ends shall be reported.
const WANTS_REPORT: u8 = 0x03;
const MESSAGE_STATE: u16 = 0x0427;
const DELIVERED: u8 = 2;
const RECEIPTED_MESSAGE_ID: u16 = 0x001e;
/// Without it Kannel reads the text, too.
const NETWORK_ERROR_CODE: u16 = 0x0423;
/// Of a GSM network: none.
const NO_ERROR: [u8; 3] = [3, 0, 0];

/// What the other side wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To send, to receive, or both.
    Bind,
    /// That a message goes to this number, from this one, and that its end is told or not.
    Submit { from: String, to: String, report: bool },
    /// To know whether anybody is there.
    EnquireLink,
    /// To end.
    Unbind,
    /// Nothing: it answers.
    Answer,
    /// Something that this centre doesn't know.
    Unknown,
}

/// A request, or an answer to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pdu {
    pub(super) wish: Wish,
    command: u32,
    sequence: u32,
}

impl Pdu {
    /// The first in these bytes and how many of them it has; none while it is not there whole.
    ///
    /// # Errors
    ///
    /// When they are no SMPP.
    pub(super) fn read(bytes: &[u8]) -> anyhow::Result<Option<(Self, usize)>> {
        let Some(length) = number(bytes, 0) else { return Ok(None) };
        let length = length as usize;
        anyhow::ensure!(
            (HEAD..=LONGEST).contains(&length),
            "a PDU has {length} bytes, not {HEAD} to {LONGEST}"
        );
        let Some(bytes) = bytes.get(..length) else { return Ok(None) };
        let head = |at| number(bytes, at).context("a PDU has no head");
        let (command, sequence) = (head(4)?, head(12)?);
        let wish = match command {
            SUBMIT => submit(&bytes[HEAD..])?,
            ENQUIRE_LINK => Wish::EnquireLink,
            UNBIND => Wish::Unbind,
            bind if BINDS.contains(&bind) => Wish::Bind,
            answer if answer & RESPONSE != 0 => Wish::Answer,
            _ => Wish::Unknown,
        };
        Ok(Some((Self { wish, command, sequence }, length)))
    }

    /// Adds the answer: it was done, with what the answer to a bind or a message says beside.
    pub(super) fn answer(&self, says: &str, to: &mut Vec<u8>) {
        match self.wish {
            Wish::Answer => {}
            Wish::Unknown => write(to, NACK, INVALID_COMMAND, self.sequence, &[]),
            Wish::EnquireLink | Wish::Unbind => write(to, self.command | RESPONSE, 0, self.sequence, &[]),
            Wish::Bind | Wish::Submit { .. } => {
                write(to, self.command | RESPONSE, 0, self.sequence, &text(says));
            }
        }
    }
}

/// Adds a report to `sender` that the message of this id to `recipient` was delivered.
pub(super) fn report(sender: &str, recipient: &str, id: &str, sequence: u32, to: &mut Vec<u8>) {
    let says = format!("id:{id} sub:001 dlvrd:001 stat:DELIVRD err:000");
    // No service type; type and plan of each number are unknown.
    let mut body = vec![0, 0, 0];
    body.extend(text(recipient));
    body.extend([0, 0]);
    body.extend(text(sender));
    // Protocol, priority, two times, whether it wants a report, whether it replaces another, coding, text from a list.
    body.extend([IS_REPORT, 0, 0, 0, 0, 0, 0, 0, 0]);
    body.push(u8::try_from(says.len()).unwrap_or(u8::MAX));
    body.extend(says.bytes().take(usize::from(u8::MAX)));
    parameter(&mut body, RECEIPTED_MESSAGE_ID, &text(id));
    parameter(&mut body, MESSAGE_STATE, &[DELIVERED]);
    parameter(&mut body, NETWORK_ERROR_CODE, &NO_ERROR);
    write(to, DELIVER, 0, sequence, &body);
}

/// The body of a `submit_sm`, up to what matters here.
fn submit(body: &[u8]) -> anyhow::Result<Wish> {
    let mut rest = body;
    let _service = take_text(&mut rest)?;
    take(&mut rest, 2)?;
    let from = take_text(&mut rest)?;
    take(&mut rest, 2)?;
    let to = take_text(&mut rest)?;
    // Class, protocol, priority.
    take(&mut rest, 3)?;
    let _schedule = take_text(&mut rest)?;
    let _validity = take_text(&mut rest)?;
    let registered = take(&mut rest, 1)?[0];
    Ok(Wish::Submit { from, to, report: registered & WANTS_REPORT != 0 })
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> anyhow::Result<&'a [u8]> {
    let (taken, others) = rest.split_at_checked(count).context("a submit_sm is cut short")?;
    *rest = others;
    Ok(taken)
}

/// Bytes up to a zero.
fn take_text(rest: &mut &[u8]) -> anyhow::Result<String> {
    let length = rest.iter().position(|byte| *byte == 0).context("a text of a submit_sm has no end")?;
    let text = String::from_utf8_lossy(take(rest, length)?).into_owned();
    take(rest, 1)?;
    Ok(text)
}

fn text(text: &str) -> Vec<u8> {
    text.bytes().chain([0]).collect()
}

fn parameter(to: &mut Vec<u8>, tag: u16, value: &[u8]) {
    to.extend(tag.to_be_bytes());
    to.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    to.extend(value);
}

fn write(to: &mut Vec<u8>, command: u32, status: u32, sequence: u32, body: &[u8]) {
    let length = u32::try_from(HEAD + body.len()).unwrap_or(u32::MAX);
    for number in [length, command, status, sequence] {
        to.extend(number.to_be_bytes());
    }
    to.extend(body);
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `submit_sm` of sequence 7, as Kannel sends it.
    fn submitted(registered: u8) -> Vec<u8> {
        let mut body = vec![0, 5, 0];
        body.extend(text("Aoba"));
        body.extend([2, 1]);
        body.extend(text("819012345678"));
        body.extend([3, 0, 0, 0, 0, registered, 0, 0, 0, 2]);
        body.extend(b"hi");
        let mut bytes = Vec::new();
        write(&mut bytes, SUBMIT, 0, 7, &body);
        bytes
    }

    #[test]
    fn message_is_read_once_it_is_there_whole() {
        let bytes = submitted(1);
        for cut in 0..bytes.len() {
            assert_eq!(Pdu::read(&bytes[..cut]).unwrap(), None, "{cut}");
        }
        let two = [bytes.clone(), bytes.clone()].concat();
        let (pdu, length) = Pdu::read(&two).unwrap().unwrap();
        let (from, to) = ("Aoba".to_owned(), "819012345678".to_owned());
        assert_eq!(pdu.wish, Wish::Submit { from, to, report: true });
        assert_eq!(length, bytes.len());
        let (pdu, _) = Pdu::read(&submitted(0)).unwrap().unwrap();
        assert!(matches!(pdu.wish, Wish::Submit { report: false, .. }));
    }

    #[test]
    fn answer_has_the_sequence_and_the_id() {
        let (pdu, _) = Pdu::read(&submitted(1)).unwrap().unwrap();
        let mut answer = Vec::new();
        pdu.answer("1f", &mut answer);
        assert_eq!(answer, b"\0\0\0\x13\x80\0\0\x04\0\0\0\0\0\0\0\x071f\0");
        let (answer, _) = Pdu::read(&answer).unwrap().unwrap();
        assert_eq!(answer.wish, Wish::Answer);
        let mut nothing = Vec::new();
        answer.answer("", &mut nothing);
        assert!(nothing.is_empty());
    }

    #[test]
    fn requests_without_a_body_are_known_and_others_refused() {
        for (command, wish, answered) in [
            (0x9, Wish::Bind, 0x8000_0009),
            (ENQUIRE_LINK, Wish::EnquireLink, 0x8000_0015),
            (UNBIND, Wish::Unbind, 0x8000_0006),
            (0x103, Wish::Unknown, NACK),
        ] {
            let mut bytes = Vec::new();
            write(&mut bytes, command, 0, 3, &[]);
            let (pdu, _) = Pdu::read(&bytes).unwrap().unwrap();
            assert_eq!(pdu.wish, wish);
            let mut answer = Vec::new();
            pdu.answer("centre", &mut answer);
            assert_eq!((number(&answer, 4), number(&answer, 12)), (Some(answered), Some(3)));
        }
    }

    #[test]
    fn report_is_a_message_back_that_names_the_other_and_its_end() {
        let mut bytes = Vec::new();
        report("Aoba", "819012345678", "1f", 9, &mut bytes);
        assert_eq!(number(&bytes, 0), u32::try_from(bytes.len()).ok());
        assert_eq!((number(&bytes, 4), number(&bytes, 12)), (Some(DELIVER), Some(9)));
        // Up to its options a deliver_sm is a submit_sm.
        let Wish::Submit { from, to, report } = submit(&bytes[HEAD..]).unwrap() else { panic!() };
        assert_eq!((from.as_str(), to.as_str(), report), ("819012345678", "Aoba", false));
        assert!(bytes.ends_with(b"\0\x1e\0\x031f\0\x04\x27\0\x01\x02\x04\x23\0\x03\x03\0\0"));
        assert!(bytes.windows(12).any(|part| part == b"stat:DELIVRD"));
    }

    #[test]
    fn bytes_that_are_no_smpp_are_refused() {
        assert!(Pdu::read(b"GET / HTTP/1.0\r\n\r\n").is_err());
        assert!(Pdu::read(b"\0\0\0\x02\0\0\0\x04").is_err());
        let mut cut = Vec::new();
        write(&mut cut, SUBMIT, 0, 1, b"\0\0\0no end");
        assert!(Pdu::read(&cut).is_err());
    }
}
