//! The guard of a training, and phases that freeze layers, over kills of all processes.

use std::time::Duration;

use crate::harness::{Sandbox, kill_with_workers};

/// A guard so strict that the noise of two samples makes it skip steps, cut the rate and go back.
const WORKFLOW: &str = r#"
name = "guarded"

[[step]]
id = "import"
kind = "corpus.import"
with = { source = "builtin:grammar", documents = 120, seed = 1 }

[[step]]
id = "clean"
kind = "corpus.clean"
with = { documents = "{{ steps.import.outputs.documents }}", validation_fraction = 0.1 }

[[step]]
id = "tokenizer"
kind = "tokenizer.train"
with = { documents = "{{ steps.clean.outputs.train }}", vocab_size = 512 }

[[step]]
id = "tokenize"
kind = "tokenize"
with = { documents = "{{ steps.clean.outputs.train }}", shard = 0, tokenizer = "{{ steps.tokenizer.outputs.tokenizer }}" }

[[step]]
id = "train"
kind = "train"
retry = { maximum_attempts = 20, maximum_interval = "1s" }

[step.with]
tokens = ["{{ steps.tokenize.outputs.tokens }}"]
tokenizer = "{{ steps.tokenizer.outputs.tokenizer }}"
model = "tiny"
device = "flex"
context = 32
batch = 2
seed = 1
checkpoint_every = 10
keep_checkpoints = 1
guard = { z_score = 3.0, window = 12, patience = 1, cut = 0.9, rewinds = 1000 }
phases = [{ name = "a", steps = 300 }, { name = "b", steps = 300, freeze_layers = 1, context = 16 }]
"#;

#[test]
fn a_guarded_training_that_is_killed_decides_as_an_undisturbed_one() {
    let whole = Sandbox::new();
    whole.write("guarded.toml", WORKFLOW);
    whole.stepwell(&["run", "guarded.toml"]).ok();
    let killed = Sandbox::new();
    killed.write("guarded.toml", WORKFLOW);
    let mut engine = killed.start(&["run", "guarded.toml"]);
    for round in 0..6_u64 {
        std::thread::sleep(Duration::from_millis(400 + 130 * round));
        kill_with_workers(&mut engine);
        engine = killed.start(&["resume", "last"]);
    }
    engine.wait().unwrap();
    killed.stepwell(&["show", "last"]).ok();
    assert_eq!(whole.digests(), killed.digests());
    let metrics = "SELECT train_step || ' ' || loss || ' ' || learning_rate FROM metric ORDER BY train_step";
    assert_eq!(whole.query(metrics), killed.query(metrics));
    let told = whole.query("SELECT payload FROM event WHERE payload LIKE '%the guard %'").join("\n");
    for words in ["the guard skips", "the guard takes", "the guard goes back from"] {
        assert!(told.contains(words), "`{words}` is not in {told}");
    }
    assert_eq!(killed.query("SELECT count(*) > 1 FROM attempt WHERE step = 'train'"), ["1"], "it was killed");
}
