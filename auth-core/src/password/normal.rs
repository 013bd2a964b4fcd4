//! The one change that a password undergoes: Unicode NFC.

use unicode_normalization::{UnicodeNormalization, is_nfc};
use zeroize::Zeroizing;

use super::Password;

/// NFC makes a string at most three times shorter (Hangul), so whatever is longer than this is
/// over-long in any spelling, and is refused without looking at it.
const MAX_TYPED_BYTES: usize = 4 * Password::MAX_BYTES;

/// The NFC of a password, or nothing if it is longer than [`Password::MAX_BYTES`].
///
/// So that two spellings of one password are one password (NIST 800-63B-4 section 3.1.1.2, RFC
/// 8265 section 4.2). Nothing else is done: no trimming, no NFKC, no change of case.
pub(super) fn normalise(password: &Password) -> Option<Zeroizing<String>> {
    let typed = password.expose();
    if typed.len() > MAX_TYPED_BYTES {
        return None;
    }
    // A buffer that never grows leaves no copy of the password behind.
    let mut normal = Zeroizing::new(String::with_capacity(Password::MAX_BYTES));
    if is_nfc(typed) {
        if typed.len() > Password::MAX_BYTES {
            return None;
        }
        normal.push_str(typed);
        return Some(normal);
    }
    for c in typed.nfc() {
        if normal.len() + c.len_utf8() > Password::MAX_BYTES {
            return None;
        }
        normal.push(c);
    }
    Some(normal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(typed: &str) -> Option<String> {
        normalise(&Password::new(typed)).map(|normal| normal.to_string())
    }

    #[test]
    fn s2_4_only_nfc_is_applied() {
        assert_eq!(normal("pa\u{308}ss").as_deref(), Some("p\u{e4}ss"));
        for kept in [
            " leading",
            "trailing ",
            "UPPER",
            "\u{fb01}",
            "\u{ff21}",
            "a\0b",
            "",
        ] {
            assert_eq!(normal(kept).as_deref(), Some(kept));
        }
    }

    #[test]
    fn s2_2_the_limit_counts_the_bytes_of_the_normal_form() {
        assert!(normal(&"a".repeat(1024)).is_some());
        assert!(normal(&"a".repeat(1025)).is_none());
        assert!(normal(&"a\u{308}".repeat(512)).is_some());
        assert!(normal(&"a\u{308}".repeat(513)).is_none());
        assert!(normal(&"\u{1100}\u{1161}\u{11a8}".repeat(341)).is_some());
        assert!(normal(&"\u{308}".repeat(1 << 20)).is_none());
    }

    proptest! {
        #[test]
        fn s2_4_every_spelling_has_one_normal_form(typed in "\\PC{0,60}") {
            let decomposed: String = typed.nfd().collect();
            prop_assert_eq!(normal(&typed), normal(&decomposed));
        }
    }
}
