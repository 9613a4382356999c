//! The confirmation unit \[232\]: checks what authorities attest, has it matched, and stores the tie (S19 to S21).

pub mod assertions;
pub mod matcher;
pub mod verifier;
