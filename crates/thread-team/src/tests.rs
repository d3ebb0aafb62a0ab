use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::thread;

use super::Team;
use super::spin::standard::AWAKE_TIME;

fn team(threads: usize) -> &'static Team {
    Team::start(threads, |_| ())
}

#[test]
fn each_item_is_done_once_and_results_are_in_order() {
    for threads in [1, 2, 3, 7] {
        let team = team(threads);
        for round in 0..3000_usize {
            let len = round % 20;
            let mut values = vec![0; len];
            team.each(values.iter_mut().enumerate(), |(index, value)| *value += index + round);
            let expected: Vec<usize> = (round..round + len).collect();
            assert_eq!(values, expected, "{threads} threads");
            assert_eq!(team.map(&values, |value| value + 1), (round + 1..round + 1 + len).collect::<Vec<_>>());
            // From time to time, let the other threads fall asleep.
            if round % 500 == 0 {
                thread::sleep(2 * AWAKE_TIME);
            }
        }
    }
}

/// Each thread waits for all others inside the work, even after sleeping.
#[test]
fn all_threads_take_part() {
    let team = team(3);
    for _ in 0..5 {
        thread::sleep(2 * AWAKE_TIME);
        let all = Barrier::new(3);
        team.each(0..3, |_| {
            all.wait();
        });
    }
}

#[test]
fn work_within_work_and_of_several_callers_is_done() {
    let team = team(2);
    let slowly = |value| {
        thread::yield_now();
        value
    };
    let inner = |len: usize| team.map(0..len, slowly).iter().sum::<usize>();
    let sum = || (0..300).map(|_| team.map(0..9, inner).iter().sum::<usize>()).sum();
    let sums: Vec<usize> = thread::scope(|scope| {
        let callers: Vec<_> = (0..3).map(|_| scope.spawn(sum)).collect();
        callers.into_iter().map(|caller| caller.join().expect("it does not panic")).collect()
    });
    assert_eq!(sums, [300 * 84; 3]);
}

#[test]
fn a_panic_of_any_thread_reaches_the_caller() {
    let team = team(2);
    let caller = thread::current().id();
    for of_caller in [true, false] {
        let both = Barrier::new(2);
        let work = |_| {
            both.wait();
            assert_ne!(thread::current().id() == caller, of_caller, "the culprit");
        };
        let panic = catch_unwind(AssertUnwindSafe(|| team.each(0..2, work))).expect_err("an item panics");
        let message = panic.downcast_ref::<String>().expect("a message");
        assert!(message.contains("the culprit"), "{message}");
        assert_eq!(team.map(0..3, |item| item * 2), [0, 2, 4]);
    }
}

#[test]
fn every_thread_of_the_team_calls_the_hook_first() {
    thread_local! {
        static IS_OF_TEAM: Cell<bool> = const { Cell::new(false) };
    }
    let team = Team::start(3, |_| IS_OF_TEAM.set(true));
    let all = Barrier::new(3);
    let mut found = team.map(0..3, |_| {
        all.wait();
        IS_OF_TEAM.get()
    });
    found.sort_unstable();
    assert_eq!(found, [false, true, true], "all but the caller's");
}
