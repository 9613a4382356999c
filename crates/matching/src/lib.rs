//! Normalise, compare, decide: whether a follower is a customer. Pure.
