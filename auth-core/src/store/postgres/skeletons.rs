//! What usernames look like, for users who were there before that mattered.

use sqlx::{Error, PgConnection};
use uuid::Uuid;

use crate::UserId;
use crate::store::stored;

/// One statement for all of them: a name that was taken meanwhile refuses the whole batch, which is
/// then tried again.
pub(super) async fn fill(
    connection: &mut PgConnection,
    after: Option<UserId>,
    limit: u32,
) -> Result<Option<UserId>, Error> {
    let after = after.map_or(Uuid::nil(), |id| id.as_uuid());
    let without: Vec<(Uuid, String)> = sqlx::query_as(
        "SELECT id, username
         FROM auth_users
         WHERE username_skeleton IS NULL AND id > $1
         ORDER BY id
         LIMIT $2",
    )
    .bind(after)
    .bind(i64::from(limit))
    .fetch_all(&mut *connection)
    .await?;
    let last = without.last().map(|(id, _)| UserId::from_uuid(*id));
    let (skeletons, ids): (Vec<String>, Vec<Uuid>) = stored::skeletons(without).into_iter().unzip();
    sqlx::query(
        "UPDATE auth_users
         SET username_skeleton = given.skeleton
         FROM UNNEST($1::uuid[], $2::text[]) AS given (id, skeleton)
         WHERE auth_users.id = given.id
             AND auth_users.username_skeleton IS NULL
             AND NOT EXISTS (
                 SELECT 1 FROM auth_users AS other WHERE other.username_skeleton = given.skeleton
             )",
    )
    .bind(ids)
    .bind(skeletons)
    .execute(connection)
    .await?;
    Ok(last)
}
