//! `auth-server events`

use auth_core::audit::{AuditAct, AuditEvent, EventReport};
use auth_core::store::EventFilter;
use serde_json::json;

use super::{time, user_lookup};
use crate::cli::Events;
use crate::config::Config;
use crate::error::CommandError;
use crate::node::NodeStore;
use crate::output::say;

/// How many events are read at once.
const PAGE: u32 = 500;

pub(super) async fn run(config: &Config, flags: Events) -> Result<(), CommandError> {
    let since = flags.since.as_deref();
    let since = since.map(|text| time::point_in_time("--since", text));
    let since = since.transpose()?;
    let store = NodeStore::open(config).await?;
    store.require_migrated().await?;
    let store = store.shared();
    let mut filter = EventFilter::default();
    filter.kind = flags.kind;
    filter.since = since;
    if let Some(user) = &flags.user {
        filter.user = Some(user_lookup::id_of(store.as_ref(), user, "--user").await?);
    }
    let mut left = flags.limit;
    while left > 0 {
        filter.limit = left.min(PAGE);
        let page = store.list_events(&filter).await?;
        for event in &page {
            say(if flags.json {
                as_json(event)
            } else {
                line(event)
            })?;
        }
        filter.before = page.last().map(|event| event.id);
        if page.len() < filter.limit as usize {
            break;
        }
        left -= filter.limit;
    }
    Ok(())
}

/// An event for people, in one line.
pub(super) fn line(event: &AuditEvent) -> String {
    let mut line = format!("{}  {:<22}", event.at, event.act.kind());
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            line.push_str(&format!(" {name}={}", value.escape_debug()));
        }
    };
    add("reason", event.act.reason().map(str::to_owned));
    if let AuditAct::RefusalsCounted { refusals, .. } = event.act {
        add("refusals", Some(refusals.to_string()));
    }
    add("actor", Some(event.actor.to_string()));
    add("user", event.user.map(|id| id.to_string()));
    add("session", event.session.map(|id| id.to_string()));
    add("client", event.client.map(|ip| ip.to_string()));
    add(
        "request",
        event.request_id.as_ref().map(|id| id.as_str().to_owned()),
    );
    line
}

fn as_json(event: &AuditEvent) -> String {
    json!(EventReport::of(event)).to_string()
}
