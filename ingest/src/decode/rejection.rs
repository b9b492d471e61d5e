//! Why one record cannot be used: a reason code and a sentence for people.

use plimsoll_schemas::delivery::DeadLetterReason;

/// How many characters of a found value a message repeats; enough to recognise it, too few to flood a table.
const EXCERPT_CHARS_MAX: usize = 120;

/// Why a record cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// The code.
    pub(crate) reason: DeadLetterReason,
    /// The field, the value found, what is allowed.
    pub(crate) detail: String,
}

impl Rejection {
    /// Boxed, because the way of a good record should not carry its weight.
    pub(super) fn new(reason: DeadLetterReason, detail: String) -> Box<Rejection> {
        Box::new(Rejection { reason, detail })
    }
}

/// A value in quotes, cut to `EXCERPT_CHARS_MAX` characters.
pub(super) fn excerpt(value: &str) -> String {
    match value.char_indices().nth(EXCERPT_CHARS_MAX) {
        None => format!("{value:?}"),
        Some((end, _)) => format!("{:?}... ({} bytes)", &value[..end], value.len()),
    }
}
