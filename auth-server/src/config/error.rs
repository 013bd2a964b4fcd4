//! Why the settings cannot be used.

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
    #[error("{variable} (`{name}`): {problem}")]
    Value {
        /// The setting's variable.
        variable: &'static str,
        /// The setting's key in the file.
        name: &'static str,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
}
