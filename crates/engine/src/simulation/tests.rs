//! Runs the seeds of every test run.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::seed::{self, Report};
use super::world::Tracing;

/// Number of seeds in a normal test run.
const SEEDS: u64 = 2000;
const MORE: &str = "STEPWELL_SIM_SEEDS";
const ONE: &str = "STEPWELL_SIM_SEED";
/// Variable with the first of several seeds.
const FROM: &str = "STEPWELL_SIM_FROM";

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: `{text}`")))
}

#[track_caller]
fn must_hold(seed: u64, tracing: Tracing) -> Report {
    seed::run(seed, tracing)
        .unwrap_or_else(|broken| panic!("seed {seed}: {broken}\n\nto see it again:\n{}", replay(seed)))
}

fn replay(seed: u64) -> String {
    format!(
        "{ONE}={seed} cargo test -p {} --lib -- --exact simulation::tests::the_contract_holds_whatever_happens --nocapture",
        env!("CARGO_PKG_NAME")
    )
}

#[test]
fn the_contract_holds_whatever_happens() {
    if let Some(seed) = number(ONE) {
        let Report { engines, crashes, rounds, events, .. } = must_hold(seed, Tracing::Print);
        eprintln!("seed {seed}: {engines} engines, {crashes} of them died, {rounds} rounds, {events} events");
        return;
    }
    let first = number(FROM).unwrap_or(0);
    let seeds = first + number(MORE).unwrap_or(SEEDS);
    let next = AtomicU64::new(first);
    let broken: Mutex<Option<(u64, String)>> = Mutex::new(None);
    let totals = Mutex::new((0, 0, 0, 0));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || broken.lock().unwrap().is_some() {
                        return;
                    }
                    match seed::run(seed, Tracing::Off) {
                        Ok(report) => {
                            let mut totals = totals.lock().unwrap();
                            totals.0 += report.engines;
                            totals.1 += report.crashes;
                            totals.2 += report.rounds;
                            totals.3 += report.events;
                        }
                        Err(why) => {
                            let mut broken = broken.lock().unwrap();
                            if broken.as_ref().is_none_or(|(earlier, _)| seed < *earlier) {
                                *broken = Some((seed, why));
                            }
                        }
                    }
                }
            });
        }
    });
    let (engines, crashes, rounds, events) = *totals.lock().unwrap();
    let seconds = started.elapsed().as_secs_f64();
    eprintln!(
        "{} seeds in {seconds:.1} s: {engines} engines, {crashes} of them died, {rounds} rounds, {events} events",
        seeds - first
    );
    if let Some((seed, why)) = broken.into_inner().unwrap() {
        // A second run of the seed keeps the trace.
        let why = seed::run(seed, Tracing::Keep).err().unwrap_or(why);
        panic!("seed {seed}: {why}\n\nto see it again:\n{}", replay(seed));
    }
}

#[test]
fn a_seed_gives_the_same_events_every_time() {
    for seed in 0..20 {
        assert_eq!(must_hold(seed, Tracing::Keep).digest, must_hold(seed, Tracing::Keep).digest, "seed {seed}");
    }
}
