use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::changes::Changes;
use super::mirror::Mirror;
use super::place::Place;
use super::series::Haste;
use crate::tests::lab::{Lab, Sketch};
use stepwell_base::ids::{Fence, RunId, StepId};
use stepwell_base::protocol::{Measurement, SampleText, Samples, SeriesChange};
use stepwell_base::rng::Rng;
use stepwell_run::event::{Event, RunEvent, StepEventKind};
use stepwell_run::run_options::Origin;
use stepwell_store::Reader;
use stepwell_tensorboard::{Folder, Heading};

/// Its rows may still get numbers after their commit.
const PROGRAM: &str =
    "name = \"w\"\nparams = { lr = 0.5 }\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith.shell = \"true\"\n";
const TRAINING: &str = r#"
name = "w"
[[step]]
id = "import"
kind = "corpus.import"
with.source = "builtin:grammar"
[[step]]
id = "tokenizer"
kind = "tokenizer.train"
with = { documents = "{{ steps.import.outputs.documents }}", vocab_size = 512 }
[[step]]
id = "tokenize"
kind = "tokenize"
with = { documents = "{{ steps.import.outputs.documents }}", tokenizer = "{{ steps.tokenizer.outputs.tokenizer }}" }
[[step]]
id = "a"
kind = "train"
with = { tokens = ["{{ steps.tokenize.outputs.tokens }}"], tokenizer = "{{ steps.tokenizer.outputs.tokenizer }}", model = "tiny", steps = 9 }
"#;

/// A step `a` that runs, and the mirror of a process.
struct Board {
    lab: Lab,
    run: RunId,
    attempt: u32,
    mirror: Mirror,
    changes: Changes,
}

impl Board {
    fn new(workflow: &str) -> Board {
        let mut lab = Lab::new();
        let run = lab.run(Sketch { name: "base", workflow, ..Sketch::default() });
        lab.ready(run, 0, "a");
        lab.start(run, 0, "a");
        let mirror = Mirror::open(lab.path(), Place::of_state(lab.path())).unwrap();
        Board { lab, run, attempt: 1, mirror, changes: Changes::default() }
    }

    fn add(&mut self, train_step: u64, loss: f64) {
        self.lab.metric_of((self.run, "a", self.attempt), train_step, loss);
        self.changes.changed(self.run, &"a".into(), train_step);
    }

    fn line(&mut self, train_step: u64, name: &str, value: f64) {
        let values = [(name.to_owned(), value)].into();
        let change = SeriesChange::Add(Measurement { train_step, values });
        self.lab.series((self.run, "a", self.attempt), &[change]);
        self.changes.changed(self.run, &"a".into(), train_step);
    }

    fn restart(&mut self) {
        self.attempt += 1;
        self.lab.restart(self.run, "a", self.attempt);
    }

    fn rewind(&mut self, last_step: u64) {
        let event = StepEventKind::AttemptRewound { last_step };
        self.lab.commit(self.run, 2, [event.under("a".into(), Fence(u64::from(self.attempt)))]);
        self.changes.changed(self.run, &"a".into(), last_step + 1);
    }

    fn apply(&mut self, haste: Haste) {
        self.mirror.apply(std::mem::take(&mut self.changes), haste).unwrap();
    }

    /// The process dies, and the next one starts.
    fn die(&mut self) {
        self.changes = Changes::default();
        self.mirror = Mirror::open(self.lab.path(), Place::of_state(self.lab.path())).unwrap();
        let left = self.mirror.left_open();
        self.mirror.apply(left, Haste::Later).unwrap();
    }

