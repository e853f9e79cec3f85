//! Integration tests.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic, in its helpers too")]

mod bad_config;
mod crash;
mod ledger_commands;
mod sdk;
mod simulator;
mod simulator_faults;
