//! Replays the corpus of the fuzz program through every decoder of outside bytes: whole, cut off, and with every byte spoilt.

use std::{fs, path::Path};

use musubi_matching::{AddressForm, NameForm};

#[path = "../fuzz/checks/mod.rs"]
mod checks;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus");
/// How far into a file bytes are spoilt.
const SPOILT: usize = 120;

fn hold_of_spoilt(bytes: &[u8], hold: checks::Hold) {
    hold(bytes);
    for at in 0..bytes.len().min(SPOILT) {
        for instead in [0x00, 0x31, 0x80, 0xE3, 0xFF] {
            let mut spoilt = bytes.to_vec();
            spoilt[at] = instead;
            hold(&spoilt);
        }
        hold(&bytes[..at]);
    }
}

#[test]
fn every_promise_holds_of_the_corpus() {
    for (target, hold) in checks::TARGETS {
        let files: Vec<_> = fs::read_dir(Path::new(CORPUS).join(target)).unwrap().collect();
        assert!(files.len() >= 4, "{target}: {} files", files.len());
        for file in files {
            hold_of_spoilt(&fs::read(file.unwrap().path()).unwrap(), hold);
        }
    }
}

#[test]
fn every_folder_of_the_corpus_has_a_decoder() {
    let mut folders: Vec<_> = fs::read_dir(CORPUS)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    assert_eq!(folders, checks::TARGETS.map(|(target, _)| target));
}

#[test]
fn every_promise_holds_of_bytes_of_forms() {
    let (_, hold) = checks::TARGETS[3];
    for text in [
        "佐藤［旧氏：鈴木］花子",
        "東京都目黒区鷹番三丁目8-2 コーポ松本101",
        "京都市下京区四条通烏丸東入ル長刀鉾町8番地",
    ] {
        for bytes in [NameForm::new(text).to_bytes(), AddressForm::with_replaced(text, "001").to_bytes()] {
            hold_of_spoilt(&bytes, hold);
        }
    }
}
