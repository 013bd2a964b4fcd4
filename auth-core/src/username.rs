//! Usernames.

use std::fmt;

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::confusable_detection;
use unicode_security::{GeneralSecurityProfile, RestrictionLevel, RestrictionLevelDetection};

use crate::blanks::without_blanks;

/// A username, valid and with its canonical form.
///
/// `parse` keeps the rule of Django, ASCII part: 1 to 150 letters, digits and `@ . + - _`; letters of
/// other scripts are admitted by [`UsernamePolicy::Unicode`]. White space around a name is no part of
/// it. Two names with the same [canonical form](Self::canonical) are the same name, also where `==`
/// tells apart how they were typed.
///
/// ```
/// use auth_core::Username;
///
/// let alice: Username = "Alice".parse()?;
/// assert_eq!(alice.as_str(), "Alice");
/// assert_eq!(alice.canonical(), "alice");
/// assert!("no spaces".parse::<Username>().is_err());
/// # Ok::<(), auth_core::UsernameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Username {
    typed: Box<str>,
    canonical: Box<str>,
}

impl Username {
    /// The most characters a name may have.
    pub const MAX_CHARS: usize = 150;

    /// Puts together what a store has kept, without asking whether today's rules would allow it.
    #[must_use]
    pub fn from_stored(typed: impl Into<Box<str>>, canonical: impl Into<Box<str>>) -> Self {
        Self {
            typed: typed.into(),
            canonical: canonical.into(),
        }
    }

    /// The name as it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// The form that decides whether two names are the same: NFKC, case-folded, NFKC (RFC 8265).
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// How the canonical forms begin of names that begin like this.
    pub(crate) fn canonical_start(typed: &str) -> String {
        canonical(typed).into()
    }

    /// Reads a name for a look-up, as the login does: anything that could be a canonical name.
    #[must_use]
    pub fn for_lookup(typed: &str) -> Option<Self> {
        let typed = without_blanks(typed);
        let cut = typed.char_indices().nth(Self::MAX_CHARS + 1);
        let typed = cut.map_or(typed, |(end, _)| typed.split_at(end).0);
        let canonical = canonical(typed);
        let typed = canonical.clone();
        let plausible = !canonical.is_empty()
            && canonical.chars().count() <= Self::MAX_CHARS
            && !canonical.chars().any(char::is_control);
        plausible.then_some(Self { typed, canonical })
    }
}

impl std::str::FromStr for Username {
    type Err = UsernameError;

    fn from_str(typed: &str) -> Result<Self, UsernameError> {
        UsernamePolicy::Ascii.parse(typed)
    }
}

/// The form of [`Username::canonical`], which is its own canonical form.
fn canonical(typed: &str) -> Box<str> {
    /// Few characters take a second round, and none is known to take a third.
    const ROUNDS: usize = 4;
    let mut name = fold(typed);
    for _ in 0..ROUNDS {
        let again = fold(&name);
        if again == name {
            break;
        }
        name = again;
    }
    name.into()
}

fn fold(name: &str) -> String {
    let folded: String = without_blanks(name)
        .nfkc()
        .default_case_fold()
        .nfkc()
        .collect();
    // What was one character may have white space at its ends now.
    without_blanks(&folded).to_owned()
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Username({:?})", self.typed)
    }
}

/// Which usernames new users may choose; users who are there keep theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsernamePolicy {
    /// ASCII letters, digits and `@ . + - _`.
    #[default]
    Ascii,
    /// Letters, marks and digits of all scripts in use, as the General Security Profile of
    /// [UTS #39] admits them, and `@ . + - _`.
    ///
    /// Refused are names that mix scripts beyond its level *highly restrictive*, which allows one
    /// script, or Latin with the scripts of Chinese, Japanese or Korean. A name that is [confusable]
    /// with the name of another user is taken: `раураl` beside `paypal`, but `modern` beside `modem`,
    /// too.
    ///
    /// [confusable]: Self::skeleton
    /// [UTS #39]: https://www.unicode.org/reports/tr39/
    Unicode,
}

impl UsernamePolicy {
    /// Reads the name of a new user.
    ///
    /// ```
    /// use auth_core::{UsernameError, UsernamePolicy};
    ///
    /// let name = UsernamePolicy::Unicode.parse("Zoë")?;
    /// assert_eq!(name.canonical(), "zoë");
    /// // The second letter is Cyrillic.
    /// let mixed = UsernamePolicy::Unicode.parse("pаypal");
    /// assert_eq!(mixed.unwrap_err(), UsernameError::MixedScripts);
    /// # Ok::<(), UsernameError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`UsernameError`] says what is wrong with it.
    pub fn parse(self, typed: &str) -> Result<Username, UsernameError> {
        let typed = without_blanks(typed);
        if typed.is_empty() {
            return Err(UsernameError::Empty);
        }
        if is_too_long(typed) {
            return Err(UsernameError::TooLong);
        }
        if !typed.chars().all(|c| self.allows(c)) || typed.starts_with(is_combining_mark) {
            return Err(UsernameError::Character);
        }
        let canonical = canonical(typed);
        // Case folding makes some letters two: such a name could never be looked up.
        if is_too_long(&canonical) {
            return Err(UsernameError::TooLong);
        }
        if mixes_scripts(typed) || mixes_scripts(&canonical) {
            return Err(UsernameError::MixedScripts);
        }
        Ok(Username {
            typed: typed.into(),
            canonical,
        })
    }

