//! Why a mail did not travel, in words that an operator may read.

use std::error::Error;

/// The error and its causes on one line, without what must not be kept or logged.
///
/// A mail server's answer is a stranger's text and may repeat the recipient or the mail itself,
/// with its link. So words with an address or a link in them, and words long enough for a token,
/// are left out.
pub(super) fn reason(error: &(dyn Error + 'static)) -> String {
    let mut told = String::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let words: Vec<_> = cause.to_string().split_whitespace().map(harmless).collect();
        let words = words.join(" ");
        // Some errors tell their causes themselves.
        if !told.contains(&words) {
            if !told.is_empty() {
                told.push_str(": ");
            }
            told.push_str(&words);
        }
        next = cause.source();
    }
    told.chars().take(MAX_CHARS).collect()
}

const MAX_CHARS: usize = 300;
const MAX_WORD: usize = 30;

fn harmless(word: &str) -> String {
    if word.contains('@') {
        "[address]".to_owned()
    } else if word.contains("://") || word.contains("token=") || word.len() > MAX_WORD {
        "[...]".to_owned()
    } else {
        let visible = |c: char| if c.is_ascii_graphic() { c } else { '?' };
        word.chars().map(visible).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::mail::MailError;

    fn told(answer: &str) -> String {
        reason(&MailError::Permanent(Box::new(io::Error::other(
            answer.to_owned(),
        ))))
    }

    #[test]
    fn tells_the_error_and_its_causes() {
        assert_eq!(
            told("550 5.1.1 no such user"),
            "the mail cannot be sent: 550 5.1.1 no such user"
        );
    }

    #[test]
    fn s14_2_neither_addresses_nor_links_nor_tokens_remain() {
        let token = "A".repeat(43);
        let told = told(&format!(
            "550 <bob@example.org>: https://example.org/?token={token} {token}"
        ));
        assert_eq!(told, "the mail cannot be sent: 550 [address] [...] [...]");
    }

    #[test]
    fn s14_3_a_reason_stays_one_short_line_of_ascii() {
        let told = told(&"a\r\nb\u{1b}[31m\u{2028}\u{202e}é\0 ".repeat(100));
        assert!(told.chars().all(|c| c.is_ascii_graphic() || c == ' '));
        assert!(told.len() <= MAX_CHARS);
    }
}
