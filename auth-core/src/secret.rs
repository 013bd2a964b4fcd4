//! Strings that must not be seen.

/// Defines a string that is wiped when dropped, has no `Display`, no `Serialize` and no
/// `PartialEq`, and whose `Debug` shows nothing of it.
macro_rules! secret_string {
    ($(#[$doc:meta])* $vis:vis $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        $vis struct $name(zeroize::Zeroizing<String>);

        impl $name {
            /// Takes the secret in.
            #[must_use]
            $vis fn new(secret: impl Into<String>) -> Self {
                Self(zeroize::Zeroizing::new(secret.into()))
            }

            /// Hands the secret out, for the one place that needs it.
            #[must_use]
            $vis fn expose(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    };
}

pub(crate) use secret_string;
