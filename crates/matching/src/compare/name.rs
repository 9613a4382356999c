//! First level: the same text after width, spaces and selectors.

use super::{Compared, Comparison};
use crate::normalise::characters::clean;
use crate::{MAX_INPUT_BYTES, Reason};

/// Compares two texts of this field.
#[must_use]
pub fn compare_names(left: &str, right: &str) -> Compared {
    let key = |text: &str| clean(text).replace(' ', "");
    if left.len().max(right.len()) > MAX_INPUT_BYTES || key(left).is_empty() || key(right).is_empty() {
        return Compared::new(Comparison::Review, [Reason::NameMissing]);
    }
    if left == right {
        Compared::new(Comparison::Equal, [Reason::NameIdentical])
    } else if key(left) == key(right) {
        Compared::new(Comparison::Equal, [Reason::NameSpelling])
    } else {
        Compared::new(Comparison::Different, [Reason::NameDifferent])
    }
}
