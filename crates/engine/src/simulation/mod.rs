//! A simulator: one seed makes random workflows, wishes of people and faults, and drives the real engine and a real
//! SQLite file through them. The executor is fake and time is simulated, so a seed always gives the same events.
//!
//! [`world`] owns what exists outside of the engine: time, worker processes, people and faults. The engine reaches it
//! through [`clock`] and [`executor`] only. Time passes only while the engine waits for a message. Before each wait,
//! [`contract`] judges what was committed. [`seed`] runs one seed from beginning to end.
//!
//! `STEPWELL_SIM_SEEDS=N` runs N seeds from `STEPWELL_SIM_FROM` on, `STEPWELL_SIM_SEED=S` runs one and prints what happens.

mod clock;
mod contract;
mod executor;
mod happening;
mod people;
mod seed;
mod tests;
mod time;
mod worker;
mod workflow;
mod world;
