//! The whole program as a process, against the simulator.

mod changing;
mod counting;
mod failing;
mod limits;
mod refusing;
mod secrets;
mod starting;
mod steady;
mod stopping;