    fn folder(&self) -> PathBuf {
        let reader = Reader::open(self.lab.path()).unwrap();
        Place::of_state(self.lab.path()).of_series(&reader.run(self.run).unwrap(), &"a".into())
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            fs::read_dir(self.folder()).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    fn written(&self) -> Vec<(u64, Vec<(String, f32)>)> {
        written(&self.folder())
    }

    /// The rows of the database as they should be written.
    fn stored(&self) -> Vec<(u64, Vec<(String, f32)>)> {
        let (reader, mut rows) = (Reader::open(self.lab.path()).unwrap(), Vec::new());
        let keep = |row: Measurement| {
            let values = row.values.iter().map(|(name, value)| (stepwell_tensorboard::tag(name), *value as f32));
            rows.push((row.train_step, values.collect()));
            ControlFlow::Continue(())
        };
        reader.each_measurement((self.run, &"a".into()), None, None, keep).unwrap();
        rows
    }

    fn end(&mut self) {
        self.changes.paused.insert((self.run, "a".into()));
        self.apply(Haste::Later);
        assert_eq!(self.written(), self.stored());
    }
}

fn written(folder: &Path) -> Vec<(u64, Vec<(String, f32)>)> {
    let folder = Folder::open(folder, Heading::default()).unwrap();
    folder.rows().map(|row| row.map(|row| (row.train_step, row.values)).unwrap()).collect()
}

#[test]
fn only_committed_rows_are_written() {
    let mut board = Board::new(TRAINING);
    // A change that was announced but is not in the database.
    board.changes.changed(board.run, &"a".into(), 1);
    board.apply(Haste::Later);
    assert_eq!(board.written(), []);
    (1..=3).for_each(|step| board.add(step, step as f64));
    board.apply(Haste::Later);
    assert_eq!(board.written(), board.stored()[..2]);
    assert_eq!(board.written()[1].1[1], ("train/learning_rate".to_owned(), 1e-3));
    board.end();
}

#[test]
fn a_rewind_is_followed_whether_the_process_lives_or_not() {
    for dies in [false, true] {
        let mut board = Board::new(TRAINING);
        (1..=9).for_each(|step| board.add(step, 1.0));
        board.apply(Haste::Later);
        board.restart();
        board.rewind(4);
        (5..=7).for_each(|step| board.add(step, 2.0));
        if dies {
            board.die();
        } else {
            board.apply(Haste::Later);
        }
        let losses = |step: usize| board.written()[step - 1].1[2].clone();
        assert_eq!(board.written().len(), 6, "dies: {dies}");
        assert_eq!((losses(4).1, losses(5).1), (1.0, 2.0));
        assert_eq!(board.files().len(), 2, "readers that run need a new file");
        board.end();
    }
}

/// The thread may read rows before it hears of them.
#[test]
fn late_words_of_known_rows_make_no_file() {
    let mut board = Board::new(TRAINING);
    (1..=9).for_each(|step| board.add(step, 1.0));
    board.apply(Haste::Later);
    board.changes.changed(board.run, &"a".into(), 3);
    board.apply(Haste::Later);
    assert_eq!((board.files().len(), board.written().len()), (1, 8));
    board.restart();
    board.rewind(6);
    board.add(7, 2.0);
    board.changes.changed(board.run, &"a".into(), 3);
    board.apply(Haste::Later);
    assert_eq!((board.files().len(), board.written().len()), (1, 6), "only what changed is cut off");
    board.end();
}

#[test]
fn a_rewind_without_new_rows_cuts_the_files() {
    let mut board = Board::new(TRAINING);
    (1..=9).for_each(|step| board.add(step, 1.0));
    board.apply(Haste::Later);
    board.restart();
    board.rewind(4);
    board.apply(Haste::Later);
    assert!(board.written().len() <= 4);
    board.end();
}

#[test]
fn what_is_lost_or_damaged_is_written_again() {
    let mut board = Board::new(TRAINING);
    (1..=50).for_each(|step| board.add(step, 1.0));
    board.apply(Haste::Later);
    let damage: [&dyn Fn(&Path); 4] = [
        &|path| fs::remove_file(path).unwrap(),
        &|path| fs::write(path, "").unwrap(),
        &|path| {
            let mut bytes = fs::read(path).unwrap();
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        &|path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 3]).unwrap();
        },
    ];
    for (number, damage) in damage.iter().enumerate() {
        damage(&board.files()[0]);
        board.die();
        assert_eq!(board.written(), board.stored()[..49], "damage {number}");
    }
    // The process that lives notices a lost file with the next row.
    fs::remove_dir_all(board.folder()).unwrap();
    board.add(51, 1.0);
    board.apply(Haste::Later);
    board.end();
}

#[test]
fn the_newest_step_of_a_program_waits_for_its_other_numbers() {
    let mut board = Board::new(PROGRAM);
    (1..=3).for_each(|step| board.line(step, "loss", 1.0));
    board.apply(Haste::Later);
    assert_eq!(board.written().len(), 2);
    board.line(3, "val loss", 2.0);
    board.line(4, "loss", 1.0);
    board.apply(Haste::Later);
    assert_eq!(board.written()[2].1[1], ("train/val%20loss".to_owned(), 2.0));
    assert_eq!(board.files().len(), 1, "nothing had to be rewound");
    // A late line for an old step makes a new file at once, the next one only after a pause.
    for (step, files) in [(2, 2), (1, 2)] {
        board.line(step, "late", 3.0);
        board.apply(Haste::Later);
        assert_eq!(board.files().len(), files);
    }
    assert!(board.mirror.due().is_some());
    board.end();
}

#[test]
fn a_fork_starts_with_the_rows_of_its_parent() {
    let mut board = Board::new(PROGRAM);
    (1..=9).for_each(|step| board.line(step, "loss", 1.0));
    let origin = Origin::Fork { run: board.run, at: "a".into(), train_step: Some(6) };
    board.run = board.lab.run(Sketch { name: "child", workflow: PROGRAM, origin: Some(origin), ..Sketch::default() });
    board.changes = Changes::default();
    board.changes.started.insert(board.run);
    board.apply(Haste::Later);
    let steps = |board: &Board| board.written().iter().map(|(step, _)| *step).collect::<Vec<_>>();
    assert_eq!(steps(&board), (1..=6).collect::<Vec<_>>());
    board.lab.ready(board.run, 0, "a");
    board.lab.start(board.run, 0, "a");
    (7..=8).for_each(|step| board.line(step, "loss", 2.0));
    board.changes.ended.insert(board.run);
    board.apply(Haste::Later);
    assert_eq!(steps(&board), (1..=8).collect::<Vec<_>>());
    // A child that starts over replaces the rows of its parent.
    board.line(3, "loss", 3.0);
    board.lab.series((board.run, "a", 1), &[SeriesChange::Void { from: 4 }]);
    board.changes.ended.insert(board.run);
    board.apply(Haste::Later);
    assert_eq!(steps(&board), [1, 2, 3]);
}

