//! The wire: generated code, and every conversion between wire and domain.
