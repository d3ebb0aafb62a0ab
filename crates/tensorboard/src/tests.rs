use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::record::frame;

const TIME: f64 = 1_800_000_000.25;
/// Records that TensorBoard itself has written: `scripts/golden/make_tensorboard.py`.
const GOLDEN: &str = include_str!("../../../tests/fixtures/golden/tensorboard.txt");

fn row(train_step: u64) -> Row {
    row_of(train_step, &[("train/loss", train_step as f32 / 2.0)])
}

fn row_of(train_step: u64, values: &[(&str, f32)]) -> Row {
    Row { train_step, values: values.iter().map(|(tag, value)| ((*tag).to_owned(), *value)).collect(), texts: vec![] }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn steps(folder: &Folder) -> Vec<u64> {
    folder.rows().map(|row| row.unwrap().train_step).collect()
}

fn open(path: &Path) -> Folder {
    Folder::open(path, Heading::default()).unwrap()
}

fn append(folder: &mut Folder, steps: std::ops::RangeInclusive<u64>) {
    steps.for_each(|step| folder.append(TIME, &row(step)).unwrap());
}

/// The files in order, each as what its records are: `v`ersion, `S`tart with its step, or the step of a row.
fn records(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let file = |path| {
        let bytes = fs::read(path).unwrap();
        let (mut rest, mut shown) = (&bytes[..], Vec::new());
        while let Some(record) = record::next(&mut rest).unwrap() {
            let mut step = 0;
            let mut kind = "";
            for (number, field) in wire::fields(&record) {
                match (number, field) {
                    (2, wire::Field::Integer(value)) => step = value,
                    (3, _) => kind = "v",
                    (7, _) => kind = "S",
                    _ => {}
                }
            }
            shown.push(if kind == "v" { kind.to_owned() } else { format!("{kind}{step}") });
        }
        shown.join(" ")
    };
    names.into_iter().map(file).collect()
}

#[test]
fn records_are_those_of_tensorboard_itself() {
    let text = Text { tag: "samples/0".to_owned(), markdown: preformatted("a < b\ntäglich") };
    let records = [
        ("version", event::version(TIME)),
        ("start", event::session_start(TIME, 301)),
        (
            "row",
            event::row(
                TIME,
                &row_of(300, &[("train/loss", 2.5), ("grad_norm/layer.12", f32::NAN), ("train/learning_rate", 1e-3)]),
            ),
        ),
        ("first_row", event::row(TIME, &row_of(0, &[("train/loss", 0.0)]))),
        ("text", event::row(TIME, &Row { train_step: 7, values: vec![], texts: vec![text] })),
        ("session", event::session(TIME, "base", &[("learning_rate".to_owned(), Hyperparameter::Number(0.5))])),
    ];
    let lines: String = records.iter().map(|(name, data)| format!("{name} {}\n", hex(&frame(data)))).collect();
    assert_eq!(lines, GOLDEN);
}

#[test]
fn rows_are_read_back_as_they_were() {
    let dir = TempDir::new().unwrap();
    let heading = Heading {
        group: "base".to_owned(),
        parameters: vec![("text".to_owned(), Hyperparameter::Text("a.txt".to_owned()))],
    };
    let mut folder = Folder::open(&dir.path().join("base/train"), heading).unwrap();
    let text = Text { tag: "prompt 1".to_owned(), markdown: preformatted("x\ny") };
    let mixed = Row { texts: vec![text], ..row_of(3, &[("train/loss", 0.1), ("validation/loss", 0.2)]) };
    folder.append(TIME, &row(0)).unwrap();
    folder.append(TIME, &mixed).unwrap();
    let read: Vec<Row> = folder.rows().map(Result::unwrap).collect();
    assert_eq!(read, [row(0), mixed]);
    assert!(folder.append(TIME, &row(3)).is_err(), "never out of order");
    assert_eq!(records(&dir.path().join("base/train")), ["v 0 0 0 3"], "heading and rows");
}

#[test]
fn a_rewind_leaves_no_step_twice_and_tells_readers() {
    let dir = TempDir::new().unwrap();
    let mut folder = open(dir.path());
    append(&mut folder, 1..=9);
    folder.rewind(6).unwrap();
    assert_eq!((folder.last_step(), folder.is_intact()), (Some(5), true));
    append(&mut folder, 6..=8);
    // A second rewind, behind the first, in another process.
    let mut folder = open(dir.path());
    folder.rewind(4).unwrap();
    append(&mut folder, 4..=10);
    assert_eq!(records(dir.path()), ["v 1 2 3", "v S4 4 5 6 7 8 9 10"]);
    folder.rewind(11).unwrap();
    append(&mut folder, 11..=12);
    assert_eq!(steps(&folder), (1..=12).collect::<Vec<_>>());
    assert_eq!(records(dir.path()).last().unwrap(), "v S11 11 12");
    folder.rewind(0).unwrap();
    assert_eq!((steps(&folder), fs::read_dir(dir.path()).unwrap().count()), (vec![], 0));
}

#[test]
fn a_torn_tail_is_cut_at_every_byte() {
    let dir = TempDir::new().unwrap();
    let mut folder = open(dir.path());
    append(&mut folder, 1..=2);
    let path = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&path).unwrap();
    let record = frame(&event::row(TIME, &row(3)));
    for torn in 1..record.len() {
        let other = TempDir::new().unwrap();
        let path = other.path().join(path.file_name().unwrap());
        fs::write(&path, [&whole, &record[..torn]].concat()).unwrap();
        let mut folder = open(other.path());
        assert_eq!(folder.last_step(), Some(2), "{torn}");
        assert_eq!(fs::read(&path).unwrap(), whole, "{torn}");
        append(&mut folder, 3..=3);
        assert_eq!(records(other.path()), ["v 1 2", "v S3 3"], "{torn}");
    }
}

#[test]
fn damage_ends_the_rows_and_changes_are_noticed() {
    let dir = TempDir::new().unwrap();
    let mut folder = open(dir.path());
    append(&mut folder, 1..=5);
    assert!(folder.is_intact());
    let path = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, bytes).unwrap();
        let folder = open(dir.path());
        let found = steps(&folder);
        assert!(found.len() < 5 && found.iter().copied().eq(1..=found.len() as u64), "{at}: {found:?}");
    }
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"x").unwrap();
    assert!(!folder.is_intact(), "somebody else wrote");
    fs::remove_file(&path).unwrap();
    assert!(!folder.is_intact());
    assert_eq!(steps(&open(dir.path())), []);
}

#[test]
fn files_of_others_are_left_alone() {
    let dir = TempDir::new().unwrap();
    let other = dir.path().join("events.out.tfevents.1700000000.host.1.0");
    fs::write(&other, "x").unwrap();
    let mut folder = open(dir.path());
    append(&mut folder, 1..=1);
    folder.rewind(0).unwrap();
    assert_eq!(fs::read(&other).unwrap(), b"x");
}
