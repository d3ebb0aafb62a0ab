//! Tests when checkpoints are made and what ends a training.

use super::*;

#[test]
fn checkpoints_come_at_their_interval_and_at_the_end_of_phases() {
    let plan = plan(vec![phase("a", 6), phase("b", 4)]);
    let mut host = Host::default();
    process(&plan, &mut host, None).unwrap();
    let saved: Vec<_> = host.saved.iter().map(|saved| (saved.step, saved.permanent)).collect();
    assert_eq!(saved, [(4, false), (6, true), (8, false), (10, true)]);
    let state: TrainState = serde_json::from_slice(&host.saved[1].state).unwrap();
    assert_eq!((state.phase.as_str(), state.cursor, state.tokens), ("a", 24, 192));
}

#[test]
fn checkpoints_have_no_influence_on_what_is_trained() {
    let trained = |checkpoint_every| {
        let plan = Plan { checkpoint_every, ..plan(vec![phase("main", 12)]) };
        let mut host = Host::default();
        let weights = process(&plan, &mut host, None).unwrap().unwrap();
        (host.saved.len(), comparable(&host.rows), weights)
    };
    let (saved, rows, weights) = trained(Some(1));
    assert_eq!(saved, 12);
    for (every, expected) in [(Some(3), 4), (Some(1000), 1), (None, 1)] {
        let other = trained(every);
        assert!(other == (expected, rows.clone(), weights.clone()), "a checkpoint every {every:?} steps");
    }
}

/// The clock starts 31 s in the past, and each step starts with the previous checkpoint committed.
#[test]
fn without_an_interval_time_decides() {
    let plan = Plan { checkpoint_every: None, ..plan(vec![phase("main", 4)]) };
    let samplers = samplers(&plan);
    let model = Transformer::init(&config(), 1, &device::open("flex").unwrap().autodiff());
    let mut trainer = Trainer::new(&plan, &samplers, model, settings(), "flex");
    trainer.cadence = Cadence::starting_at(Instant::now().checked_sub(Duration::from_secs(31)).unwrap());
    let mut host = Host::default();
    assert!(trainer.run(&mut host).is_ok());
    assert_eq!(host.saved.iter().map(|saved| saved.step).collect::<Vec<_>>(), [1, 4]);
}

/// A checkpoint that is being written when the training diverges is a good one.
#[test]
fn divergence_waits_for_the_checkpoint_before() {
    let plan = Plan { learning_rate: 1e38, clip: 0.0, checkpoint_every: Some(1), ..plan(vec![phase("main", 8)]) };
    let mut host = Host::default();
    assert!(matches!(process(&plan, &mut host, None), Err(HostError::Train(TrainError::Diverged { .. }))));
    assert_eq!(host.saved.len(), host.rows.len());
}

#[test]
fn a_stop_before_the_first_step_saves_nothing() {
    let plan = plan(vec![phase("main", 4)]);
    let mut host = Host { stop_after: Some(0), ..Host::default() };
    assert_eq!(process(&plan, &mut host, None), Ok(None));
    assert!(host.saved.is_empty() && host.rows.is_empty());
}

#[test]
fn divergence_names_the_step_and_keeps_the_last_good_checkpoint() {
    let plan = Plan { learning_rate: 1e38, clip: 0.0, checkpoint_every: Some(1), ..plan(vec![phase("main", 8)]) };
    let mut host = Host::default();
    let error = process(&plan, &mut host, None).unwrap_err();
    let HostError::Train(TrainError::Diverged { step, .. }) = error else { panic!("{error:?}") };
    assert!(step > 1);
    assert_eq!(host.saved.last().unwrap().step, step - 1);
    assert_eq!(host.rows.last().unwrap().train_step, step - 1, "no row for the step that failed");
}
