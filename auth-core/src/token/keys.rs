//! Secrets: what opaque tokens are derived from, and access tokens of HS256 are signed with.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;
use zeroize::Zeroizing;

pub(super) type HmacSha256 = Hmac<Sha256>;

/// A secret of at least 256 bits, wiped when dropped, never shown.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<Vec<u8>>);

impl SecretKey {
    /// The fewest bytes a secret may have (RFC 7518 section 3.2).
    pub const MIN_BYTES: usize = 32;

    /// The fewest different bytes a secret may have.
    pub const MIN_DISTINCT_BYTES: usize = 16;

    /// Takes a secret in, as text, and refuses what an attacker would try.
    ///
    /// A text of hexadecimal digits is judged by the bytes it stands for; the key is the text
    /// itself in any case. Refused are short, uniform and ordered secrets, placeholders, and text
    /// whose neighbouring letters are those of English words. What a generator makes of 32 bytes
    /// or more, in hexadecimal or base64, is refused less often than once in a billion times.
    ///
    /// ```
    /// use auth_core::{SecretKey, WeakKey};
    ///
    /// assert!(SecretKey::parse("kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0").is_ok());
    /// assert_eq!(SecretKey::parse("changeme").unwrap_err(), WeakKey::TooShort);
    /// ```
    ///
    /// # Errors
    ///
    /// [`WeakKey`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, WeakKey> {
        if text.len() < Self::MIN_BYTES {
            return Err(WeakKey::TooShort);
        }
        let lower = Zeroizing::new(text.to_ascii_lowercase());
        if PLACEHOLDERS
            .iter()
            .any(|placeholder| lower.contains(placeholder))
        {
            return Err(WeakKey::Placeholder);
        }
        let decoded = decode_hex(text);
        let bytes = decoded.as_ref().map_or(text.as_bytes(), |bytes| bytes);
        if bytes.len() < Self::MIN_BYTES {
            return Err(WeakKey::TooShort);
        }
        if count_distinct(&bytes.iter().copied()) < Self::MIN_DISTINCT_BYTES {
            return Err(WeakKey::TooUniform);
        }
        let steps = bytes.iter().zip(bytes.iter().skip(1));
        let steps = steps.map(|(one, next)| next.wrapping_sub(*one));
        if count_distinct(&steps) < MIN_DISTINCT_STEPS || is_made_of_words(text.as_bytes()) {
            return Err(WeakKey::Predictable);
        }
        Ok(Self(Zeroizing::new(text.as_bytes().to_vec())))
    }

    /// Makes a secret of 256 random bits, as base64url text.
    ///
    /// # Errors
    ///
    /// [`RandomnessUnavailable`] if the operating system has no randomness to give.
    pub fn generate() -> Result<Self, RandomnessUnavailable> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| RandomnessUnavailable)?;
        Ok(Self(Zeroizing::new(
            URL_SAFE_NO_PAD.encode(bytes.as_slice()).into_bytes(),
        )))
    }

    /// Hands the secret out, for the one place that stores it.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Derives a key for one purpose (HKDF-SHA-256, RFC 5869).
    pub(super) fn derive(&self, purpose: &str) -> HmacSha256 {
        hmac(self.derive_bytes(purpose).as_slice())
    }

    fn derive_bytes(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, &self.0)
            .expand(purpose.as_bytes(), key.as_mut_slice())
            .expect("32 bytes are less than the 8,160 that HKDF-SHA-256 can give");
        key
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey([redacted])")
    }
}

/// What example configurations and other frameworks' defaults contain.
const PLACEHOLDERS: &[&str] = &[
    "asdfghjkl",
    "changeme",
    "change-me",
    "change_me",
    "django-insecure",
    "insecure-secret",
    "my-secret",
    "placeholder",
    "qwertyuiop",
    "replace-me",
    "secretsecret",
    "supersecret",
    "your-256-bit-secret",
    "your-secret",
    "your_secret",
];

