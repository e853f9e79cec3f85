//! The whole program as a process, against the simulator.

mod changing;
mod counting;
mod credentials;
mod discovery;
mod failing;
mod limits;
mod network;
mod owners;
mod policy;
mod refusing;
mod reloading;
mod secrets;
mod starting;
mod steady;
mod stopping;