    fn allows(self, c: char) -> bool {
        let is_plain = c.is_ascii_alphanumeric() || is_sign(c);
        is_plain
            || (self == Self::Unicode
                && (c.is_alphanumeric() || is_combining_mark(c))
                && c.identifier_allowed())
    }

    /// What the name looks like: names with the same skeleton (UTS #39 section 4, without regard to
    /// case) are taken for each other, and a store gives each skeleton to one user. `None` where
    /// that is not asked for.
    #[must_use]
    pub fn skeleton(self, name: &Username) -> Option<String> {
        (self == Self::Unicode).then(|| skeleton(name.as_str()))
    }
}

/// The skeleton of a name as it is shown.
///
/// Folded afterwards: before, `I` would no longer look like `l`. Cut off where the index of a database
/// could no longer hold it, which only an imported name reaches.
pub(crate) fn skeleton(typed: &str) -> String {
    const MAX_CHARS: usize = 600;
    let looks = confusable_detection::skeleton(typed);
    let folded = looks.default_case_fold().nfd();
    folded.take(MAX_CHARS).collect()
}

fn is_sign(c: char) -> bool {
    "@.+-_".contains(c)
}

fn is_too_long(name: &str) -> bool {
    name.chars().nth(Username::MAX_CHARS).is_some()
}

/// The signs are of no script, but no identifier has them.
fn mixes_scripts(name: &str) -> bool {
    let letters: String = name.chars().filter(|c| !is_sign(*c)).collect();
    !letters.check_restriction_level(RestrictionLevel::HighlyRestrictive)
}