fn decode_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits: Option<Zeroizing<Vec<u8>>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<Vec<u8>>>()
        .map(Zeroizing::new);
    let pairs = digits?
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | digit))
        .collect();
    Some(Zeroizing::new(pairs))
}

/// From one byte to the next, a random secret takes at least this many different steps; the
/// alphabet takes one, and one between letters and digits in turn takes two.
const MIN_DISTINCT_STEPS: usize = 12;

/// The pairs of letters that English words have most often.
const COMMON_PAIRS: &str = "th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng \
     se ha as ou io le ve co me de hi ri ro ic ne ea ra ce li ch ll be ma si om ur ca el ta la ns \
     di fo ho pe ec pr ey et cr ke";

/// Whether 35 in a hundred pairs of neighbours are common in words: in a random text of 64
/// different characters three in a hundred are.
fn is_made_of_words(text: &[u8]) -> bool {
    let is_common = |pair: &&[u8]| {
        let is_lower = pair.iter().all(u8::is_ascii_lowercase);
        let is_upper = pair.iter().all(u8::is_ascii_uppercase);
        (is_lower || is_upper)
            && COMMON_PAIRS
                .split(' ')
                .any(|common| common.as_bytes().eq_ignore_ascii_case(pair))
    };
    let common = text.windows(2).filter(is_common).count();
    100 * common >= 35 * (text.len() - 1)
}

/// Without a copy of them, which would have to be wiped.
fn count_distinct(bytes: &(impl Iterator<Item = u8> + Clone)) -> usize {
    (0..=u8::MAX)
        .filter(|byte| bytes.clone().any(|it| it == *byte))
        .count()
}

pub(super) fn hmac(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// Why a secret is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeakKey {
    /// Fewer than [`SecretKey::MIN_BYTES`].
    #[error(
        "must have at least 32 bytes, or 64 hexadecimal digits; make one with `openssl rand -base64 48`"
    )]
    TooShort,
    /// It contains what examples contain.
    #[error("is a placeholder; make one with `openssl rand -base64 48`")]
    Placeholder,
    /// Fewer than [`SecretKey::MIN_DISTINCT_BYTES`] different bytes.
    #[error("has fewer than 16 different bytes; make one with `openssl rand -base64 48`")]
    TooUniform,
    /// Its bytes follow each other in order, or it is made of words.
    #[error("is made of words or follows a pattern; make one with `openssl rand -base64 48`")]
    Predictable,
}

/// The operating system has no randomness to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system's random number generator failed")]
pub struct RandomnessUnavailable;

/// The secret that refresh and verification tokens are derived from, and earlier ones.
///
/// Tokens are made under the current key and accepted under all of them, so that a key is
/// replaced without logging anybody out: put the new one first, keep the old one as a fallback
/// for one refresh-token lifetime.
#[derive(Clone, Debug)]
pub struct SecretKeys {
    current: SecretKey,
    fallbacks: Vec<SecretKey>,
}

impl SecretKeys {
    /// Makes a set of one key.
    #[must_use]
    pub const fn new(current: SecretKey) -> Self {
        Self {
            current,
            fallbacks: Vec::new(),
        }
    }

    /// Accepts tokens of an earlier key, too.
    #[must_use]
    pub fn add_fallback(mut self, earlier: SecretKey) -> Self {
        self.fallbacks.push(earlier);
        self
    }

    pub(super) fn current(&self) -> &SecretKey {
        &self.current
    }

    pub(super) fn fallbacks(&self) -> &[SecretKey] {
        &self.fallbacks
    }
}

