//! The whole program as a process, against the simulator.

mod changing;
mod counting;
mod credentials;
mod failing;
mod secrets;
mod starting;
mod steady;
mod stopping;
