//! Replies that are messages.

use std::any::type_name;
use std::fmt::Debug;

use prost::Message;

/// The message that bytes are.
///
/// # Errors
/// Where they are none.
pub(crate) fn message<T: Message + Default>(bytes: &[u8]) -> Result<T, String> {
    T::decode(bytes).map_err(|e| format!("{} bytes are no {}: {e}", bytes.len(), type_name::<T>()))
}

/// A message for people.
pub(super) fn shown<T: Message + Default + Debug>(bytes: &[u8]) -> String {
    message::<T>(bytes).map_or_else(|error| error, |message| format!("{message:?}"))
}

/// Compares a field of what was expected with that of the reply.
///
/// # Errors
/// What the field is, and what it should be.
pub(super) fn field<T: PartialEq + Debug>(name: &str, expected: &T, reply: &T) -> Result<(), String> {
    if expected == reply {
        return Ok(());
    }
    // Both from where they part.
    let (expected, reply) = (format!("{expected:?}"), format!("{reply:?}"));
    let same = expected.chars().zip(reply.chars()).take_while(|(a, b)| a == b).count();
    let show = |text: &str| text.chars().skip(same.saturating_sub(24)).take(120).collect::<String>();
    Err(format!("{name}: …{} in place of …{}", show(&reply), show(&expected)))
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn the_difference_of_long_fields_is_shown() {
        assert_eq!(Ok(()), field("f", &1, &1));
        let expected: Vec<_> = (0..1000).collect();
        let mut reply = expected.clone();
        reply[500] = -7;
        let text = field("numbers", &expected, &reply).expect_err("they differ");
        assert!(text.starts_with("numbers: …") && text.contains(", 499, -7, 501,"), "{text}");
        assert!(text.contains(", 499, 500, 501,") && text.len() < 400, "{text}");
    }
}
