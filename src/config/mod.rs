//! Settings: file, environment and flags, read through the `config` crate and validated into a type.
//! Invariant: a [`Config`] is only ever made by validation; no message carries the value of a secret.

mod types;

pub use types::*;
