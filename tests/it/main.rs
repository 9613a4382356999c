//! The one integration-test binary: whole clusters, seen from outside.
//!
//! Surprising: `cfg(test)` is always true here; it tells clippy that unwrapping is a way to fail a test.

#[cfg(test)]
mod assertions;
#[cfg(test)]
mod audience;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod blind;
#[cfg(test)]
mod callers;
#[cfg(test)]
mod decoders;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod flood;
#[cfg(test)]
mod numbers;
#[cfg(test)]
mod openid;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod people;
#[cfg(test)]
mod rbm_clients;
#[cfg(test)]
mod reviews;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod second_person;
#[cfg(test)]
mod sign_in;

/// The folder of the program's samples.
#[cfg(test)]
const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/musubi/samples");

/// The sample stories, of people of both companies.
#[cfg(test)]
fn sample_stories() -> Vec<musubi_terminal_simulator::story::Story> {
    let file = std::fs::File::open(format!("{SAMPLES}/followers.csv")).unwrap();
    musubi_terminal_simulator::story::read_stories(file).unwrap()
}
