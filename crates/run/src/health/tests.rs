use jiff::Timestamp;

use super::*;
use crate::estimate::ProgressMark;

const NOW: i64 = 100_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn healthy() -> StepReadings {
    let noise = |step: u64| if step.is_multiple_of(2) { 0.05 } else { -0.05 };
    StepReadings {
        progress: Some(ProgressMark { done: 120, total: 500, at: at(NOW - 2), first_done: 0, first_at: at(NOW - 240) }),
        losses: (1..=120).map(|step| (step, 3.0 - step as f64 / 1000.0 + noise(step))).collect(),
        validations: (1..=6).map(|step| (20 * step, 3.2 - step as f64 / 100.0)).collect(),
        checkpoints: [1800, 1200, 600].map(|ago| at(NOW - ago)).to_vec(),
        checkpoint_bytes: 100 << 20,
        ..StepReadings::new("train".into(), at(NOW - 3000))
    }
}

fn fine() -> MachineReadings {
    let memory = MemoryReading { used_bytes: 8 << 30, total_bytes: 16 << 30 };
    MachineReadings { disk_free_bytes: Some(50 << 30), memory: Some(memory) }
}

fn judged(step: StepReadings, machine: MachineReadings) -> String {
    let found = judge(&Readings { now: at(NOW), steps: vec![step], machine });
    let line = |finding: &Finding| {
        let Finding { step, problem } = finding;
        let step = step.as_ref().map_or("-", |step| step.as_str());
        format!("{} {} {step}: {problem}", problem.severity().as_str(), problem.code())
    };
    found.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn of_step(change: impl FnOnce(&mut StepReadings)) -> String {
    let mut step = healthy();
    change(&mut step);
    judged(step, fine())
}

fn of_machine(change: impl FnOnce(&mut MachineReadings)) -> String {
    let mut machine = fine();
    change(&mut machine);
    judged(healthy(), machine)
}

#[test]
fn a_healthy_run_and_a_silent_command_have_no_problem() {
    assert_eq!(of_step(|_| {}), "");
    assert_eq!(judged(StepReadings::new("sh".into(), at(0)), MachineReadings::default()), "");
    assert!(judge(&Readings { now: at(NOW), steps: Vec::new(), machine: fine() }).is_empty());
}

#[test]
fn a_step_stalls_when_it_is_silent_for_much_longer_than_usual() {
    let silent = |seconds: i64| move |step: &mut StepReadings| step.progress.as_mut().unwrap().at = at(NOW - seconds);
    assert_eq!(of_step(silent(100)), "");
    assert_eq!(of_step(silent(130)), "critical stalled train: no progress for 2.2 min");
    // A step that needs a minute for each unit may be silent for twenty.
    let slow = |ago: i64| {
        let mark =
            ProgressMark { done: 10, total: 500, at: at(NOW - ago), first_done: 0, first_at: at(NOW - ago - 600) };
        move |step: &mut StepReadings| step.progress = Some(mark)
    };
    assert_eq!(of_step(slow(1190)), "");
    assert_eq!(of_step(slow(1210)), "critical stalled train: no progress for 20.2 min");
    let finishing = |step: &mut StepReadings| {
        silent(900)(step);
        step.progress.as_mut().unwrap().done = 500;
    };
    assert_eq!(of_step(finishing), "", "the work after the last unit has no reports");
}

#[test]
fn a_loss_that_is_no_number_is_named_with_its_first_step() {
    assert_eq!(
        of_step(|step| step.losses[110..].iter_mut().for_each(|row| row.1 = f64::NAN)),
        "critical not_a_number train: the loss is no number since training step 111"
    );
    assert_eq!(
        of_step(|step| step.losses[110].1 = f64::INFINITY),
        "warning not_a_number train: the loss of training step 111 was no number"
    );
    assert_eq!(
        of_step(|step| step.losses[100..102].iter_mut().for_each(|row| row.1 = f64::NAN)),
        "warning not_a_number train: 2 of the newest losses were no number, the last one at training step 102"
    );
    assert_eq!(
        of_step(|step| step.losses = vec![(7, f64::NAN)]),
        "critical not_a_number train: the loss is no number since training step 7"
    );
}

#[test]
fn a_spike_is_seen_against_the_usual_noise() {
    assert_eq!(
        of_step(|step| step.losses[115].1 = 9.0),
        "warning loss_spike train: the loss jumped to 9.0000 at training step 116, from about 2.9490, and is back"
    );
    assert_eq!(
        of_step(|step| step.losses[115..].iter_mut().for_each(|row| row.1 = 8.0)),
        "critical loss_spike train: the loss jumped to 8.0000 at training step 120, from about 2.9490"
    );
    // Noise that was there before is no spike, and neither is the fall at the start.
    assert_eq!(of_step(|step| step.losses.iter_mut().step_by(7).for_each(|row| row.1 *= 1.1)), "");
    assert_eq!(of_step(|step| step.losses.iter_mut().for_each(|row| row.1 = 10.0 / (row.0 as f64).sqrt())), "");
    assert_eq!(of_step(|step| step.losses.drain(..90).for_each(drop)), "", "too few rows to know what is usual");
}

#[test]
fn validation_rises_when_the_best_is_three_validations_old() {
    let validations = |losses: &'static [f64]| {
        move |step: &mut StepReadings| step.validations = (1..).map(|n| 100 * n).zip(losses.iter().copied()).collect()
    };
    assert_eq!(of_step(validations(&[3.0, 2.0, 2.1, 2.2])), "", "two are too few");
    assert_eq!(
        of_step(validations(&[3.0, 2.0, 2.1, f64::NAN, 2.2, 2.3])),
        "warning validation_rising train: the validation loss rises: 2.3000 now, 2.0000 at training step 200"
    );
    assert_eq!(of_step(validations(&[2.0, 2.005, 2.006, 2.007])), "", "flat is not rising");
}

