//! Prometheus exporter for Alibaba Cloud EMR Serverless Spark. Its counters are a durable ledger.
//!
//! Data flows one way: [`scheduler`] → [`api`] → [`collect`] → [`ledger`] → [`metrics`] → [`server`]. Below, the modules
//! in reading order: what all share, the way of the data, and what stands around it.

/// Frees memory of another thread without a lock. The C library's has some that threads share: one that answers a scrape would wait
/// there for one that polls, while that one gives way (see [`priority`]).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod build_info;
pub mod clock;
pub mod journal;
pub mod mapped;
pub mod model;
pub mod priority;

pub mod config;

pub mod scheduler;

pub mod api;

pub mod collect;

pub mod ledger;

pub mod metrics;

pub mod server;

pub mod app;
pub mod cli;
pub mod logging;

pub mod sim;
