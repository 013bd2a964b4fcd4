//! Blanks around what people type or paste.

/// A name or an address without the blanks around it, which neither can hold; never for passwords.
///
/// Control characters stay, and are refused where the rest is read: they come from no keyboard.
pub(crate) fn without_blanks(typed: &str) -> &str {
    typed.trim_matches(|c: char| c.is_whitespace() && !c.is_control())
}
