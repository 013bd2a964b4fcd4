use super::PasswordHash;
use super::params::Ceilings;
use super::stored::StoredHash;

pub(crate) fn stored_hash(stored: &str) -> Result<Option<String>, String> {
    let stored = PasswordHash::from_stored(stored);
    let read = StoredHash::parse(&stored, Ceilings::default()).map_err(|why| why.to_string())?;
    let written = read.own().map(|hash| hash.write()).transpose();
    let written = written.map_err(|error| error.to_string())?;
    Ok(written.map(|hash| hash.as_stored().to_owned()))
}
