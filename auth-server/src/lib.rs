//! The server: reads the settings, opens the store, composes the layers, serves.
//!
//! What it does is in `auth-core` and `auth-tower`; here is what a process needs besides.

pub mod cli;
pub mod commands;
pub mod config;
pub mod error;
pub mod output;
pub mod serve;
pub mod telemetry;

mod bootstrap;
mod descriptors;
mod key_folder;
mod node;
mod observe;
mod private;
mod service_names;
mod signals;
mod templates;
