//! What must hold of any bytes from outside, for each decoder. The fuzz program and the replay of its corpus
//! (`it/decoders.rs`) both call these, so a finding becomes a file of the corpus and a test for ever.
//!
//! Each panics when its decoder panics or breaks a promise. None knows what the bytes mean; that is for the decoders' own tests.

mod answers;
mod assertions;
mod certificates;
mod master;
mod matching;
mod rbm;
mod stories;
mod tokens;
mod values;
mod wire;

/// What panics when a promise is broken.
pub(crate) type Hold = fn(&[u8]);

/// Each decoder, by the name of its folder in `corpus/`.
pub(crate) const TARGETS: [(&str, Hold); 10] = [
    ("answers", answers::hold),
    ("assertions", assertions::hold),
    ("certificates", certificates::hold),
    ("master", master::hold),
    ("matching", matching::hold),
    ("rbm", rbm::hold),
    ("stories", stories::hold),
    ("tokens", tokens::hold),
    ("values", values::hold),
    ("wire", wire::hold),
];
