//! What usernames look like, for users who were there before that mattered.

use sqlx::{Error, SqlitePool};
use uuid::Uuid;

use crate::UserId;
use crate::store::stored;

pub(super) async fn fill(
    pool: &SqlitePool,
    after: Option<UserId>,
    limit: u32,
) -> Result<Option<UserId>, Error> {
    let after = after.map_or(Uuid::nil(), |id| id.as_uuid());
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let without: Vec<(Uuid, String)> = sqlx::query_as(
        "SELECT id, username
         FROM auth_users
         WHERE username_skeleton IS NULL AND id > ?1
         ORDER BY id
         LIMIT ?2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(&mut *transaction)
    .await?;
    let last = without.last().map(|(id, _)| UserId::from_uuid(*id));
    for (skeleton, id) in stored::skeletons(without) {
        sqlx::query("UPDATE OR IGNORE auth_users SET username_skeleton = ?2 WHERE id = ?1")
            .bind(id)
            .bind(skeleton)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(last)
}
