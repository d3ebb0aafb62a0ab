//! The contract of the store, on real files.

mod annotations;
mod blocks;
mod contract;
mod crash;
mod damage;
mod fixture;
mod history;
mod io_faults;
mod machines;
mod opening;
mod pages;
mod pinned;
mod power_cut;
mod projection;
mod random;
mod samples;
mod series;
mod step_names;
mod sums;
mod upgrade;
mod webhooks;
