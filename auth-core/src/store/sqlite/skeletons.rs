//! What usernames look like, for users who were there before that mattered.

use sqlx::{Error, SqliteConnection};
use uuid::Uuid;

use crate::UserId;
use crate::store::stored;
use crate::store::transaction::End;

pub(super) async fn fill(
    connection: &mut SqliteConnection,
    after: Option<UserId>,
    limit: u32,
) -> Result<End<Option<UserId>>, Error> {
    let after = after.map_or(Uuid::nil(), |id| id.as_uuid());
    let without: Vec<(Uuid, String)> = sqlx::query_as(
        "SELECT id, username
         FROM auth_users
         WHERE username_skeleton IS NULL AND id > ?1
         ORDER BY id
         LIMIT ?2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let last = without.last().map(|(id, _)| UserId::from_uuid(*id));
    for (skeleton, id) in stored::skeletons(without) {
        sqlx::query("UPDATE OR IGNORE auth_users SET username_skeleton = ?2 WHERE id = ?1")
            .bind(id)
            .bind(skeleton)
            .execute(&mut *connection)
            .await?;
    }
    Ok(End::Commit(last))
}
