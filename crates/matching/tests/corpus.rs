//! Replays the corpus of the fuzz target, whole and with every byte spoilt, with any compiler.

#[path = "../fuzz/checks.rs"]
mod checks;

use std::fs;
use std::path::Path;

#[test]
fn every_promise_holds_of_the_corpus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/everything");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        checks::hold(&bytes);
        for at in 0..bytes.len().min(200) {
            for instead in [0x00, 0x31, 0x80, 0xE3, 0xFF] {
                let mut spoilt = bytes.clone();
                spoilt[at] = instead;
                checks::hold(&spoilt);
            }
            checks::hold(&bytes[..at]);
        }
        count += 1;
    }
    assert!(count >= 20, "{count} files");
}

#[test]
fn every_promise_holds_of_bytes_of_forms() {
    use musubi_matching::{AddressForm, NameForm};
    for text in [
        "佐藤［旧氏：鈴木］花子",
        "東京都目黒区鷹番三丁目8-2 コーポ松本101",
        "京都市下京区四条通烏丸東入ル長刀鉾町8番地",
    ] {
        for bytes in [NameForm::new(text).to_bytes(), AddressForm::with_replaced(text, "001").to_bytes()] {
            for at in 0..bytes.len() {
                for instead in [0x00, 0x01, 0x7F, 0x80, 0xFF] {
                    let mut spoilt = bytes.clone();
                    spoilt[at] = instead;
                    checks::hold(&spoilt);
                }
            }
        }
    }
}
