//! `auth-server migrate`

use crate::config::Config;
use crate::error::CommandError;
use crate::node::NodeStore;
use crate::output::say;

pub(super) async fn run(config: &Config) -> Result<(), CommandError> {
    let store = NodeStore::open(config).await?;
    let pending = store.pending_migrations().await?;
    if pending.is_empty() {
        say(format_args!("{}: nothing to do", config.database))?;
        return Ok(());
    }
    store.migrate().await?;
    for migration in pending {
        say(format_args!("{}: applied {migration}", config.database))?;
    }
    Ok(())
}
