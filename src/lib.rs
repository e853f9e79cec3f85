//! Prometheus exporter for Alibaba Cloud EMR Serverless Spark. Its counters are a durable ledger.
//!
//! Data flows one way: scheduler → api → collect → ledger → metrics → server. In reading order:

pub mod api;
pub mod clock;
pub mod collect;
pub mod config;
pub mod ledger;
pub mod metrics;
pub mod model;
pub mod scheduler;
pub mod server;