#[test]
fn texts_have_a_folder_of_their_own_and_follow_rewinds() {
    let mut board = Board::new(TRAINING);
    let sample = |board: &mut Board, train_step, text: &str| {
        let texts = vec![SampleText { prompt: "Once ".to_owned(), text: text.to_owned() }];
        board.lab.series((board.run, "a", board.attempt), &[SeriesChange::Samples(Samples { train_step, texts })]);
    };
    let texts = |board: &Board| {
        let folder = Folder::open(&board.folder().join("samples"), Heading::default()).unwrap();
        folder
            .rows()
            .map(|row| row.map(|row| (row.train_step, row.texts[0].markdown.clone())).unwrap())
            .collect::<Vec<_>>()
    };
    (1..=3).for_each(|step| board.add(step, 1.0));
    board.apply(Haste::Later);
    assert!(!board.folder().join("samples").exists());
    sample(&mut board, 2, "upon");
    sample(&mut board, 3, "more <b>");
    board.add(4, 1.0);
    board.apply(Haste::Later);
    assert_eq!(texts(&board), [(2, "    Once upon\n".to_owned()), (3, "    Once more <b>\n".to_owned())]);
    board.restart();
    board.rewind(2);
    board.add(3, 1.0);
    sample(&mut board, 3, "again");
    board.die();
    assert_eq!(texts(&board), [(2, "    Once upon\n".to_owned()), (3, "    Once again\n".to_owned())]);
    board.end();
}

#[test]
fn a_fan_out_gets_a_bounded_number_of_folders() {
    let mut lab = Lab::new();
    let workflow =
        "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nfor_each = \"range(300)\"\nwith.shell = \"true\"\n";
    let run = lab.run(Sketch { name: "wide", workflow, ..Sketch::default() });
    lab.ready(run, 0, "a");
    lab.expand(run, 0, "a", (0..300).map(serde_json::Value::from).collect());
    let mut changes = Changes::default();
    for index in 0..300 {
        let child = StepId::from("a").child(index);
        lab.start(run, 0, child.as_str());
        lab.metric(run, child.as_str(), 1, 1.0);
        lab.metric(run, child.as_str(), 2, 1.0);
        changes.changed(run, &child, 1);
    }
    let place = Place::of_state(lab.path());
    let mut mirror = Mirror::open(lab.path(), place.clone()).unwrap();
    mirror.apply(changes, Haste::Later).unwrap();
    let of_run = fs::read_dir(place.root())
        .unwrap()
        .find(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("wide-"));
    assert_eq!(fs::read_dir(of_run.unwrap().unwrap().path()).unwrap().count(), 200);
}

#[test]
fn the_mark_of_a_run_goes_with_its_end() {
    let mut board = Board::new(TRAINING);
    board.add(1, 1.0);
    board.apply(Haste::Later);
    let place = Place::of_state(board.lab.path());
    assert_eq!(place.open_runs(), [board.run]);
    // The last rows are committed, and the process dies before it writes them.
    board.add(2, 1.0);
    board.lab.commit(board.run, 3, [Event::Run(RunEvent::Canceled)]);
    board.die();
    assert_eq!((board.written().len(), place.open_runs()), (2, vec![]));
}

/// Whatever happens in whatever order, the files end up as the database.
#[test]
fn random_histories_end_equal() {
    for seed in 0..12 {
        let mut rng = Rng::new(seed);
        let is_program = rng.below(2) == 0;
        let mut board = Board::new(if is_program { PROGRAM } else { TRAINING });
        let mut next = 1;
        for _ in 0..rng.below(40) + 5 {
            match rng.below(9) {
                0 => board.die(),
                1 => {
                    board.restart();
                    let to = rng.below(next);
                    board.rewind(to);
                    next = to + 1;
                }
                2 if is_program => {
                    let step = rng.below(next) + 1;
                    board.line(step, "late", rng.uniform());
                    next = next.max(step + 1);
                }
                3 => {
                    if let Some(path) = board.files().pop() {
                        fs::remove_file(path).unwrap();
                    }
                }
                4 => {
                    if let Some(path) = board.files().pop() {
                        let mut bytes = fs::read(&path).unwrap();
                        bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize);
                        fs::write(path, bytes).unwrap();
                    }
                }
                5 | 6 => board.apply(Haste::Later),
                _ => {
                    for _ in 0..rng.below(6) {
                        let loss = rng.uniform();
                        if is_program {
                            board.line(next, "loss", loss)
                        } else {
                            board.add(next, loss)
                        }
                        next += 1;
                    }
                }
            }
        }
        board.changes.changed(board.run, &"a".into(), u64::MAX);
        board.changes.paused.insert((board.run, "a".into()));
        board.apply(Haste::Later);
        assert_eq!(board.written(), board.stored(), "seed {seed}");
    }
}
