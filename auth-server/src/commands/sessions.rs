//! `auth-server sessions`

use auth_core::{Administration as _, Administrator, RequestContext};

use super::time;
use crate::cli::Sessions;
use crate::config::Config;
use crate::error::CommandError;
use crate::node::{self, NodeStore};
use crate::output::say;

pub(super) async fn run(config: &Config, command: Sessions) -> Result<(), CommandError> {
    let Sessions::End(flags) = command;
    let begun_before = match flags.begun_before.as_str() {
        "now" => None,
        text => Some(time::point_in_time("--begun-before", text)?),
    };
    let store = NodeStore::open(config).await?;
    store.require_migrated().await?;
    let begun_before = match begun_before {
        Some(time) => time,
        None => store.now().await?,
    };
    let engine = node::operator_engine(config, &store).await?;
    let context = RequestContext::default();
    let by = Administrator::Operator;
    let ended = engine.end_sessions_begun_before(by, begun_before, &context);
    let ended = ended.await;
    // A refusal is recorded as well.
    engine.audit_writer().flush().await?;
    say(format_args!(
        "ended the sessions that began before {begun_before} (sessions ended: {})",
        ended?
    ))
}