#[test]
fn checkpoints_may_be_as_rare_as_they_usually_are() {
    let age = |step: &mut StepReadings| step.checkpoints = vec![at(NOW - 2000)];
    assert_eq!(of_step(age), "warning no_checkpoint train: no checkpoint for 33.3 min");
    assert_eq!(
        of_step(|step| step.checkpoints = vec![at(NOW - 2900), at(NOW - 2000)]),
        "",
        "one in 15 minutes is usual"
    );
    assert_eq!(of_step(|step| step.checkpoints.clear()), "warning no_checkpoint train: no checkpoint for 50.0 min");
    let resumed = |step: &mut StepReadings| {
        step.started_at = at(NOW - 60);
        step.checkpoints = vec![at(0)];
    };
    assert_eq!(of_step(resumed), "", "the time between two attempts does not count");
}

#[test]
fn the_machine_is_judged_by_what_the_run_needs() {
    assert_eq!(
        of_machine(|machine| machine.disk_free_bytes = Some(800 << 20)),
        "warning low_disk -: only 800.0 MiB are free on the disk, and a checkpoint has 100.0 MiB"
    );
    assert_eq!(
        of_machine(|machine| machine.disk_free_bytes = Some(150 << 20)),
        "critical low_disk -: only 150.0 MiB are free on the disk, and a checkpoint has 100.0 MiB"
    );
    let used = |used_bytes| MemoryReading { used_bytes, total_bytes: 16 << 30 };
    assert_eq!(
        of_machine(|machine| machine.memory = Some(used(15 << 30))),
        "warning high_memory -: 15.0 GiB of 16.0 GiB of memory are used"
    );
    assert_eq!(
        of_machine(|machine| machine.memory = Some(used(16 << 30))),
        "critical high_memory -: 16.0 GiB of 16.0 GiB of memory are used"
    );
}

#[test]
fn the_worst_comes_first() {
    let mut step = healthy();
    step.checkpoints.clear();
    step.losses[119].1 = f64::NAN;
    let lines = judged(step, MachineReadings { disk_free_bytes: Some(1), memory: None });
    let words: Vec<&str> = lines.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(words, ["not_a_number", "low_disk", "no_checkpoint"]);
}
