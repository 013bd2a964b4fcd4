//! Which user an argument names.

use auth_core::store::Store;
use auth_core::{UserId, Username};

use crate::error::CommandError;

/// The id of the user: it is the argument itself, also where nobody has it any more, or belongs
/// to the name that the argument is.
pub(super) async fn id_of(
    store: &dyn Store,
    user: &str,
    argument: &'static str,
) -> Result<UserId, CommandError> {
    if let Ok(id) = user.parse() {
        return Ok(id);
    }
    let found = match Username::for_lookup(user) {
        Some(username) => store.find_credentials(&username).await?,
        None => None,
    };
    found
        .map(|(user, _)| user.id)
        .ok_or_else(|| CommandError::Argument {
            name: argument,
            problem: format!(
                "nobody has the name {}; a user who was deleted has only the id",
                user.escape_debug()
            ),
        })
}
