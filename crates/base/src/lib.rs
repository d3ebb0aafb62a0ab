//! Types that every layer speaks: names, digests, failures, the worker protocol, bounded JSON.
//!
//! Knows nothing of workflows, runs, files or the clock: pure, except for [`faults`], which tests arm. Start reading at [`ids`] and
//! [`artifact`].

pub mod amount;
pub mod artifact;
pub mod checkpoint;
pub mod duration;
pub mod error_chain;
pub mod excerpt;
pub mod failure;
pub mod faults;
pub mod ids;
pub mod json;
pub mod names;
pub mod path_text;
pub mod protocol;
pub mod rng;
pub mod secret;
pub mod shell;
pub mod suggest;
pub mod token_file;
pub mod visible;
