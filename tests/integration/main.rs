//! Integration tests: the whole program as a process, against the simulator; and what the project promises of its shape.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test may panic and tell why, in its helpers, too"
)]

mod architecture;
mod bad_config;
mod crash;
mod daemon;
mod docs;
mod forms;
mod golden;
mod harness;
mod kit;
mod ledger_commands;
mod page;
mod prometheus;
mod promtool;
mod sdk;
mod simulator;
mod simulator_faults;
mod status;
mod web;
