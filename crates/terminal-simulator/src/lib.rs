//! The consumer-terminal simulator [40]: talk rooms and scripted people.

pub mod story;
