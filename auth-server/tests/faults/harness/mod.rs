//! Real parts that fail as they do in the field, and a ledger over what was acknowledged meanwhile.
//! `docs/faults.md` says how to run it, and how to read what it prints.

#![allow(dead_code, unreachable_pub, reason = "each program uses its part")]

pub mod acts;
pub mod bouncer;
pub mod broken_off;
pub mod client;
pub mod cluster;
pub mod database;
pub mod failover;
pub mod kills;
pub mod ledger;
pub mod poll;
pub mod proxy;
pub mod refusal;
pub mod site;
pub mod small_disk;
pub mod storm;
pub mod trial;
