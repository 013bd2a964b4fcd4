//! The built-in list of common passwords.

use std::cmp::Ordering;

use super::joined::is_joined;

/// The words, lower case, sorted by bytes, one a line; `common.LICENSE.txt` tells where they come
/// from: 20,000 passwords compiled by Royce Williams, by way of Django (BSD licence).
///
/// It is searched where it stands in the program: nothing is built at the start, and only the
/// pages that a search touches are ever loaded.
static COMMON: &str = include_str!("common.txt");

/// Whether a case-folded password is common: a word of the list, or one repeated, or with nothing but digits
/// behind it; or [joined](super::joined) of two words, or of runs.
///
/// A number with digits behind it is just a number, so digits follow only what is more than
/// digits: a list with `1234` in it would else refuse a tenth of a thousand of all numbers.
pub(super) fn is_common(folded: &str) -> bool {
    if is_weak_or_repeated(folded) {
        return true;
    }
    let stem = folded.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_number = stem.is_empty();
    !is_number
        && (is_joined(stem)
            || (stem.len()..folded.len())
                .filter_map(|end| folded.get(..end))
                .any(is_listed_or_repeated))
}

/// Whether it is a word of the list with a letter in it: such are the parts of joined passwords.
pub(super) fn is_listed_word(text: &str) -> bool {
    text.contains(char::is_alphabetic) && is_listed(COMMON, text)
}

/// How many bytes the longest word of the list has.
pub(super) const LONGEST_WORD: usize = 21;

fn is_weak_or_repeated(text: &str) -> bool {
    is_joined(text) || repeats(text, |word| is_listed(COMMON, word) || is_joined(word))
}

fn is_listed_or_repeated(text: &str) -> bool {
    repeats(text, |word| is_listed(COMMON, word))
}

/// Whether a text is one of these words, once or more often.
fn repeats(text: &str, is_one: impl Fn(&str) -> bool) -> bool {
    is_one(text)
        || (1..=text.len() / 2)
            .filter(|length| text.len().is_multiple_of(*length))
            .filter_map(|length| text.get(..length))
            .any(|word| is_repetition(text, word) && is_one(word))
}

fn is_repetition(text: &str, word: &str) -> bool {
    text.as_bytes()
        .chunks_exact(word.len())
        .all(|part| part == word.as_bytes())
}

/// Binary search over the lines of a sorted text.
fn is_listed(list: &str, word: &str) -> bool {
    let mut rest = list;
    while !rest.is_empty() {
        let (before, _) = rest.split_at(rest.floor_char_boundary(rest.len() / 2));
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let (lower, from_line) = rest.split_at(line_start);
        let (line, upper) = from_line.split_once('\n').unwrap_or((from_line, ""));
        rest = match line.cmp(word) {
            Ordering::Equal => return true,
            Ordering::Less => upper,
            Ordering::Greater => lower,
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::policy::fold;
    use super::*;

    #[test]
    fn s2_6_the_list_is_long_enough_and_in_the_form_that_is_searched() {
        let words: Vec<&str> = COMMON.lines().collect();
        assert!(words.is_sorted_by(|a, b| a < b));
        assert!(words.iter().all(|word| word.chars().count() >= 4));
        assert!(words.iter().all(|word| *fold(word) == **word));
        let long = words.iter().filter(|word| word.chars().count() >= 8);
        assert!(long.count() >= 3000);
    }

    #[test]
    fn no_word_is_longer_than_the_longest() {
        let longest = COMMON.lines().map(str::len).max().unwrap();
        assert_eq!(longest, LONGEST_WORD);
    }

    #[test]
    fn s2_6_every_word_of_the_list_is_found() {
        for word in COMMON.lines() {
            assert!(is_common(word), "{word}");
        }
    }

    #[test]
    fn s2_6_a_word_repeated_or_followed_by_digits_is_common() {
        for password in [
            "passwordpassword",
            "passwordpasswordpassword",
            "password12345678",
            "password1",
            "passwordpassword2026",
            "love12345678",
            "lovelovelove",
            "abc1234567890123",
            "12341234",
            "пароль2026",
        ] {
            assert!(is_common(password), "{password}");
        }
    }

    #[test]
    fn s2_3_what_only_begins_like_a_word_is_not_common() {
        for password in [
            "",
            "a",
            "passwordxpassword",
            "password1x",
            "correct horse battery staple",
            "12349071650293847561",
            "lovelychurningpotato",
            "1234 horses",
            "\u{1f9c0}\u{1f422}\u{1f3ba}\u{1f9ca}\u{1fab6}\u{1f52d}\u{1f6f6}\u{1f9f5}",
        ] {
            assert!(!is_common(password), "{password}");
        }
    }

    proptest! {
        #[test]
        fn the_search_finds_what_a_scan_finds(
            words in prop::collection::btree_set("[a-dä]{1,3}", 0..20),
            word in "[a-dä]{0,3}",
        ) {
            let list: String = words.iter().map(|word| format!("{word}\n")).collect();
            prop_assert_eq!(is_listed(&list, &word), words.contains(&word));
        }

        #[test]
        fn no_input_panics(password in "\\PC{0,64}[0-9]{0,8}") {
            let _ = is_common(&password);
        }
    }
}
