//! Words and rules, pure: no IO, no clock, no randomness of its own.
