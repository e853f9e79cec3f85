//! Prometheus exporter for Alibaba Cloud EMR Serverless Spark. Its counters are a durable ledger.
//!
//! Data flows one way: scheduler → api → collect → ledger → metrics → server. In reading order:

pub mod clock;
pub mod config;
pub mod model;
pub mod sim;
