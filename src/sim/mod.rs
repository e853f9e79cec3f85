//! x
pub mod clock;
mod errors;
pub mod signature;
pub mod world;
