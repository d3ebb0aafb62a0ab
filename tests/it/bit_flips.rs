//! Flips single bits in every kind of file of a state directory. Each flip causes an error that names the file or
//! the digest, or is harmless: all acknowledged data is the same. None is silent.
//!
//! STEPWELL_BIT_FLIPS sets the number of flips, STEPWELL_BIT_FLIPS_SEED their places; `scripts/bit_flips.sh` sets both.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use stepwell_artifact::ArtifactStore;
use stepwell_base::protocol::MetricRow;
use stepwell_base::rng::Rng;
use stepwell_store::{Batch, EngineLock, MetricWrite, Reader, ReferenceHolder, Store, check};
use tempfile::TempDir;

use crate::harness::Sandbox;

const FLIPS: u64 = 300;

/// Commands with files, a folder, values and checkpoints; a fan-out; a failed attempt; no-op steps.
const FLOW: &str = r#"
name = "flow"
[params]
names = ["x", "y", "z"]
[[step]]
id = "tokens"
kind = "command"
with = { shell = "seq 1 20000 | head -c 65536 > \"$STEPWELL_OUTPUT_DIR/shard\"; mkdir \"$STEPWELL_OUTPUT_DIR/tree\"; echo a > \"$STEPWELL_OUTPUT_DIR/tree/a\"; echo b > \"$STEPWELL_OUTPUT_DIR/tree/b\"", outputs = { shard = "shard", tree = "tree" } }
[[step]]
id = "each"
kind = "command"
for_each = "params.names"
with = { shell = "echo \"$NAME\" > \"$STEPWELL_OUTPUT_DIR/out\"", env = { NAME = "{{ item }}" }, outputs = { out = "out" } }
[[step]]
id = "train"
kind = "command"
retry = { maximum_attempts = 2, initial_interval = "10ms" }
with = { shell = "cd \"$STEPWELL_CHECKPOINT_DIR\"; n=0; [ -f last/weights ] && read -r n < last/weights; while [ \"$n\" -lt 4 ]; do n=$((n + 1)); mkdir -p next; { echo \"$n\"; seq 1 500; } > next/weights; echo \"{\\\"last_step\\\": $n, \\\"loss\\\": 0.$n}\" > next.new; mv next.new next.ready; while [ -e next.ready ]; do sleep 0.005; done; [ \"$n\" != 2 ] || exit 1; done; echo '{\"loss\": 0.25}' > \"$STEPWELL_VALUES\"; cp \"$SHARD\" \"$STEPWELL_OUTPUT_DIR/model\"", env = { SHARD = "{{ steps.tokens.outputs.shard }}" }, outputs = { model = "model" } }
[[step]]
id = "gate"
kind = "noop"
with = { values = { ok = "{{ steps.train.values.loss < 1 }}" } }
"#;

