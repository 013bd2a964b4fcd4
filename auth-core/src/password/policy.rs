//! What a password may be.

use std::sync::Arc;

use caseless::Caseless;
use tracing::warn;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::blocklist::is_common;
use super::breached::{BreachedPasswords, OnCheckFailure};
use super::normal::normalise;
use super::{Password, PasswordProblem};
use crate::blanks::without_blanks;

/// A name that must not make up a password has at least this many characters.
const MIN_NAME_CHARS: usize = 4;
/// A password keeps at least this many characters without such a name.
const MIN_OTHER_CHARS: usize = 6;

/// The rules for new passwords, after NIST SP 800-63B-4 section 3.1.1.2.
///
/// - At least 8 characters (Unicode code points after NFC); ask for 15 where the password is the
///   only factor. At most [`Password::MAX_BYTES`].
/// - No control characters (RFC 8265 section 4.2.2): they come from a stray line end rather than
///   from a keyboard, and lock their owner out. Everything else is allowed, spaces and emoji too.
/// - No common password, whatever its case: none of the 19,000 of a built-in list, repeated or
///   followed by digits or not; no two of its words joined, and no runs along the alphabet, the digits or
///   a keyboard (`docs/decisions/`, 52).
/// - Not the username, the e-mail address, its local part or a name of the service, whatever the
///   case, and not one of these with fewer than 6 other characters.
/// - Not in a set of breached passwords, if there is [one](Self::with_breached_passwords).
///
/// Nothing is said about kinds of characters, and no password is ever too old.
///
/// ```
/// use auth_core::{Password, PasswordPolicy, PasswordProblem};
///
/// # #[tokio::main]
/// # async fn main() {
/// let policy = PasswordPolicy::default();
/// let problems = policy
///     .check(&Password::new("dragon"), "alice", "alice@example.org")
///     .await
///     .unwrap_err();
/// assert_eq!(problems, [PasswordProblem::TooShort { min_chars: 8 }, PasswordProblem::Common]);
/// assert_eq!(problems[0].to_string(), "must have at least 8 characters");
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PasswordPolicy {
    min_chars: usize,
    context_words: Vec<Box<str>>,
    breached: Option<(Arc<dyn BreachedPasswords>, OnCheckFailure)>,
}

impl PasswordPolicy {
    /// The least number of characters that can be asked for, and the default.
    pub const MIN_CHARS: usize = 8;
    /// The greatest number of characters that can be asked for.
    pub const MAX_MIN_CHARS: usize = 128;

    /// Asks for at least this many characters instead of 8.
    ///
    /// # Errors
    ///
    /// - [`PasswordPolicyError::MinTooLow`] below 8;
    /// - [`PasswordPolicyError::MinTooHigh`] above 128, which any password must be able to have.
    pub fn with_min_chars(mut self, min_chars: usize) -> Result<Self, PasswordPolicyError> {
        if min_chars < Self::MIN_CHARS {
            return Err(PasswordPolicyError::MinTooLow);
        }
        if min_chars > Self::MAX_MIN_CHARS {
            return Err(PasswordPolicyError::MinTooHigh);
        }
        self.min_chars = min_chars;
        Ok(self)
    }

    /// Adds names of the service, its company, its domain: what an attacker tries here first.
    #[must_use]
    pub fn add_context_words(
        mut self,
        words: impl IntoIterator<Item = impl Into<Box<str>>>,
    ) -> Self {
        self.context_words.extend(words.into_iter().map(Into::into));
        self
    }

    /// Refuses the passwords of this set.
    #[must_use]
    pub fn with_breached_passwords(
        mut self,
        breached: Arc<dyn BreachedPasswords>,
        on_failure: OnCheckFailure,
    ) -> Self {
        self.breached = Some((breached, on_failure));
        self
    }

    /// Checks a new password of the user with this name and address.
    ///
    /// # Errors
    ///
    /// Every rule that the password breaks, at least one.
    pub async fn check(
        &self,
        password: &Password,
        username: &str,
        email: &str,
    ) -> Result<(), Vec<PasswordProblem>> {
        let normal = normalise(password).ok_or_else(|| vec![PasswordProblem::TooLong])?;
        let problems = self.problems(&normal, username, email);
        if !problems.is_empty() {
            return Err(problems);
        }
        self.check_breached(&normal)
            .await
            .map_err(|problem| vec![problem])
    }

