//! Reading the settings: defaults < file < environment < flags.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use figment::Figment;
use figment::providers::{Format as _, Serialized, Toml};
use figment::value::Value;
use zeroize::Zeroizing;

use super::error::ConfigError;
use super::keys::{self, KEYS};
use crate::cli::Settings;
use crate::private;

/// The settings as they were written, later sources over earlier ones.
pub(super) struct Sources(BTreeMap<&'static str, Zeroizing<String>>);

impl Sources {
    pub(super) fn read(
        flags: &Settings,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        if let Some(file) = &flags.config {
            figment = figment.merge(read_file(file)?);
        }
        // Not figment's own reader of the environment, to which a secret of digits is a number.
        for (variable, value) in environment {
            if let Some(key) = keys::of_variable(&variable) {
                if value.contains(char::REPLACEMENT_CHARACTER) {
                    return Err(problem(key.name, "must be UTF-8"));
                }
                figment = figment.merge(Serialized::global(key.name, value));
            } else if keys::is_misspelt(&variable) {
                let nearest = keys::nearest(&variable, KEYS.iter().map(|key| key.variable));
                return Err(ConfigError::UnknownVariable { variable, nearest });
            }
        }
        for (name, flag) in [
            ("bind", flags.bind.map(|address| address.to_string())),
            (
                "data_dir",
                flags
                    .data_dir
                    .as_ref()
                    .map(|folder| folder.display().to_string()),
            ),
            ("public_url", flags.public_url.clone()),
            ("log", flags.log.clone()),
        ] {
            if let Some(flag) = flag {
                figment = figment.merge(Serialized::global(name, flag));
            }
        }
        let mut settings = BTreeMap::new();
        for key in KEYS {
            if let Ok(value) = figment.find_value(key.name) {
                let text = as_text(&value).ok_or_else(|| {
                    problem(
                        key.name,
                        "must be text, a number, true or false, or a list of these",
                    )
                })?;
                settings.insert(key.name, Zeroizing::new(text));
            }
        }
        Ok(Self(settings))
    }

    /// The setting as it was written, unless it is empty.
    pub(super) fn text(&self, name: &'static str) -> Option<&str> {
        let text = self.0.get(name)?.trim();
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
        problem: problem.to_string(),
    }
}

/// Reads the file into figment, if its keys are known and nobody else reads its secrets.
fn read_file(file: &Path) -> Result<Figment, ConfigError> {
    let failed = |reason: String| ConfigError::File {
        file: file.to_owned(),
        reason,
    };
    let text = fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    let figment = Figment::from(Toml::string(&Zeroizing::new(text)));
    let table: BTreeMap<String, Value> = figment.extract().map_err(|error| {
        // Only the kind and the place: the text around it may be a secret.
        failed(
            error
                .kind
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned(),
        )
    })?;
    if let Some(key) = table.keys().find(|key| keys::of_name(key).is_none()) {
        return Err(ConfigError::UnknownKey {
            file: file.to_owned(),
            key: key.clone(),
            nearest: keys::nearest(key, KEYS.iter().map(|key| key.name)),
        });
    }
    if KEYS
        .iter()
        .any(|key| key.is_secret && table.contains_key(key.name))
    {
        private::check(file).map_err(failed)?;
    }
    Ok(figment)
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
