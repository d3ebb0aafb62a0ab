//! The verb `smoke-test` (row P17): it passes, and a broken learning rate makes it fail.

use crate::harness::Sandbox;

#[test]
fn the_smoke_test_passes_and_a_broken_learning_rate_fails_it() {
    let sandbox = Sandbox::new();
    let passed = sandbox.stepwell(&["smoke-test", "--device", "flex", "--output", "json"]).ok().json();
    assert_eq!(passed["passed"], true);
    assert!(passed["compared"].as_u64() >= Some(10));
    sandbox.stepwell(&["smoke-test", "-S", "learning_rate=nan"]).exits(3).says(&["learning_rate"]);
    sandbox.stepwell(&["smoke-test", "-S", "learning_rate=1e30"]).exits(3).says(&["diverged"]);
}
