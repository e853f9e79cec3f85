//! Integration tests.

mod bad_config;