/// Why a string is no username.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UsernameError {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// More than [`Username::MAX_CHARS`].
    #[error("must have at most 150 characters")]
    TooLong,
    /// A character outside of the allowed ones.
    #[error("may contain only letters, digits and @ . + - _")]
    Character,
    /// Letters of scripts that do not go together, so that it may look like another name.
    #[error("must not mix letters of different scripts")]
    MixedScripts,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn s3_1_names_that_differ_in_case_or_width_have_one_canonical_form() {
        let alice: Username = "Alice".parse().unwrap();
        assert_eq!(alice.as_str(), "Alice");
        for spelling in ["alice", "ALICE", "ａｌｉｃｅ", "ＡＬＩＣＥ"] {
            let found = Username::for_lookup(spelling).unwrap();
            assert_eq!(found.canonical(), alice.canonical(), "{spelling}");
        }
    }

    #[test]
    fn s3_1_a_name_has_1_to_150_characters() {
        assert_eq!("".parse::<Username>(), Err(UsernameError::Empty));
        assert!("a".repeat(150).parse::<Username>().is_ok());
        assert_eq!(
            "a".repeat(151).parse::<Username>(),
            Err(UsernameError::TooLong)
        );
    }

    #[test]
    fn s3_2_only_ascii_letters_digits_and_five_signs_are_allowed() {
        assert!("a.B+c-d_e@1".parse::<Username>().is_ok());
        for name in [
            "a b",
            "a\u{a0}b",
            "a\t",
            "\na",
            "pаypal",
            "é",
            "a\u{200b}",
            "a\u{202e}",
            "a/b",
            "a:b",
            "ａ",
        ] {
            assert_eq!(
                name.parse::<Username>(),
                Err(UsernameError::Character),
                "{name:?}"
            );
        }
    }

    #[test]
    fn s3_2_white_space_around_a_name_is_no_part_of_it() {
        for typed in [" alice", "alice  ", "\u{2003}alice\u{a0}"] {
            for name in [
                typed.parse().unwrap(),
                UsernamePolicy::Unicode.parse(typed).unwrap(),
                Username::for_lookup(typed).unwrap(),
            ] {
                assert_eq!((name.as_str(), name.canonical()), ("alice", "alice"));
            }
        }
        assert_eq!("  ".parse::<Username>(), Err(UsernameError::Empty));
        assert_eq!(Username::for_lookup("  "), None);
    }

    #[test]
    fn s3_2_letters_of_one_script_are_admitted_by_the_policy() {
        for name in [
            "alice",
            "Zoë",
            "Straße",
            "Ольга",
            "Ελένη",
            "محمد",
            "דנה",
            "अनिता",
            "สมชาย",
            "김민수",
            "山田太郎",
            "やまだタロウ",
            "Kim김",
            "Yamada山田タロウ",
            "Zoë.O+x-y_z@1",
            "e\u{301}",
        ] {
            let parsed = UsernamePolicy::Unicode.parse(name).expect(name);
            let found = Username::for_lookup(name).unwrap();
            assert_eq!(found.canonical(), parsed.canonical());
            assert_eq!(name.parse::<Username>().is_ok(), name.is_ascii(), "{name}");
        }
    }

    #[test]
    fn s3_2_names_of_mixed_scripts_are_refused() {
        for name in ["pаypal", "Oльга", "αlice", "аdmin", "ალice", "דnה", "한а"] {
            let refused = UsernamePolicy::Unicode.parse(name);
            assert_eq!(refused, Err(UsernameError::MixedScripts), "{name}");
        }
    }

    #[test]
    fn s3_2_what_cannot_be_seen_or_is_no_letter_is_always_refused() {
        let invisible = [
            "\u{200b}",
            "\u{200c}",
            "\u{200d}",
            "\u{2060}",
            "\u{feff}",
            "\u{34f}",
            "\u{115f}",
            "\u{3164}",
            "\u{ffa0}",
            "\u{fe0f}",
            "\u{ad}",
            "\u{180e}",
            "\u{e0041}",
        ];
        let directions = [
            "\u{200e}", "\u{200f}", "\u{202a}", "\u{202e}", "\u{2066}", "\u{2069}", "\u{61c}",
        ];
        let no_characters = ["\u{e000}", "\u{f8ff}", "\u{10fffd}", "\u{378}", "\u{fffe}"];
        let spaces = [
            " ", "\u{a0}", "\u{2003}", "\u{3000}", "\u{2028}", "\n", "\0", "\u{85}",
        ];
        let signs = ["/", ":", "<", "☺", "²", "ﬁ", "ａ", "Ⅷ", "\u{2019}", "·"];
        for part in [&invisible[..], &directions, &no_characters, &spaces, &signs].concat() {
            let name = format!("a{part}b");
            let refused = UsernamePolicy::Unicode.parse(&name);
            assert_eq!(refused, Err(UsernameError::Character), "{part:?}");
        }
        let mark_first = UsernamePolicy::Unicode.parse("\u{301}a");
        assert_eq!(mark_first, Err(UsernameError::Character));
    }

    #[test]
    fn s3_2_names_that_look_alike_have_one_skeleton() {
        let skeleton = |name| {
            let name = UsernamePolicy::Unicode.parse(name).expect(name);
            UsernamePolicy::Unicode.skeleton(&name).unwrap()
        };
        for (one, other) in [
            ("paypal", "раураӏ"),
            ("modern", "modem"),
            ("alice", "aIice"),
            ("scope", "ѕсоре"),
            ("bill", "bi11"),
        ] {
            assert_eq!(skeleton(one), skeleton(other), "{one} {other}");
        }
        for (one, other) in [("alice", "alicia"), ("zoe", "zoë"), ("bob", "rob")] {
            assert_ne!(skeleton(one), skeleton(other), "{one} {other}");
        }
        let name: Username = "modern".parse().unwrap();
        assert_eq!(UsernamePolicy::Ascii.skeleton(&name), None);
    }

    #[test]
    fn s3_1_a_canonical_form_is_its_own() {
        for name in [
            "\u{37a}",
            "\u{345}\u{313}",
            "ᾳ\u{345}",
            "ẞ",
            "İ",
            "\u{fdfa}",
        ] {
            let found = Username::for_lookup(name).unwrap();
            let again = Username::for_lookup(found.canonical()).unwrap();
            assert_eq!(again.canonical(), found.canonical(), "{name:?}");
        }
    }

    #[test]
    fn s3_1_a_name_that_grows_when_it_is_folded_is_too_long() {
        let grows = "ß".repeat(76);
        let refused = UsernamePolicy::Unicode.parse(&grows);
        assert_eq!(refused, Err(UsernameError::TooLong));
        assert!(UsernamePolicy::Unicode.parse(&"ß".repeat(75)).is_ok());
    }

    #[test]
    fn s3_5_control_characters_are_refused() {
        for control in ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}') {
            let name = format!("a{control}b");
            assert_eq!(name.parse::<Username>(), Err(UsernameError::Character));
            assert!(Username::for_lookup(&name).is_none());
        }
    }

    proptest! {
        #[test]
        fn a_valid_name_is_found_by_its_own_spelling(name in "[A-Za-z0-9@.+_-]{1,150}") {
            let parsed: Username = name.parse().unwrap();
            let found = Username::for_lookup(&name).unwrap();
            prop_assert_eq!(parsed.canonical(), found.canonical());
        }

        #[test]
        fn no_input_panics(name in any::<String>()) {
            let _ = name.parse::<Username>();
            let _ = Username::for_lookup(&name);
            if let Ok(parsed) = UsernamePolicy::Unicode.parse(&name) {
                let found = Username::for_lookup(&name).map(|found| found.canonical().to_owned());
                prop_assert_eq!(found.as_deref(), Some(parsed.canonical()));
            }
        }
    }
}
