//! The contract of the store, on real files.

mod contract;
mod crash;
mod damage;
mod fixture;
mod opening;
mod projection;
mod random;