/// Names a secret without telling anything of it.
pub(super) fn symmetric_key_id(secret: &SecretKey) -> String {
    let bytes = secret.derive_bytes("auth jwt key id v1");
    URL_SAFE_NO_PAD.encode(bytes.first_chunk::<12>().unwrap_or(&[0; 12]))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn s13_1_weak_secrets_are_refused() {
        for (text, reason) in [
            ("", WeakKey::TooShort),
            ("secret", WeakKey::TooShort),
            ("changeme", WeakKey::TooShort),
            ("kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg", WeakKey::TooShort),
            (
                "django-insecure-4v9&3mwz7lx2tn8rbyc5hd6js1fg0",
                WeakKey::Placeholder,
            ),
            (
                "your-256-bit-secret-your-256-bit-secret",
                WeakKey::Placeholder,
            ),
            (
                "CHANGEME-kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0",
                WeakKey::Placeholder,
            ),
            (&"a".repeat(64), WeakKey::TooUniform),
            (&"xyz".repeat(20), WeakKey::TooUniform),
            (&"0123456789abcdef".repeat(4), WeakKey::TooUniform),
            (&"0123456789abcde".repeat(3), WeakKey::TooShort),
            // Sixteen random bytes are not thirty-two.
            ("c3a1f09b7e5d24688f1d0b3c7a96e542", WeakKey::TooShort),
            ("31415926535897932384626433832795", WeakKey::TooShort),
            ("abcdefghijklmnopqrstuvwxyz012345", WeakKey::Predictable),
            ("0123456789abcdefghijklmnopqrstuvwxyz", WeakKey::Predictable),
            ("zyxwvutsrqponmlkjihgfedcba9876543210", WeakKey::Predictable),
            ("a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6", WeakKey::Predictable),
            (
                "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                WeakKey::Predictable,
            ),
            ("secret-key-that-is-very-long-1234567", WeakKey::Predictable),
            (
                "this is the signing key of our shop, 2024",
                WeakKey::Predictable,
            ),
            ("THIS_SECRET_IS_AT_LEAST_32_CHARACTERS", WeakKey::TooUniform),
            ("correcthorsebatterystaplejwtauth", WeakKey::TooUniform),
            ("qwertyuiopasdfghjklzxcvbnm123456", WeakKey::Placeholder),
        ] {
            assert_eq!(SecretKey::parse(text).unwrap_err(), reason, "{text}");
        }
    }

    #[test]
    fn s13_1_random_secrets_are_accepted_in_the_usual_spellings() {
        for text in [
            "kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0",
            // `openssl rand -hex 32` often lacks one of the sixteen digits.
            "1c9d4e7ab26f80351c9d4e7ab26f8035e1a2b3c4d5968778695a4b3c2d1eaabb",
            "7d793037a0760186574b0282f2f435e7b1c9a0a4a9d1b3c7e3d5f10223344556",
        ] {
            assert!(SecretKey::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn s13_1_no_generated_secret_is_refused() {
        let spellings: [fn(&[u8]) -> String; 4] = [
            |bytes| STANDARD.encode(bytes),
            |bytes| URL_SAFE_NO_PAD.encode(bytes),
            |bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            |bytes| bytes.iter().map(|byte| format!("{byte:02X}")).collect(),
        ];
        let mut bytes = [0; 32];
        for _ in 0..10_000 {
            getrandom::fill(&mut bytes).unwrap();
            for spell in spellings {
                let text = spell(&bytes);
                assert!(SecretKey::parse(&text).is_ok(), "{text}");
            }
        }
        let generated = SecretKey::generate().unwrap();
        let text = std::str::from_utf8(generated.expose()).unwrap();
        assert!(SecretKey::parse(text).is_ok());
    }

    #[test]
    fn s13_3_keys_do_not_show_in_debug_output() {
        let secret = "kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0";
        let key = SecretKey::parse(secret).unwrap();
        let keys = SecretKeys::new(key.clone()).add_fallback(key.clone());
        let shown = format!("{key:?} {keys:#?}");
        assert!(!shown.contains("kPq4"), "{shown}");
        assert!(shown.contains("[redacted]"));
    }

    #[test]
    fn s7_3_keys_for_different_purposes_differ() {
        let key = SecretKey::parse("kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0").unwrap();
        let purposes = ["one", "two"].map(|purpose| *key.derive_bytes(purpose));
        assert_ne!(purposes[0], purposes[1]);
        assert_ne!(purposes[0].as_slice(), key.expose());
    }
}
