//! Lists, a page at a time.
//!
//! A page begins after the last row of the one before, which the cursor names by its key: it does
//! not matter what was written in between.

use auth_core::audit::{AuditEvent, EventReport};
use auth_core::store::{EventFilter, UserFilter, UserSearch};
use auth_core::{User, UserId};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Response, StatusCode, Uri};
use serde::Serialize;

use super::Call;
use super::users::UserDocument;
use crate::api::query::Query;
use crate::body::ApiBody;
use crate::error::ApiError;
use crate::response;

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 200;

const NO_CURSOR: &str = "must be the `next` of a page of the same list";

#[derive(Serialize)]
struct Users {
    users: Vec<UserDocument>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Events<'a> {
    events: Vec<EventReport<'a>>,
    next: Option<String>,
}

impl Call<'_> {
    pub(super) async fn list_users(&self, uri: &Uri) -> Result<Response<ApiBody>, ApiError> {
        let mut query = Query::read(uri, &["search", "cursor", "limit"]);
        let mut filter = UserFilter::default();
        filter.search = UserSearch::of(&query.text("search").unwrap_or_default());
        filter.after = query.parsed("cursor", NO_CURSOR, |text| key_in(text, &filter.search));
        let limit = limit(&mut query);
        query.finish()?;
        filter.limit = limit + 1;
        let mut page = self.administration.list_users(self.by, &filter).await?;
        let next = cut(&mut page, limit).map(|last| cursor_after(last, &filter.search));
        let users = page.iter().map(UserDocument::of).collect();
        Ok(response::serialized(StatusCode::OK, &Users { users, next }))
    }

    pub(super) async fn list_events(&self, uri: &Uri) -> Result<Response<ApiBody>, ApiError> {
        let mut query = Query::read(uri, &["user", "kind", "cursor", "limit"]);
        let mut filter = EventFilter::default();
        filter.user = query.parsed("user", "must be the id of a user", |text| {
            text.parse().ok().map(UserId::from_uuid)
        });
        filter.kind = query.parsed("kind", "must be the name of a kind of event", |text| {
            let is_name = text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            is_name.then(|| text.to_owned())
        });
        filter.before = query.parsed("cursor", NO_CURSOR, |text| {
            URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
        });
        let limit = limit(&mut query);
        query.finish()?;
        filter.limit = limit + 1;
        let mut page = self.administration.list_events(self.by, &filter).await?;
        let next = cut(&mut page, limit).map(|last: &AuditEvent| URL_SAFE_NO_PAD.encode(last.id));
        let events = page.iter().map(EventReport::of).collect();
        let page = Events { events, next };
        Ok(response::serialized(StatusCode::OK, &page))
    }
}

/// The length of a page.
fn limit(query: &mut Query) -> u32 {
    let expected = "must be a whole number from 1 to 200";
    let limit = query.parsed("limit", expected, |text| {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_number.then(|| text.parse().ok()).flatten();
        number.filter(|number| (1..=MAX_LIMIT).contains(number))
    });
    limit.unwrap_or(DEFAULT_LIMIT)
}

/// Cuts off the row beyond the page, which was read to see whether there is another page; then
/// gives the last row of this one.
fn cut<T>(rows: &mut Vec<T>, limit: u32) -> Option<&T> {
    let limit = limit as usize;
    let is_last_page = rows.len() <= limit;
    rows.truncate(limit);
    rows.last().filter(|_| !is_last_page)
}

fn cursor_after(last: &User, search: &UserSearch) -> String {
    let key = search.key_of(last);
    URL_SAFE_NO_PAD.encode(format!("{}{key}", order(search)))
}

fn key_in(cursor: &str, search: &UserSearch) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let key = text.strip_prefix(order(search))?;
    // PostgreSQL takes no NUL in a text.
    let is_key = !key.is_empty() && !key.contains(char::is_control);
    is_key.then(|| key.to_owned())
}

/// By what the users are in order, so that a cursor of one order is none of the other.
const fn order(search: &UserSearch) -> char {
    match search {
        UserSearch::Email(_) => 'e',
        _ => 'u',
    }
}