    fn problems(&self, normal: &str, username: &str, email: &str) -> Vec<PasswordProblem> {
        let mut problems = Vec::new();
        if normal.chars().count() < self.min_chars {
            problems.push(PasswordProblem::TooShort {
                min_chars: self.min_chars,
            });
        }
        if normal.contains(char::is_control) {
            problems.push(PasswordProblem::ControlCharacter);
        }
        let folded = fold(normal);
        if is_common(&folded) {
            problems.push(PasswordProblem::Common);
        }
        let (username, email) = (without_blanks(username), without_blanks(email));
        let local_part = email.rsplit_once('@').map_or(email, |(local, _)| local);
        let names = [username, email, local_part];
        let mut names = names
            .into_iter()
            .chain(self.context_words.iter().map(AsRef::as_ref));
        if names.any(|name| is_made_of(&folded, &fold(name))) {
            problems.push(PasswordProblem::Predictable);
        }
        problems
    }

    async fn check_breached(&self, normal: &str) -> Result<(), PasswordProblem> {
        let Some((breached, on_failure)) = &self.breached else {
            return Ok(());
        };
        match (breached.contains(&Password::new(normal)).await, on_failure) {
            (Ok(false), _) => Ok(()),
            (Ok(true), _) => Err(PasswordProblem::Breached),
            (Err(error), OnCheckFailure::Accept) => {
                warn!(
                    error = &*error as &dyn std::error::Error,
                    "a password was accepted unchecked: no answer about breaches"
                );
                Ok(())
            }
            (Err(error), OnCheckFailure::Refuse) => {
                warn!(
                    error = &*error as &dyn std::error::Error,
                    "a password was refused unchecked: no answer about breaches"
                );
                Err(PasswordProblem::Unchecked)
            }
        }
    }
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self {
            min_chars: Self::MIN_CHARS,
            context_words: Vec::new(),
            breached: None,
        }
    }
}

/// Why a policy cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordPolicyError {
    /// Short passwords can be guessed.
    #[error("the minimum length of passwords cannot be below 8")]
    MinTooLow,
    /// Long passwords would be refused.
    #[error("the minimum length of passwords cannot be above 128")]
    MinTooHigh,
}

/// The form in which passwords and names are compared: without regard to case.
pub(super) fn fold(text: &str) -> Zeroizing<String> {
    // Room enough that the buffer never grows, which would leave a copy behind: the fold of a
    // character has at most three times its bytes.
    let mut folded = Zeroizing::new(String::with_capacity(3 * text.len()));
    folded.extend(text.nfc().default_case_fold().nfc());
    folded
}

