//! The store does what every store must do.

use std::sync::Arc;

use auth_core::store::Store;
use auth_core::store_conformance;
use example_custom_store::MemoryStore;

store_conformance!(in_memory, fresh_store);

async fn fresh_store() -> (Arc<dyn Store>, ()) {
    (Arc::new(MemoryStore::default()), ())
}
