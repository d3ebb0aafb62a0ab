//! End-to-end tests with the real binary, a real database, and real processes killed with SIGKILL.
#![expect(clippy::print_stdout, reason = "figures of long tests")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod bad_input;
mod batch;
mod beginnings;
mod bench_infer;
#[cfg(feature = "train")]
mod bench_train;
mod bit_flips;
mod chaos;
mod clean_up;
mod clean_up_beside;
mod cli;
mod cluster;
#[cfg(feature = "flex")]
mod constitutional;
mod control;
mod crash;
#[cfg(feature = "train")]
mod curves;
mod data;
#[cfg(target_os = "linux")]
mod disk;
mod engine;
#[cfg(target_os = "linux")]
mod evaluation;
#[cfg(target_os = "linux")]
mod executors;
mod explain;
#[cfg(feature = "failpoints")]
mod failpoints;
mod gpu_check;
#[cfg(feature = "flex")]
mod guard;
mod harness;
mod hostile;
mod logs;
mod maintenance;
mod metrics;
#[cfg(not(feature = "failpoints"))]
mod normal_build;
mod notify;
mod odd_files;
#[cfg(target_os = "linux")]
mod orphans;
mod page;
mod phases;
#[cfg(feature = "train")]
#[cfg(target_os = "linux")]
mod playbook;
mod pools;
mod provenance;
mod python_package;
mod queue;
mod remote;
mod reuse;
mod schedule;
mod scripts;
mod secrets;
mod serve;
#[cfg(feature = "flex")]
mod sft;
#[cfg(feature = "train")]
mod smoke;
#[cfg(target_os = "linux")]
mod survival;
#[cfg(all(feature = "train", target_os = "linux"))]
mod sync_order;
mod terminal;
mod told;
#[cfg(feature = "train")]
mod training;
mod upgrade;
mod waiting;
mod warm;
mod webhooks;
