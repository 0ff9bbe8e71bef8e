//! The program: from a plan to a finished data set.
//!
//! ```text
//! plan ──▶ units ──▶ lanes (workers that read and commit as well) ──▶ manifest
//!                      │  ▲
//!               batches▼  │row groups, in order
//!                    workers (parse, tokenize, mask, encode)
//! ```
//!
//! [`mod@unit`] is the program itself; [`run`] runs it over the plan; [`crew`] shares units out, hands batches to the
//! workers and takes the results back in order. On a worker [`lines`] turns the lines of a batch into tokens and
//! rejects, and [`masker`] turns tokens into rows; `verify` uses [`crew`], [`lines`] and [`masker`] too.

pub(crate) mod crew;
pub(crate) mod documents;
pub(crate) mod error;
pub(crate) mod estimate;
pub(crate) mod finish;
pub(crate) mod first_reject;
pub mod job;
pub(crate) mod lines;
pub mod masker;
pub(crate) mod memory;
pub(crate) mod progress;
pub(crate) mod reject_limit;
pub(crate) mod row_order;
pub(crate) mod run;
pub(crate) mod unit;
