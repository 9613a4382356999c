//! What an agent sends over RCS Business Messaging, as the simulator reads it, and what phones show of it.

use jiff::Timestamp;
use musubi_carrier_simulator::rbm::read_message;

pub(super) fn hold(data: &[u8]) {
    let now = Timestamp::UNIX_EPOCH;
    let tolerant = read_message(data, false, now);
    if let Ok(content) = &tolerant {
        assert_eq!(content.check(), Ok(()), "what passes can be shown");
    }
    if let Ok(content) = read_message(data, true, now) {
        assert!(
            tolerant.is_ok_and(|tolerant| tolerant == content),
            "who is strict takes less, and reads the same"
        );
    }
}
