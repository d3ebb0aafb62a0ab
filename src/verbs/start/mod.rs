//! Verbs that start runs, and the one that talks with a model.

pub mod batch;
pub mod chat;
pub mod phases;
pub mod remote;
pub mod run;
pub mod schedule;
pub mod serve;
pub mod start_training;
pub mod token;
pub mod webhook;
pub mod worker;
