//! Simulates the engine: one seed generates random workflows, requests of people and faults, and drives the real engine
//! and a real SQLite file through them. The executor is fake and time is simulated, so a seed always gives the same
//! events.
//!
//! [`world`] owns everything outside the engine: time, worker processes, people and faults. The engine reaches it only
//! through [`clock`] and [`executor`]. Time passes only while the engine waits for a message. Before each wait,
//! [`contract`] checks the new commits. [`seed`] runs one seed from beginning to end.
//!
//! `STEPWELL_SIM_SEEDS=N` runs N seeds, starting at `STEPWELL_SIM_FROM`. `STEPWELL_SIM_SEED=S` runs one seed and prints
//! its events.

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