/// A state directory of a killed engine: the newest commits are only in the WAL.
fn state() -> TempDir {
    let sandbox = Sandbox::new();
    sandbox.write("flow.toml", FLOW);
    sandbox.stepwell(&["run", "flow.toml", "--idempotency-key", "one"]).ok();
    sandbox.stepwell(&["run", "flow.toml", "--detach", "--name", "waiting"]).ok();
    let state = sandbox.state();
    let lock = EngineLock::acquire(&state).unwrap();
    let mut store = Store::open(&state).unwrap();
    store.begin_epoch(&lock).unwrap();
    let run = store.reader().runs().unwrap().readable.into_iter().find(|run| run.name == "flow-1").unwrap().id;
    let metric = |train_step: u64| MetricWrite {
        run,
        step: "train".into(),
        attempt: 2,
        row: MetricRow {
            train_step,
            loss: 1.0 / train_step as f64,
            z_loss: None,
            learning_rate: 1e-3,
            grad_norm: f64::NAN,
            tokens_so_far: train_step * 512,
            tokens_per_second: 1234.5,
            ..MetricRow::default()
        },
    };
    for first in [1, 101] {
        let metrics: Vec<MetricWrite> = (first..first + 100).map(metric).collect();
        store.commit(Batch { metrics: &metrics, ..Batch::default() }).unwrap();
        if first == 1 {
            // The open moves the first batch into the database; the second stays in the WAL.
            store = Store::open(&state).unwrap();
            store.begin_epoch(&lock).unwrap();
        }
    }
    sandbox.stepwell(&["run", "flow.toml", "--detach", "--name", "second"]).ok();
    let copy = tempfile::tempdir().unwrap();
    for entry in walkdir::WalkDir::new(&state).into_iter().map(Result::unwrap) {
        let target = copy.path().join(entry.path().strip_prefix(&state).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(target).unwrap();
        } else if entry.file_type().is_file() && !entry.path().ends_with("stepwell.db-shm") {
            fs::write(target, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
    copy
}

/// All acknowledged rows of all tables; excludes the end of a lease and the names of migrations.
fn acknowledged(state: &Path) -> rusqlite::Result<Vec<Vec<Vec<u8>>>> {
    let connection = Connection::open_with_flags(state.join("stepwell.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut names = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name <> 'refinery_schema_history'
         AND name NOT LIKE 'sqlite_%' ORDER BY name",
    )?;
    let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut all = Vec::new();
    for name in names {
        let mut statement = connection.prepare(&format!("SELECT * FROM {name}"))?;
        let leases = statement.column_names().position(|column| column == "lease_expires_at");
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let mut values = vec![name.clone().into_bytes()];
            for column in (0..columns).filter(|column| Some(*column) != leases) {
                values.push(match row.get_ref(column)?.data_type() {
                    rusqlite::types::Type::Text => row.get_ref(column)?.as_bytes()?.to_vec(),
                    _ => match row.get::<_, Value>(column)? {
                        Value::Real(number) => number.to_bits().to_le_bytes().to_vec(),
                        other => format!("{other:?}").into_bytes(),
                    },
                });
            }
            all.push(values);
        }
    }
    all.sort();
    Ok(all)
}

/// The first damage that a check of the database reports.
fn found_in_database(state: &Path) -> Option<String> {
    match check(state) {
        Err(error) => Some(error.to_string()),
        Ok(problems) => problems.first().map(|problem| problem.what.clone()),
    }
}

/// The first damage that a check of the artifacts reports.
fn found_in_artifacts(state: &Path) -> Option<String> {
    let (reader, store) = (Reader::open(state).unwrap(), ArtifactStore::open(state).unwrap());
    let references = reader.references(None).unwrap();
    references.iter().find_map(|reference| store.verify(&reference.artifact).err()).map(|error| error.to_string())
}

fn files(state: &Path) -> BTreeMap<&'static str, Vec<PathBuf>> {
    let (reader, store) = (Reader::open(state).unwrap(), ArtifactStore::open(state).unwrap());
    let mut files: BTreeMap<&'static str, Vec<PathBuf>> = BTreeMap::new();
    files.insert("database", vec![state.join("stepwell.db")]);
    files.insert("write-ahead log", vec![state.join("stepwell.db-wal")]);
    files.insert("event-head", vec![state.join("event-head")]);
    for reference in reader.references(None).unwrap() {
        for digest in store.blobs(&reference.artifact).unwrap() {
            let kind = match (&reference.holder, digest == reference.artifact.digest && reference.artifact.is_tree()) {
                (_, true) => "tree manifest",
                (ReferenceHolder::Checkpoint { .. }, _) => "checkpoint",
                (ReferenceHolder::Output(name), _) if name == "shard" => "token shard",
                _ => "other content",
            };
            files.entry(kind).or_default().push(store.blob_path(&digest));
        }
    }
    files
}

#[derive(Default)]
struct Tally {
    detected: u64,
    harmless: u64,
    silent: Vec<String>,
}

/// A state directory, with its content before any flip.
struct Victim {
    dir: TempDir,
    tables: Vec<(PathBuf, Vec<u8>)>,
    files: BTreeMap<&'static str, Vec<PathBuf>>,
    acknowledged: Vec<Vec<Vec<u8>>>,
}

impl Victim {
    fn new(dir: TempDir) -> Victim {
        let state = dir.path();
        assert_eq!(found_in_database(state), None);
        assert_eq!(found_in_artifacts(state), None);
        let (files, acknowledged) = (files(state), acknowledged(state).unwrap());
        let _ = fs::remove_file(state.join("stepwell.db-shm"));
        let tables = ["stepwell.db", "stepwell.db-wal", "event-head"].map(|name| state.join(name));
        let tables = tables.into_iter().filter_map(|path| fs::read(&path).ok().map(|bytes| (path, bytes))).collect();
        Victim { dir, tables, files, acknowledged }
    }

    fn flip(&self, kind: &str, rng: &mut Rng, tally: &mut Tally) {
        let (state, files) = (self.dir.path(), &self.files[kind]);
        let path = &files[rng.below(files.len() as u64) as usize];
        let intact = fs::read(path).unwrap();
        let bit = rng.below(intact.len() as u64 * 8);
        let mut flipped = intact.clone();
        flipped[(bit / 8) as usize] ^= 1 << (bit % 8);
        fs::write(path, &flipped).unwrap();
        let in_tables = self.tables.iter().any(|(table, _)| table == path);
        let found = if in_tables { found_in_database(state) } else { found_in_artifacts(state) };
        match found {
            Some(said) => {
                let digest = path.file_name().unwrap().to_str().unwrap();
                assert!(in_tables || said.contains(digest), "`{said}` does not name {digest}");
                tally.detected += 1;
            }
            None if in_tables && acknowledged(state).is_ok_and(|found| found == self.acknowledged) => {
                tally.harmless += 1;
            }
            None => tally.silent.push(format!("{} bit {bit}", path.display())),
        }
        fs::write(path, intact).unwrap();
        if in_tables {
            for leftover in ["stepwell.db-shm", "stepwell.db-wal"] {
                let _ = fs::remove_file(state.join(leftover));
            }
            for (path, bytes) in &self.tables {
                fs::write(path, bytes).unwrap();
            }
        }
    }
}

#[test]
fn no_flipped_bit_is_silent() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let flips = number("STEPWELL_BIT_FLIPS", FLIPS);
    let seed = number("STEPWELL_BIT_FLIPS_SEED", 1);
    let crashed = Victim::new(state());
    let stopped = state();
    // The open moves everything from the WAL into the database.
    drop(Store::open(stopped.path()).unwrap());
    let stopped = Victim::new(stopped);
    assert!(crashed.tables[1].1.len() > 50_000, "the WAL holds commits");
    assert!(stopped.tables.len() == 2 || stopped.tables[1].1.is_empty(), "there is no WAL");
    // Databases and logs are listed twice, to get more flips.
    let kinds = [
        ("database", &stopped),
        ("database", &stopped),
        ("database with a log", &crashed),
        ("write-ahead log", &crashed),
        ("write-ahead log", &crashed),
        ("event-head", &stopped),
        ("tree manifest", &stopped),
        ("checkpoint", &stopped),
        ("token shard", &stopped),
        ("other content", &stopped),
    ];
    let mut rng = Rng::new(seed);
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    for _ in 0..flips {
        let (label, victim) = kinds[rng.below(kinds.len() as u64) as usize];
        let kind = label.trim_end_matches(" with a log");
        victim.flip(kind, &mut rng, tallies.entry(label).or_default());
    }
    println!("{:20} {:>9} {:>9} {:>7}", "file", "detected", "harmless", "silent");
    for (label, tally) in &tallies {
        println!("{label:20} {:>9} {:>9} {:>7}", tally.detected, tally.harmless, tally.silent.len());
    }
    let silent: Vec<&String> = tallies.values().flat_map(|tally| &tally.silent).collect();
    assert!(silent.is_empty(), "seed {seed}: {silent:#?}");
}
