//! Resumed training. The tests have the names of the usual mistakes.

use super::*;

/// Resume bugs "shuffle redrawn from mid-epoch RNG" and "offset reapplied every epoch": 12 steps are
/// more than four epochs, and every stop lies inside one.
#[test]
fn shuffle_redrawn_and_offset_reapplied() {
    let plan = plan(vec![phase("main", 12)]);
    assert_pieces_equal_the_whole(&plan, &[5]);
    assert_pieces_equal_the_whole(&plan, &[1]);
}

/// Resume bug "the second resume restarts the stream".
#[test]
fn second_resume() {
    let plan = plan(vec![phase("main", 12)]);
    assert_pieces_equal_the_whole(&plan, &[4, 8]);
    assert_pieces_equal_the_whole(&plan, &[3, 6, 7, 11]);
}

/// Resume bug "epoch-boundary resume skips an epoch and exits 0": 11 steps are exactly 4 epochs of 11
/// samples, stops lie on and next to the boundary.
#[test]
fn epoch_boundary_resume() {
    let plan = plan(vec![phase("main", 23)]);
    assert_eq!(samplers(&plan)[0].samples(), 11);
    for stop in [10, 11, 12, 22] {
        assert_pieces_equal_the_whole(&plan, &[stop]);
    }
}

#[test]
fn phase_boundary_resume() {
    let mut second = phase("words", 4);
    second.lr_scale = 0.5;
    second.schedule = Some(Schedule { kind: ScheduleKind::Wsd, warmup_steps: Some(1), ..Schedule::default() });
    let plan = plan(vec![phase("grammar", 5), second, phase("special", 3)]);
    for stops in [vec![5], vec![4, 6], vec![9, 10], vec![5, 9]] {
        assert_pieces_equal_the_whole(&plan, &stops);
    }
}

#[test]
fn every_phase_reads_its_own_data_from_the_start() {
    let plan = plan(vec![phase("grammar", 5), phase("words", 4)]);
    let samplers = samplers(&plan);
    let device = device::open("flex").unwrap();
    let mut trainer = Trainer::new(&plan, &samplers, Transformer::init(&config(), 1, &device), settings(), "flex");
    trainer.step = 5;
    assert_eq!(trainer.rows(trainer.step), samplers[1].rows(0, 4));
    trainer.step = 7;
    assert_eq!(trainer.rows(trainer.step), samplers[1].rows(8, 4));
    assert_ne!(samplers[0].rows(0, 4), samplers[1].rows(0, 4), "each phase has its own order");
}

/// Resume after the last step but before the result was committed: nothing is trained again.
#[test]
fn resume_at_the_end_only_returns_the_model() {
    let plan = plan(vec![phase("main", 6)]);
    let mut host = Host::default();
    let whole = process(&plan, &mut host, None).unwrap();
    let mut again = Host::default();
    assert_eq!(process(&plan, &mut again, host.saved.last()).unwrap(), whole);
    assert!(again.rows.is_empty());
}

/// Resume bug "zeroed Adam moments": absent moments are an error, and the saved ones matter.
#[test]
fn zeroed_moments() {
    let plan = plan(vec![phase("main", 8)]);
    let mut host = Host { stop_after: Some(4), ..Host::default() };
    process(&plan, &mut host, None).unwrap();
    let saved = host.saved.last().unwrap();

    let device = device::open("flex").unwrap().autodiff();
    let config = config();
    let expected =
        Expected { model: &config, optimizer: settings(), plan: &plan, device: &device, forked_at: None, base: None };
    let empty = weights::save::<Vec<f32>>(Vec::new());
    let error = restore(Files { optimizer: &empty, ..saved.files() }, &expected).err().unwrap();
    assert!(matches!(error, CheckpointError::Optimizer(_)), "{error}");
    let moments = weights::load(&saved.optimizer).unwrap();
    assert!(moments.values().all(|tensor| tensor.data.iter().any(|x| *x != 0.0)), "zeros were saved");

    let zeroed: Vec<_> = moments
        .into_values()
        .map(|tensor| weights::NamedTensor { data: vec![0.0; tensor.data.len()], ..tensor })
        .collect();
    let zeroed = Saved {
        extra: 0,
        ema: None,
        state: saved.state.clone(),
        weights: saved.weights.clone(),
        optimizer: weights::save(zeroed),
        step: saved.step,
        permanent: saved.permanent,
    };
    let good = process(&plan, &mut Host::default(), Some(saved)).unwrap();
    let bad = process(&plan, &mut Host::default(), Some(&zeroed)).unwrap();
    assert!(good != bad, "the moments have no influence");
}

/// Resume bug "learning rate rebuilt from the remaining steps".
#[test]
fn learning_rate_rebuilt_from_the_remaining_steps() {
    let plan = plan(vec![phase("main", 12)]);
    let (rows, _) = in_pieces(&plan, &[6]);
    let rates: Vec<f64> = rows.iter().map(|row| row.learning_rate).collect();
    let wanted: Vec<f64> = (0..12).map(|step| plan.learning_rate(step)).collect();
    assert_eq!(rates, wanted);
    let p = (6.0 - 2.0) / (12.0 - 2.0) * std::f64::consts::PI;
    assert!((rates[6] - 1e-2 * 0.5 * (1.0 + p.cos())).abs() < 1e-12);
}

#[test]
fn a_crash_loses_only_the_steps_after_the_last_checkpoint() {
    let plan = plan(vec![phase("main", 12)]);
    let (whole_rows, whole) = in_pieces(&plan, &[]);
    let mut host = Host { crash_after: Some(7), ..Host::default() };
    assert_eq!(process(&plan, &mut host, None), Err(HostError::Crash));
    assert_eq!(host.saved.iter().map(|saved| saved.step).collect::<Vec<_>>(), [4]);
    let mut next = Host::default();
    let weights = process(&plan, &mut next, host.saved.last()).unwrap().unwrap();
    assert!(weights == whole);
    assert_eq!(comparable(&next.rows), comparable(&whole_rows)[4..]);
}
