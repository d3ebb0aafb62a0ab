//! The workflows of the training playbook, in small.

use crate::harness::{Sandbox, eventually, kill_with_workers};

/// A study that is killed in its trainings ends with the report of one that was left alone.
#[test]
fn a_study_that_is_killed_ends_with_the_same_report() {
    let arms = r#"arms=[{"name":"plain"},{"name":"mixed","curriculum":"shuffled"},{"name":"muon","optimizer":{"kind":"muon"}}]"#;
    let run = [
        "run",
        "study",
        "-S",
        arms,
        "-S",
        "seeds=[1,2]",
        "-S",
        "steps=[6,6]",
        "-S",
        "model={layers=2,d_model=32,heads=2}",
        "-S",
        "documents=80",
        "-S",
        "batch=4",
    ];
    let reports = [0, 3].map(|kills| {
        let sandbox = Sandbox::new();
        let mut engine = sandbox.start(&run);
        for kill in 1..=kills {
            let ended = "step WHERE id LIKE 'train[%' AND status = 'succeeded'";
            eventually("a training has ended", || sandbox.query_count(ended) >= kill);
            kill_with_workers(&mut engine);
            engine = sandbox.start(&["resume", "last"]);
        }
        assert!(engine.wait().unwrap().success());
        let values = sandbox.show()["steps"].as_array().unwrap().last().unwrap()["values"].clone();
        assert_eq!(values["arms"].as_array().unwrap().len(), 3, "{values}");
        assert_eq!(values["arms"][1]["difference"]["pairs"], 2);
        let digests: Vec<_> = sandbox.digests().into_iter().filter(|(name, _)| name.contains("report")).collect();
        assert!(!digests.is_empty());
        digests
    });
    assert_eq!(reports[0], reports[1]);
}

/// All ramps and phases of `curriculum` at once.
#[test]
fn a_curriculum_that_is_killed_ends_with_the_same_model() {
    let phases = r#"phases=[{"name":"grammar","steps":12},{"name":"vocabulary","steps":12,"loss_weights":{"rare":2.0,"rare_below":0.001}},{"name":"specialisation","steps":12,"freeze_ramp":[[0,0],[0.5,1]]}]"#;
    let run = ["run", "curriculum", "-S", phases, "-S", "documents=80", "-S", "checkpoint_every=5"];
    let models = [0, 3].map(|kills| {
        let sandbox = Sandbox::new();
        let mut engine = sandbox.start(&run);
        for kill in 1..=kills {
            let checkpoints = format!("checkpoint WHERE last_step >= {}", 8 * kill);
            eventually("a checkpoint is there", || sandbox.query_count(&checkpoints) > 0);
            kill_with_workers(&mut engine);
            engine = sandbox.start(&["resume", "last"]);
        }
        assert!(engine.wait().unwrap().success());
        let digests: Vec<_> = sandbox.digests().into_iter().filter(|(name, _)| name.contains("model")).collect();
        assert!(!digests.is_empty());
        digests
    });
    assert_eq!(models[0], models[1]);
}
