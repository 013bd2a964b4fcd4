//! Why the settings cannot be used.

use std::fmt;
use std::path::PathBuf;

/// Why the settings cannot be used; the message names the setting and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A variable of our prefix that is no setting.
    #[error("unknown environment variable {variable}: did you mean {nearest}?")]
    UnknownVariable {
        /// The variable.
        variable: String,
        /// The setting's variable that comes nearest.
        nearest: &'static str,
    },
    /// A key of the file that is no setting.
    #[error("unknown key `{key}` in {}: did you mean `{nearest}`?", file.display())]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// The key.
        key: String,
        /// The setting's key that comes nearest.
        nearest: &'static str,
    },
    /// The file cannot be read.
    #[error("the configuration file {} cannot be read: {reason}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// A value that cannot be used.
    #[error("{variable} (`{name}`{}): {problem}", place(origin.as_ref()))]
    Value {
        /// The setting's variable.
        variable: &'static str,
        /// The setting's key in the file.
        name: &'static str,
        /// Where the value was given, if it was.
        origin: Option<Origin>,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
}

/// Where a setting was given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// In a file.
    File(PathBuf),
    /// In the environment.
    Environment,
    /// On the command line.
    Flags,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.display().fmt(f),
            Self::Environment => f.write_str("the environment"),
            Self::Flags => f.write_str("the flags"),
        }
    }
}

fn place(origin: Option<&Origin>) -> String {
    origin.map_or_else(String::new, |origin| format!(", from {origin}"))
}
