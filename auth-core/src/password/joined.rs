//! Passwords that are joined of few parts which everybody tries: common words, and runs along the alphabet,
//! the digits or the keyboard.

use super::blocklist::{LONGEST_WORD, is_listed_word};

/// A run has at least this many characters.
const MIN_RUN: usize = 3;

/// A word has at least this many.
const MIN_WORD: usize = 4;

/// How many characters a run may lack at its end because the next part begins with them.
const MAX_OVERLAP: usize = 3;

/// What a word costs, about the logarithm of how many there are; see [`AFFORDABLE`].
const WORD: u32 = 3;

/// What a run costs.
const RUN: u32 = 2;

/// What an attacker tries first: two words, a word and two runs, or three runs. Three words are a passphrase.
const AFFORDABLE: u32 = 7;

/// The rows of keyboards, from left to right and one below the other, since a run may go on there; and the
/// columns of the first.
static ROWS: &[&str] = &[
    "1234567890qwertyuiopasdfghjklzxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    "qazwsxedcrfvtgbyhnujmikolp",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1234567890йцукенгшщзхъфывапролджэячсмитьбю",
];

/// Whether a case-folded password is joined of so few words and runs that it is among the first to be tried.
pub(super) fn is_joined(folded: &str) -> bool {
    !folded.is_empty() && is_affordable(folded, AFFORDABLE)
}

/// Whether the rest consists of parts that cost no more than this.
fn is_affordable(rest: &str, budget: u32) -> bool {
    if rest.is_empty() {
        return true;
    }
    let goes_on = |end: usize, cost: u32| {
        let rest = rest.get(end..);
        let budget = budget.checked_sub(cost);
        rest.zip(budget)
            .is_some_and(|(rest, budget)| is_affordable(rest, budget))
    };
    let words = || ends(rest).take_while(|end| *end <= LONGEST_WORD);
    let is_word = |end: &usize| rest.get(..*end).is_some_and(is_listed_word);
    let run = run_length(rest);
    let run_ends = ends(rest).take(run).skip(MIN_RUN - 1);
    run_ends
        .skip(run.saturating_sub(MIN_RUN - 1 + MAX_OVERLAP + 1))
        .any(|end| goes_on(end, RUN))
        || words()
            .skip(MIN_WORD - 1)
            .filter(is_word)
            .any(|end| goes_on(end, WORD))
}

/// Where the characters of a text end, in bytes.
fn ends(text: &str) -> impl Iterator<Item = usize> {
    text.char_indices().map(|(start, c)| start + c.len_utf8())
}

/// How many characters at the beginning are one run.
fn run_length(text: &str) -> usize {
    let is_same = |a, b| a == b;
    let is_before = |a, b| is_next(b, a);
    let steps = [
        steps(text, is_same),
        steps(text, is_next),
        steps(text, is_before),
    ];
    let along_rows = ROWS.iter().flat_map(|row| {
        let (right, left) = (row.chars(), row.chars().rev());
        [shared(text, right), shared(text, left)]
    });
    steps.into_iter().chain(along_rows).max().unwrap_or(0)
}

/// How many characters follow each other by such steps.
fn steps(text: &str, is_step: impl Fn(char, char) -> bool) -> usize {
    let pairs = text.chars().zip(text.chars().skip(1));
    1 + pairs.take_while(|(a, b)| is_step(*a, *b)).count()
}

fn is_next(a: char, b: char) -> bool {
    let follows = u32::from(a) + 1 == u32::from(b) && a.is_alphanumeric() && b.is_alphanumeric();
    follows || matches!((a, b), ('9', '0') | ('z', 'a'))
}

/// How many characters the text shares with the row, from where the text's first one stands in the row.
fn shared(text: &str, row: impl Iterator<Item = char>) -> usize {
    let first = text.chars().next();
    let row = row.skip_while(|c| Some(*c) != first);
    row.zip(text.chars()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn s2_6_runs_and_joined_words_are_common() {
        for password in [
            // Runs by one, and of one character.
            "123456789012345",
            "98765432109876543210",
            "abcdefghijklmnop",
            "zyxwvutsrqponmlkjih",
            "abcdefghijklmnopqrstuvwxyzabcdefg",
            "aaaaaaaaaaaaaaaa",
            "                ",
            "абвгдежзийклмноп",
            // Rows and columns of a keyboard.
            "qwertyuiopasdfghjkl",
            "qwertyuiopasdfghjklzxcvbnm",
            "poiuytrewq0987654321",
            "1qaz2wsx3edc4rfv5tgb",
            "1q2w3e4r5t6y7u8i9o0p",
            "azertyuiopqsdfghjklm",
            "qwertzuiopasdfghjkl",
            "йцукенгшщзхъфывапролдж",
            // A few of these.
            "abc123qwerty",
            "asdfghjkl12345678",
            "111222333",
            // Two words, and a word and runs.
            "passwordqwerty",
            "qwertypassword",
            "dragonmonkey",
            "iloveyouforever",
            "letmeinplease",
            "password123456789012",
            "qwertyuiopmonkey123",
            "abcdefgood",
        ] {
            assert!(is_joined(password), "{password}");
        }
    }

    /// What people who follow the advice to take a passphrase choose.
    #[test]
    fn s2_3_passphrases_are_not_joined_of_too_little() {
        for password in [
            "",
            "correct horse battery staple",
            "correcthorsebatterystaple",
            "churningpotatoviolin",
            "lovelychurningpotato",
            "purple elephant dancing",
            "purpleelephantdancing",
            "dragon monkey summer",
            "dragonmonkeysummer",
            "my dog has three ears",
            "the quick brown fox jumps",
            "Wir fahren morgen ans Meer",
            "la luna mira el mar de noche",
            "верный конь батарейка скоба",
            "верныйконьбатарейка",
            "正確な馬と電池のホチキス",
            "staircase-unwoven-plausible",
            "tactful.gibberish.harmonica",
            "seven7green8windows9",
            "kv7#pqz!",
            "70915236804417392056",
            "70915236",
            "3141592653589793",
            "c h u r n i n g",
            "        x",
            "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
            "\u{1f9c0}\u{1f422}\u{1f3ba}\u{1f9ca}\u{1fab6}\u{1f52d}\u{1f6f6}\u{1f9f5}",
            "x1abc9qwe7zzz4",
        ] {
            assert!(!is_joined(password), "{password}");
        }
    }

    #[test]
    fn a_long_password_is_judged_in_few_steps() {
        for part in ["a", "ab", "abc", "password", "1234567890", "qwerty!"] {
            let text = part.repeat(1_024 / part.len());
            assert!(!is_joined(&format!("{text}~")), "{part}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(password in "\\PC{0,40}[a-c1-3]{0,12}") {
            let _ = is_joined(&password);
        }

        #[test]
        fn s2_3_random_passwords_of_eight_characters_are_accepted(
            password in "[a-z0-9#!?]{3}[#!?][a-z0-9#!?]{4}",
        ) {
            prop_assert!(!is_joined(&password));
        }
    }
}
