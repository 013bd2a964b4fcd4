//! Reading the settings: defaults < file < environment < flags.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use figment::Figment;
use figment::providers::{Format as _, Serialized, Toml};
use figment::value::Value;
use zeroize::Zeroizing;

use super::error::{ConfigError, Origin};
use super::keys::{self, KEYS, Key};
use crate::cli::Settings;
use crate::private;

/// The settings as they were written, later sources over earlier ones.
pub(super) struct Sources {
    settings: BTreeMap<&'static str, Setting>,
    ignored: Vec<String>,
}

struct Setting {
    text: Zeroizing<String>,
    origin: Origin,
}

impl Sources {
    pub(super) fn read(
        flags: &Settings,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        let mut origins = BTreeMap::new();
        let mut ignored = Vec::new();
        if let Some(file) = &flags.config {
            let table = read_file(file)?;
            for key in table.keys() {
                origins.insert(key.name, Origin::File(file.clone()));
            }
            figment = table.into_iter().fold(figment, |figment, (key, value)| {
                figment.merge(Serialized::global(key.name, value))
            });
        }
        // Not figment's own reader of the environment, to which a secret of digits is a number.
        for (variable, value) in environment {
            if let Some(key) = keys::of_variable(&variable) {
                origins.insert(key.name, Origin::Environment);
                if value.contains(char::REPLACEMENT_CHARACTER) {
                    return Err(problem(key.name, "must be UTF-8"));
                }
                figment = figment.merge(Serialized::global(key.name, value));
            } else if keys::is_misspelt(&variable) {
                if keys::is_of_kubernetes(&variable, &value) {
                    ignored.push(variable);
                    continue;
                }
                let nearest = keys::nearest(&variable, KEYS.iter().map(|key| key.variable));
                return Err(ConfigError::UnknownVariable { variable, nearest });
            }
        }
        for (name, flag) in flags.settings() {
            if let Some(flag) = flag {
                origins.insert(name, Origin::Flags);
                figment = figment.merge(Serialized::global(name, flag));
            }
        }
        let mut settings = BTreeMap::new();
        for (name, origin) in origins {
            if let Ok(value) = figment.find_value(name) {
                let text = Zeroizing::new(as_text(&value).ok_or_else(|| {
                    problem(
                        name,
                        "must be text, a number, true or false, or a list of these",
                    )
                })?);
                settings.insert(name, Setting { text, origin });
            }
        }
        ignored.sort();
        let mut sources = Self { settings, ignored };
        sources.read_secret_files()?;
        Ok(sources)
    }

    /// The variables of our prefix that are Kubernetes' and no settings.
    pub(super) fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Takes the secrets that stand in files of their own.
    fn read_secret_files(&mut self) -> Result<(), ConfigError> {
        for key in KEYS {
            let Some(file) = key.in_file() else { continue };
            let Some(path) = self.text(file.name).map(PathBuf::from) else {
                continue;
            };
            let (name, file_name) = (key.name, file.name);
            if self.text(name).is_some() {
                let both = format_args!("stands beside `{name}`: give one of the two");
                return Err(self.located(problem(file_name, both)));
            }
            let read = private::check(&path).and_then(|()| {
                fs::read_to_string(&path)
                    .map_err(|error| format!("{} cannot be read: {error}", path.display()))
            });
            let text = read.map_err(|reason| self.located(problem(file_name, reason)))?;
            let setting = Setting {
                text: Zeroizing::new(text),
                origin: Origin::File(path),
            };
            self.settings.insert(name, setting);
        }
        Ok(())
    }

    /// Adds to an error where its setting was given.
    pub(super) fn located(&self, error: ConfigError) -> ConfigError {
        match error {
            ConfigError::Value {
                variable,
                name,
                problem,
                ..
            } => ConfigError::Value {
                variable,
                name,
                origin: self
                    .settings
                    .get(name)
                    .map(|setting| setting.origin.clone()),
                problem,
            },
            other => other,
        }
    }

    /// The setting as it was written, unless it is empty.
    pub(super) fn text(&self, name: &'static str) -> Option<&str> {
        let text = self.settings.get(name)?.text.trim();
        (!text.is_empty()).then_some(text)
    }

    /// The setting, read by `parse`.
    pub(super) fn parsed<T, E: Display>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ConfigError> {
        self.text(name)
            .map(|text| parse(text).map_err(|error| problem(name, error)))
            .transpose()
    }

    /// The setting, of a type that reads itself.
    pub(super) fn value<T>(&self, name: &'static str) -> Result<Option<T>, ConfigError>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.parsed(name, str::parse)
    }

    /// The parts of a setting that is a list.
    pub(super) fn list(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.text(name)
            .into_iter()
            .flat_map(|text| text.split(','))
            .map(str::trim)
            .filter(|part| !part.is_empty())
    }
}

/// Says of a setting what is wrong with it.
pub(super) fn problem(name: &'static str, problem: impl Display) -> ConfigError {
    ConfigError::Value {
        variable: keys::of_name(name).map_or(name, |key| key.variable),
        name,
        origin: None,
        problem: problem.to_string(),
    }
}

/// Reads the file, if its keys are known and nobody else reads its secrets.
fn read_file(file: &Path) -> Result<BTreeMap<&'static Key, Value>, ConfigError> {
    let failed = |reason: String| ConfigError::File {
        file: file.to_owned(),
        reason,
    };
    let text = fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    let text = Zeroizing::new(text);
    let table: BTreeMap<String, Value> = Figment::from(Toml::string(&text))
        .extract()
        // Only the kind and the place: the text around it may be a secret.
        .map_err(|error| failed(first_line(&error.kind.to_string())))?;
    let mut known = BTreeMap::new();
    for (name, value) in table {
        let Some(key) = keys::of_name(&name) else {
            return Err(ConfigError::UnknownKey {
                file: file.to_owned(),
                nearest: keys::nearest(&name, KEYS.iter().map(|key| key.name)),
                key: name,
            });
        };
        known.insert(key, value);
    }
    if known.keys().any(|key| key.is_secret) {
        private::check(file).map_err(failed)?;
    }
    Ok(known)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Bool(_, truth) => Some(truth.to_string()),
        Value::Num(_, number) => number
            .to_i128()
            .map(|number| number.to_string())
            .or_else(|| number.to_u128().map(|number| number.to_string())),
        Value::Array(_, parts) => {
            let parts: Option<Vec<String>> = parts.iter().map(as_text).collect();
            Some(parts?.join(","))
        }
        Value::Char(..) | Value::Dict(..) | Value::Empty(..) => None,
    }
}
