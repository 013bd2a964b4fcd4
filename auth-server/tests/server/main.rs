//! The server as a process: what its clients and its operator see.

mod account;
mod admin;
mod audit;
mod book;
mod budgets;
mod clocks;
mod commands;
mod cors;
mod crash;
mod enrollment;
mod http;
mod keys;
mod links;
mod observe;
mod openapi;
mod overload;
mod passwords;
mod privileges;
mod process;
mod release;
mod revocation;
mod secrets;
mod supply_chain;
#[path = "../support/mod.rs"]
mod support;
mod templates;
mod throttle;
mod tls;
mod users;
mod walk;