/// Whether a password is a name, or little else than a name; both folded.
fn is_made_of(password: &str, name: &str) -> bool {
    if name.is_empty() {
        return false;
    }
    let other_chars: usize = password.split(name).map(|part| part.chars().count()).sum();
    let is_short = name.chars().count() < MIN_NAME_CHARS;
    password == name || (!is_short && password.contains(name) && other_chars < MIN_OTHER_CHARS)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use proptest::prelude::*;

    use super::super::test_support::Log;
    use super::*;

    const TOO_SHORT: PasswordProblem = PasswordProblem::TooShort { min_chars: 8 };

    async fn check_with(policy: &PasswordPolicy, password: &str) -> Vec<PasswordProblem> {
        let password = Password::new(password);
        let outcome = policy.check(&password, "alice.w", "wonder@land.example");
        outcome.await.err().unwrap_or_default()
    }

    async fn check(password: &str) -> Vec<PasswordProblem> {
        check_with(&PasswordPolicy::default(), password).await
    }

    #[tokio::test]
    async fn s2_1_eight_characters_are_the_least() {
        assert_eq!(check("").await, [TOO_SHORT]);
        assert_eq!(check("kv7#pQz").await, [TOO_SHORT]);
        assert_eq!(check("kv7#pQz!").await, []);
    }

    #[tokio::test]
    async fn s2_1_characters_are_code_points_after_nfc() {
        assert_eq!(check("жюкщзёфы").await, []);
        assert_eq!(check("e\u{301}o\u{308}u\u{308}a\u{308}").await, [TOO_SHORT]);
    }

    #[tokio::test]
    async fn s2_1_the_least_can_be_raised_but_not_lowered() {
        let policy = |min| PasswordPolicy::default().with_min_chars(min);
        assert_eq!(policy(7).err(), Some(PasswordPolicyError::MinTooLow));
        assert_eq!(policy(129).err(), Some(PasswordPolicyError::MinTooHigh));
        let fifteen = policy(15).unwrap();
        let problems = check_with(&fifteen, "kv7#pQz! kv7#p").await;
        assert_eq!(problems, [PasswordProblem::TooShort { min_chars: 15 }]);
        assert_eq!(check_with(&fifteen, "kv7#pQz! kv7#pQ").await, []);
    }

    #[tokio::test]
    async fn s2_2_a_thousand_bytes_are_accepted_and_more_are_refused() {
        assert_eq!(check(&"kv7#pQz!".repeat(16)).await, []);
        assert_eq!(check(&"kv7#pQz!".repeat(128)).await, []);
        let long = format!("{}x", "kv7#pQz!".repeat(128));
        assert_eq!(check(&long).await, [PasswordProblem::TooLong]);
        assert_eq!(
            PasswordProblem::TooLong.to_string(),
            "must have at most 1024 bytes"
        );
        assert_eq!(Password::MAX_BYTES, 1024);
    }

    #[tokio::test]
    async fn s2_3_no_kind_of_character_is_asked_for() {
        for password in [
            "churningpotatoviolin",
            "70915236804417392056",
            "c h u r n i n g",
            "        x",
            "\u{1f9c0}\u{1f422}\u{1f3ba}\u{1f9ca}\u{1fab6}\u{1f52d}\u{1f6f6}\u{1f9f5}",
            "верный конь батарейка скоба",
            "CHURNINGPOTATO",
            "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
        ] {
            assert_eq!(check(password).await, [], "{password}");
        }
    }

    #[tokio::test]
    async fn s2_5_control_characters_are_refused() {
        for control in ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}') {
            let password = format!("churning{control}potato");
            let problems = check(&password).await;
            assert_eq!(problems, [PasswordProblem::ControlCharacter], "{control:?}");
        }
        let line_end = check("churningpotato\n").await;
        assert_eq!(line_end, [PasswordProblem::ControlCharacter]);
    }

    #[tokio::test]
    async fn s2_6_common_passwords_are_refused_in_any_case() {
        for password in [
            "password",
            "PassWord",
            "PASSWORDpassword",
            "Password12345678",
            "qwertyuiop",
            "1234567890",
            "iloveyou",
            "Пароль2026",
            "123456789012345",
            "AbcDefGhiJklMnop",
            "QwertyUiopAsdfghjkl",
            "PasswordQwerty",
            "passwordqwerty2026",
            "passwordqwertypasswordqwerty",
        ] {
            assert_eq!(
                check(password).await,
                [PasswordProblem::Common],
                "{password}"
            );
        }
    }

    #[tokio::test]
    async fn s2_7_names_of_the_user_and_the_service_are_refused() {
        let policy = PasswordPolicy::default().add_context_words(["AcmeCloud", "hq", ""]);
        for password in [
            "Alice.W1",
            "ALICE.W-ALICE.W",
            "wonder@land.example",
            "Wonder@Land.Example99999",
            "WONDER-99",
            "12wonder345",
            "wonder.wonder.wonder",
            "wonder wonder",
            "acmecloud",
            "ACMEcloud2026!",
        ] {
            let problems = check_with(&policy, password).await;
            assert_eq!(problems, [PasswordProblem::Predictable], "{password}");
        }
        for password in [
            "alice.w-potato",
            "potato-wonder",
            "hqhqhqhq",
            "hq potato",
            "AcmeCloud potato",
        ] {
            assert_eq!(check_with(&policy, password).await, [], "{password}");
        }
    }

    #[tokio::test]
    async fn s2_7_blanks_around_a_name_make_it_no_other() {
        let password = Password::new("alice.w-1");
        let policy = PasswordPolicy::default();
        let problems = policy.check(&password, " alice.w ", " wonder@land.example");
        assert_eq!(problems.await, Err(vec![PasswordProblem::Predictable]));
    }

    #[tokio::test]
    async fn s2_7_a_short_name_is_refused_as_the_whole_password_only() {
        let policy = PasswordPolicy::default();
        let problems = |password, username| {
            let (policy, password) = (policy.clone(), Password::new(password));
            async move { policy.check(&password, username, "").await }
        };
        let whole = problems("kvq", "KVQ").await;
        assert_eq!(whole, Err(vec![TOO_SHORT, PasswordProblem::Predictable]));
        assert_eq!(problems("kvqkvqkvq", "kvq").await, Ok(()));
    }

    #[tokio::test]
    async fn every_broken_rule_is_named() {
        let problems = check("love\0").await;
        assert_eq!(problems, [TOO_SHORT, PasswordProblem::ControlCharacter]);
        assert_eq!(check("love").await, [TOO_SHORT, PasswordProblem::Common]);
    }

    /// The boundary to a breach service, with a fixed answer.
    #[derive(Debug)]
    struct Breaches {
        answer: Result<bool, &'static str>,
        asked: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl BreachedPasswords for Breaches {
        async fn contains(
            &self,
            password: &Password,
        ) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
            let password = password.expose().to_owned();
            self.asked.lock().unwrap().push(password);
            Ok(self.answer?)
        }
    }

    async fn with_breaches(
        answer: Result<bool, &'static str>,
        on_failure: OnCheckFailure,
        password: &str,
    ) -> (Vec<PasswordProblem>, Vec<String>) {
        let breaches = Arc::new(Breaches {
            answer,
            asked: Mutex::default(),
        });
        let policy = PasswordPolicy::default()
            .with_breached_passwords(Arc::clone(&breaches) as _, on_failure);
        let problems = check_with(&policy, password).await;
        let asked = breaches.asked.lock().unwrap().clone();
        (problems, asked)
    }

    #[tokio::test]
    async fn s2_6_a_breached_password_is_refused() {
        for on_failure in [OnCheckFailure::Accept, OnCheckFailure::Refuse] {
            let (problems, asked) =
                with_breaches(Ok(true), on_failure, "churning cre\u{300}me").await;
            assert_eq!(problems, [PasswordProblem::Breached]);
            assert_eq!(asked, ["churning cr\u{e8}me"]);
            let (problems, _) = with_breaches(Ok(false), on_failure, "churning potato").await;
            assert_eq!(problems, []);
        }
    }

    #[tokio::test]
    async fn s2_6_the_breach_check_is_asked_about_good_passwords_only() {
        let (problems, asked) = with_breaches(Ok(true), OnCheckFailure::Refuse, "password").await;
        assert_eq!(problems, [PasswordProblem::Common]);
        assert_eq!(asked, [""; 0]);
    }

    #[tokio::test]
    async fn s2_6_a_failing_breach_check_accepts_or_refuses_as_configured_and_is_logged() {
        for (on_failure, expected, logged) in [
            (OnCheckFailure::Accept, None, "accepted unchecked"),
            (
                OnCheckFailure::Refuse,
                Some(PasswordProblem::Unchecked),
                "refused unchecked",
            ),
        ] {
            let (log, _guard) = Log::capture();
            let (problems, _) = with_breaches(Err("down"), on_failure, "churning potato").await;
            assert_eq!(problems, Vec::from_iter(expected));
            let text = log.text();
            assert!(text.contains("WARN") && text.contains(logged), "{text}");
            assert!(text.contains("down") && !text.contains("potato"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn s2_7_case_never_hides_a_name(name in "[a-zA-Zäöß]{4,20}", tail in "[0-9]{0,5}") {
            for spelling in [name.to_uppercase(), name.to_lowercase()] {
                let password = format!("{spelling}{tail}");
                prop_assert!(is_made_of(&fold(&password), &fold(&name)));
            }
        }

        #[test]
        fn no_input_panics(password in any::<String>(), name in any::<String>()) {
            let _ = PasswordPolicy::default().problems(&password, &name, &name);
        }
    }
}
