//! Lists, a page at a time.
//!
//! A page begins after the last row of the one before, which the cursor names by its key: it does
//! not matter what was written in between.

use auth_core::audit::{AuditEvent, EventReport};
use auth_core::store::{EventFilter, UserFilter, UserSearch};
use auth_core::{FieldErrors, User, UserId};
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

/// A page of users.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct Users {
    /// In the order of their names, or of their addresses if these were searched.
    users: Vec<UserDocument>,
    /// The `cursor` of the next page; `null` on the last.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    next: Option<String>,
}

/// A page of audit events.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct Events<'a> {
    /// The latest first.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<described::Event>))]
    events: Vec<EventReport<'a>>,
    /// The `cursor` of the next page; `null` on the last.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    next: Option<String>,
}

impl Call<'_> {
    pub(super) async fn list_users(&self, uri: &Uri) -> Result<Response<ApiBody>, ApiError> {
        let mut filter = user_filter(uri)?;
        let limit = filter.limit;
        filter.limit += 1;
        let mut page = self.administration.list_users(self.by, &filter).await?;
        let next = cut(&mut page, limit).map(|last| cursor_after(last, &filter.search));
        let users = page.iter().map(UserDocument::of).collect();
        Ok(response::serialized(StatusCode::OK, &Users { users, next }))
    }

    pub(super) async fn list_events(&self, uri: &Uri) -> Result<Response<ApiBody>, ApiError> {
        let mut filter = event_filter(uri)?;
        let limit = filter.limit;
        filter.limit += 1;
        let mut page = self.administration.list_events(self.by, &filter).await?;
        let next = cut(&mut page, limit).map(|last: &AuditEvent| URL_SAFE_NO_PAD.encode(last.id));
        let events = page.iter().map(EventReport::of).collect();
        let page = Events { events, next };
        Ok(response::serialized(StatusCode::OK, &page))
    }
}

/// Which users a query asks for.
pub(in crate::api) fn user_filter(uri: &Uri) -> Result<UserFilter, FieldErrors> {
    let mut query = Query::read(uri, &["search", "cursor", "limit"]);
    let mut filter = UserFilter::default();
    filter.search = UserSearch::of(&query.text("search").unwrap_or_default());
    filter.after = query.parsed("cursor", NO_CURSOR, |text| key_in(text, &filter.search));
    filter.limit = limit(&mut query);
    query.finish()?;
    Ok(filter)
}

/// Which events a query asks for.
pub(in crate::api) fn event_filter(uri: &Uri) -> Result<EventFilter, FieldErrors> {
    let mut query = Query::read(uri, &["user", "kind", "cursor", "limit"]);
    let mut filter = EventFilter::default();
    filter.user = query.parsed("user", "must be the id of a user", |text| {
        text.parse::<UserId>().ok()
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
    filter.limit = limit(&mut query);
    query.finish()?;
    Ok(filter)
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

#[cfg(feature = "openapi")]
pub(in crate::api) mod described {
    use serde_json::{Map, Value, json};
    use utoipa::ToSchema;

    use super::{DEFAULT_LIMIT, Events, MAX_LIMIT, Users};
    use crate::api::admin::users;
    use crate::api::openapi::Described;

    /// One entry of the audit trail.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "it has the form of auth_core::audit::EventReport")]
    pub(super) struct Event {
        /// The event's id.
        #[schema(format = "uuid")]
        id: String,
        /// When it happened.
        #[schema(format = DateTime)]
        at: String,
        /// What was done, or tried; new kinds may come.
        kind: String,
        /// What came of it.
        outcome: String,
        /// Why it was refused, if it was.
        #[schema(required = true)]
        reason: Option<String>,
        /// What there is to know beyond the kind, which it repeats.
        details: Map<String, Value>,
        /// The id of the user who did it, or `anonymous`, `operator` or `system`.
        actor: String,
        /// The id of the user whose account it concerns.
        #[schema(required = true, format = "uuid")]
        user: Option<String>,
        /// The id of the session that it concerns.
        #[schema(required = true, format = "uuid")]
        session: Option<String>,
        /// The request's id, as its answer had it in `X-Request-Id`.
        #[schema(required = true)]
        request_id: Option<String>,
        /// The other end of the connection.
        #[schema(required = true)]
        peer: Option<String>,
        /// The client's address.
        #[schema(required = true)]
        client: Option<String>,
    }

    pub(in crate::api) fn users() -> Described {
        let described = Described::new(
            "listUsers",
            "List users",
            "A page at a time. Who is there all the time is in exactly one page.",
        )
        .for_superusers()
        .query(
            "search",
            "How the name begins, or with an `@` in it how the address does.",
            json!({"type": "string"}),
        );
        paged(described).answers::<Users>(
            200,
            "A page.",
            json!({"users": [users::described::user()], "next": "dWJvYg"}),
        )
    }

    pub(in crate::api) fn events() -> Described {
        let described = Described::new(
            "listEvents",
            "Read the audit trail",
            "A page at a time, the latest event first.",
        )
        .for_superusers()
        .query(
            "user",
            "The id of a user whom the events concern.",
            json!({"type": "string", "format": "uuid"}),
        )
        .query(
            "kind",
            "The kind of the events.",
            json!({"type": "string", "pattern": "^[a-z_]+$"}),
        );
        paged(described).answers::<Events<'_>>(
            200,
            "A page.",
            json!({"events": [{
                "id": "019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b",
                "at": "2026-11-26T08:00:00.000000Z",
                "kind": "login_refused",
                "outcome": "refused",
                "reason": "wrong_password",
                "details": {"kind": "login_refused", "rule": "wrong_password"},
                "actor": "anonymous",
                "user": "019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2c",
                "session": null,
                "request_id": "6f1c8c1e-2f0b-4c55-9d0e-0a1b2c3d4e5f",
                "peer": "10.0.0.7",
                "client": "192.0.2.7",
            }], "next": null}),
        )
    }

    fn paged(described: Described) -> Described {
        described
            .query(
                "cursor",
                "The `next` of the page before; the other parameters stay the same.",
                json!({"type": "string"}),
            )
            .query(
                "limit",
                "How long a page is.",
                json!({
                    "type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT,
                }),
            )
            .reads_query()
    }
}
