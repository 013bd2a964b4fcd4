//! The store does what every store must do.

use std::sync::Arc;

use auth_core::store::Store;
use auth_core::{store_conformance, store_durability};
use example_custom_store::MemoryStore;

store_conformance!(in_memory, fresh_store);
store_durability!(in_memory_crash, store_to_crash);

async fn fresh_store() -> (Arc<dyn Store>, ()) {
    (Arc::new(MemoryStore::default()), ())
}

/// Memory dies with its process, and nothing can be shown of it after that. What can be shown: an
/// act that was acknowledged is there for whoever reads next.
async fn store_to_crash() -> (Arc<dyn Store>, impl AsyncFnOnce() -> Arc<dyn Store>, ()) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let same = Arc::clone(&store);
    (store, async move || same, ())
}
