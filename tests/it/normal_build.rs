//! The program as users have it.

#[test]
fn no_trace_of_failpoints() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_stepwell")).unwrap();
    for trace in ["FAILPOINTS", "STEPWELL_FAULTS_RECORD", "store.commit.before", "artifact.rename"] {
        let found = program.windows(trace.len()).any(|window| window == trace.as_bytes());
        assert!(!found, "`{trace}` is in the program");
    }
}
