//! `auth-server keys`

use auth_core::signature::Algorithm;

use crate::cli::Keys;
use crate::config::{Config, JwtKeySource};
use crate::error::CommandError;
use crate::key_folder::KeyFolder;
use crate::node;
use crate::output::say;

pub(super) fn run(config: &Config, command: Keys) -> Result<(), CommandError> {
    let asked = match &command {
        Keys::Generate(flags) => flags.algorithm,
        _ => None,
    };
    let folder = folder(config, asked)?;
    match command {
        Keys::Generate(_) => say(folder.generate()?),
        Keys::List => list(&folder),
        Keys::Use(key) => folder.use_key(&key.id),
        Keys::Retire(key) => folder.retire(&key.id),
    }
}

/// The folder in the settings, or with HS256 the one that would be used after a change.
fn folder(config: &Config, asked: Option<Algorithm>) -> Result<KeyFolder, CommandError> {
    let refused = |problem: String| CommandError::Argument {
        name: "--algorithm",
        problem,
    };
    let algorithm = match (&config.jwt_keys, asked) {
        (JwtKeySource::Folder { algorithm, .. }, Some(asked)) if asked != *algorithm => {
            let problem = format!("AUTH_JWT_ALGORITHM says {algorithm}, and all keys are for it");
            return Err(refused(problem));
        }
        (JwtKeySource::Folder { algorithm, .. }, _) => *algorithm,
        (JwtKeySource::Secrets(_), None) if !config.is_embedded() => {
            let problem = "say which one, or set AUTH_JWT_ALGORITHM";
            return Err(refused(problem.to_owned()));
        }
        (JwtKeySource::Secrets(_), Some(Algorithm::Hs256)) => {
            let problem = "HS256 has no key files; make a secret with `openssl rand -base64 48`";
            return Err(refused(problem.to_owned()));
        }
        (JwtKeySource::Secrets(_), asked) => asked.unwrap_or(Algorithm::EdDsa),
    };
    if config.jwt_key_folder.is_none() && !config.is_embedded() {
        return Err(CommandError::Argument {
            name: "AUTH_JWT_KEYS",
            problem: "must name the folder, with PostgreSQL".to_owned(),
        });
    }
    Ok(node::key_folder(config, algorithm))
}

fn list(folder: &KeyFolder) -> Result<(), CommandError> {
    let keys = folder.keys()?;
    let signing = folder.signing(&keys);
    for key in &keys {
        let signs = signing
            .as_ref()
            .is_ok_and(|signing| signing.id() == key.id());
        let role = match (signs, key.is_private()) {
            (true, _) => "signs",
            (false, true) => "verifies",
            (false, false) => "verifies (public)",
        };
        say(format_args!(
            "{}  {role:<17}  {}",
            key.id(),
            key.file.display()
        ))?;
    }
    signing.map(drop)
}
