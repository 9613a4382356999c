//! Stories of the terminal simulator: CSV, read whole or not at all.

use musubi_terminal_simulator::story::{read_stories, write_stories};

pub(super) fn hold(data: &[u8]) {
    match read_stories(data) {
        Ok(stories) => {
            let mut written = Vec::new();
            write_stories(&stories, &mut written).unwrap();
            assert!(read_stories(written.as_slice()).unwrap() == stories, "what is written is read back");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
