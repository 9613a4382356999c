//! Distributions: what companies ask to be sent, how that ends, and what each delivery says.
//!
//! [`Distributions`] is the service at the door; [`Expander`] brings what runs to its end; [`Renderer`] makes contents. Surprising:
//! deliveries are made, and which of the two messages a follower gets is decided, by none of them, but by the claim that walks the
//! followers and starts the first attempts.

mod expander;
mod parse;
mod renderer;
mod service;
#[cfg(test)]
mod tests;
mod trials;

pub use self::{expander::Expander, renderer::Renderer, service::Distributions};
