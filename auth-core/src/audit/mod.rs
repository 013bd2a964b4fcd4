//! The audit trail: who did what, when, from where, and what came of it.
//!
//! An event that belongs to a change of the store is written in the change's transaction; others,
//! such as refused logins, are written by the [`AuditWriter`] a moment later. Refreshes are not
//! stored, so that the table does not grow with traffic. Every event, stored or not, also goes to
//! `tracing` (target `auth_core::audit`) and to the host's [`AuditHook`].
//!
//! A refusal that costs its sender little and comes again within a minute is not listed again, but counted:
//! one [`RefusalsCounted`](AuditAct::RefusalsCounted) when a minute has passed without another, or every ten
//! minutes while it goes on. So nobody can make the trail grow at will.
//!
//! No event holds a password, a token, a hash, a link or what somebody typed as a name.

mod act;
mod event;
mod repetitions;
mod report;
mod trail;
mod writer;

pub use act::{AuditAct, LoginRule, Outcome, ReuseKind};
pub use event::{Actor, AuditEvent};
pub use report::EventReport;
pub use trail::AuditHook;
pub(crate) use trail::AuditTrail;
pub use writer::AuditWriter;
