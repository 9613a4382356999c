//! Distributions: what companies ask to be sent, made into deliveries, and what each delivery says.
//!
//! [`Distributions`] is the service at the door; [`Expander`] makes deliveries of what runs, a bounded number ahead of what is
//! sent; [`Renderer`] makes contents. Surprising: which of the two messages a follower gets is decided by none of them, but by
//! the claim that starts the first attempt.

mod expander;
mod parse;
mod renderer;
mod service;
#[cfg(test)]
mod tests;

pub use self::{expander::Expander, renderer::Renderer, service::Distributions};
