//! The first commands of a new user: own texts, own scripts, a first workflow, and wrong guesses.

use crate::harness::Sandbox;

/// Replaces the built-in workflow, which trains for minutes.
const PRETRAIN: &str = "name = \"pretrain\"\n[params]\ncorpus = \"\"\nsteps = 3\nlearning_rate = 0.1\nphases = []\n\
    [[step]]\nid = \"import\"\nkind = \"corpus.import\"\nwith.source = \"{{ params.corpus }}\"\n";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("workflows/pretrain.toml", PRETRAIN);
    sandbox.write("a.txt", "first");
    sandbox.write("b c.txt", "second");
    sandbox.write("more/d.txt", "third");
    sandbox
}

fn files(sandbox: &Sandbox) -> u64 {
    sandbox.show()["steps"][0]["values"]["files"].as_u64().unwrap()
}

#[test]
fn texts_of_any_number_are_trained_on() {
    let sandbox = sandbox();
    for (texts, count) in [
        (&["a.txt"][..], 1),
        (&["b c.txt"], 1),
        (&["more/"], 1),
        (&["*.txt"], 2),
        (&["a.txt", "b c.txt", "more"], 3),
        (&["a.txt", "more/*.txt"], 2),
    ] {
        sandbox.stepwell(&[&["start-training"], texts].concat()).ok();
        assert_eq!(files(&sandbox), count, "{texts:?}");
    }
    // As many as a shell makes of `books/*.txt`.
    let many: Vec<String> = (0..500).map(|index| format!("many/{index}.txt")).collect();
    many.iter().for_each(|name| drop(sandbox.write(name, "text")));
    let words: Vec<&str> = ["start-training"].into_iter().chain(many.iter().map(String::as_str)).collect();
    let run = sandbox.stepwell(&words).ok();
    assert!(run.stderr.len() + run.stdout.len() < 2000, "{}", run.stderr);
    assert_eq!(files(&sandbox), 500);
}

#[test]
fn what_is_no_text_is_refused_before_a_run_exists() {
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    sandbox.write("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0");
    sandbox.write("train.py", "print('x')\n");
    sandbox.write("conf.yaml", "a: 1\n");
    for (words, code, said) in [
        (&["nowhere.txt"][..], 6, &["there is no text or workflow `nowhere.txt`", "hint: "][..]),
        (&["a.text"], 6, &["did you mean `stepwell start-training a.txt`?"]),
        (&["empty"], 2, &["corpus folder empty has no file to import"]),
        (&["no/*.txt"], 2, &["glob no/*.txt matches no file"]),
        (&["picture.png"], 2, &["`picture.png` is a binary file"]),
        (
            &["train.py"],
            2,
            &["`train.py` is a script", "`stepwell workflow new --from train.py`", "-S corpus=train.py"],
        ),
        (&["conf.yaml"], 2, &["`conf.yaml` is a YAML file", "-S NAME=VALUE"]),
        (&["a.txt", "pretrain"], 2, &["`pretrain` is a workflow"]),
        (&["a.txt", "nowhere.txt"], 6, &["there is no text or workflow `nowhere.txt`"]),
        (&["lr=0.1"], 6, &["a param is set with `-S`: `-S lr=0.1`"]),
        (&["pretrain"], 2, &["no corpus was given", "`stepwell start-training PATH`"]),
    ] {
        let refused = sandbox.stepwell(&[&["start-training"], words].concat()).exits(code);
        assert!(refused.stderr.lines().count() <= 10, "{words:?}: {}", refused.stderr);
        refused.says(said);
    }
    assert!(!sandbox.state().exists(), "nothing was submitted");
}

#[test]
fn files_that_are_no_workflow_are_answered() {
    let sandbox = sandbox();
    for (name, content) in [
        ("train.py", &b"print(1)\n"[..]),
        ("train.sh", b"echo\n"),
        ("c.yaml", b"a: 1\n"),
        ("c.json", b"{}"),
        ("c.bin", b"\0\x01\x02"),
        ("c.ipynb", b"{}"),
        ("flows/w.toml", b"name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"noop\"\n"),
        ("mine.toml", b"name = \"mine\"\n[[step]]\nid = \"a\"\nkind = \"noop\"\n"),
    ] {
        sandbox.write(name, content);
    }
    for (word, code, said) in [
        ("train.py", 2, "`stepwell workflow new --from train.py` writes a workflow that runs it"),
        ("train.sh", 2, "`stepwell workflow new --from train.sh` writes a workflow that runs it"),
        ("c.yaml", 2, "workflows are TOML files"),
        ("c.json", 2, "`stepwell start-training c.json` trains"),
        ("c.bin", 2, "and no text either"),
        ("c.ipynb", 2, "nbconvert"),
        ("more", 2, "`stepwell start-training more` trains a model on the texts in it"),
        ("flows", 2, "`stepwell run flows/w.toml` runs the workflow in it"),
        ("a.txt", 2, "`stepwell start-training a.txt` trains a model on its text"),
        ("mine", 6, "did you mean `stepwell run mine.toml`?"),
        ("mien.toml", 6, "did you mean `stepwell run mine.toml`?"),
        ("pretrian", 6, "did you mean `stepwell run pretrain`?"),
        ("train", 6, "`stepwell workflow new --from train.py` writes"),
        ("nothing.toml", 6, "`stepwell workflow list` names those"),
    ] {
        let refused = sandbox.stepwell(&["run", word]).exits(code);
        assert!(refused.stderr.lines().count() <= 3, "{word}: {}", refused.stderr);
        refused.says(&[said]);
    }
}

#[test]
fn wrong_guesses_at_params_are_answered() {
    let sandbox = sandbox();
    for (words, said) in [
        (&["run", "pretrain", "--epochs", "3"][..], "there are no epochs"),
        (&["run", "pretrain", "--lernrate", "3"], "there is no `lernrate` either"),
        (
            &["run", "pretrain", "-S", "learning_rate=0.004,0.008"],
            "`stepwell run -S learning_rate=0.004 workflows/pretrain.toml`, then \
             `stepwell run -S learning_rate=0.008 workflows/pretrain.toml`",
        ),
        (&["run", "pretrain", "-S", "phases.main.steps=9"], "did you mean -S steps=9?"),
        (
            &["run", "pretrain", "-S", "steps=9", "-S", "phases=[{name=\"a\",steps=3}]"],
            "`steps` is 9, but the `phases` have 3 steps",
        ),
        (&["run", "commands", "-S", "corpus=a.txt"], "`stepwell start-training a.txt`"),
        (&["run", "commands", "--data", "a.txt"], "`stepwell start-training a.txt`"),
        (&["start-training", "--phase", "main", "a.txt"], "trains in one phase of `steps` steps"),
    ] {
        let refused = sandbox.stepwell(words).exits(2);
        assert!(refused.stderr.lines().count() <= 6, "{words:?}: {}", refused.stderr);
        refused.says(&[said]);
    }
    let json = sandbox.stepwell(&["run", "commands", "--data", "a.txt", "--output", "json"]).exits(2);
    let error: serde_json::Value = serde_json::from_str(json.stderr.trim()).unwrap();
    assert!(error["error"]["hint"].as_str().unwrap().contains("`stepwell start-training"), "{error}");
}

#[test]
fn params_work_as_flags_and_by_their_usual_names() {
    let sandbox = sandbox();
    let param = |sandbox: &Sandbox, name: &str| sandbox.show()["params"][name].clone();
    for (words, said) in [
        (&["start-training", "a.txt", "--lr", "0.5"][..], "note: --lr 0.5 is taken as `-S learning_rate=0.5`"),
        (&["run", "pretrain", "-S", "corpus=a.txt", "--learning-rate=0.5"], "`-S learning_rate=0.5`"),
        (&["run", "pretrain", "-S", "corpus=a.txt", "-S", "lr=0.5"], "`-S lr=0.5` is taken as `-S learning_rate=0.5`"),
        (&["rerun", "last", "--lr", "0.5"], "note: --lr 0.5 is taken as `-S learning_rate=0.5`"),
    ] {
        sandbox.stepwell(words).ok().says(&[said]);
        assert_eq!(param(&sandbox, "learning_rate"), 0.5, "{words:?}");
    }
    let both = sandbox.stepwell(&["start-training", "--max_iters", "7", "--lr", "0.25", "a.txt"]).ok();
    assert_eq!(both.stderr.matches("is taken as").count(), 2, "{}", both.stderr);
    assert_eq!((param(&sandbox, "steps"), param(&sandbox, "learning_rate")), (7.into(), 0.25.into()));
    let runs = sandbox.query_count("run");
    sandbox.stepwell(&["run", "pretrain", "--steps", "many"]).exits(2).says(&["must be"]);
    sandbox.stepwell(&["run", "pretrain", "--steps"]).exits(2);
    sandbox.stepwell(&["run", "commands", "--learning_rate", "3"]).exits(2);
    assert_eq!(sandbox.query_count("run"), runs);
}

#[test]
fn a_new_workflow_is_valid_runs_as_it_is_and_overwrites_nothing() {
    let sandbox = Sandbox::new();
    let said = sandbox.stepwell(&["workflow", "new"]).ok().stdout;
    assert_eq!(said, "wrote workflow.toml: `stepwell run workflow.toml` runs it\n");
    sandbox.stepwell(&["workflow", "validate", "workflow.toml"]).ok();
    sandbox.stepwell(&["run", "workflow.toml", "-S", "lines=10"]).ok();
    assert_eq!(sandbox.stepwell(&["artifact", "show", "add/sum"]).ok().stdout.lines().last(), Some("55"));
    sandbox.stepwell(&["workflow", "new"]).exits(2).says(&["`workflow.toml` exists already", "name another file"]);
    sandbox.stepwell(&["workflow", "new", "flow.txt"]).exits(2).says(&["ends in `.toml`", "name it `flow.toml`"]);
    sandbox.stepwell(&["workflow", "new", "no/flow.toml"]).exits(1).says(&["cannot write `no/flow.toml`"]);
}

#[test]
fn a_workflow_for_a_script_runs_it() {
    let sandbox = Sandbox::new();
    sandbox.write("train.py", "print('from Python')\n");
    sandbox.write("scripts/say it.sh", "echo from a shell\n");
    sandbox.write("save.py", "import os\nopen('model.pt', 'w').write('7')\nopen('last.tmp', 'w').write('x')\nos.replace('last.tmp', 'last.pt')\n");
    sandbox.write("tool", "#!/bin/sh\necho from a program\n");
    std::fs::set_permissions(sandbox.path("tool"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for (words, file, said) in [
        (&["--from", "train.py"][..], "train.toml", "from Python"),
        (&["--from", "scripts/say it.sh", "shell.toml"], "shell.toml", "from a shell"),
        (&["--from", "tool"], "tool.toml", "from a program"),
        (&["--from", "train.py", "scripts/elsewhere.toml"], "scripts/elsewhere.toml", "from Python"),
    ] {
        sandbox.stepwell(&[&["workflow", "new"], words].concat()).ok();
        sandbox.stepwell(&["workflow", "validate", file]).ok();
        sandbox.stepwell(&["run", file]).ok();
        let log = sandbox.stepwell(&["logs", "last"]).ok().stdout;
        assert!(log.contains(said), "{file}: {log}");
    }
    sandbox.stepwell(&["workflow", "new", "--from", "save.py"]).ok();
    let quiet = sandbox.stepwell(&["run", "save.toml"]).ok();
    assert!(!quiet.stderr.contains("no `outputs` names"), "{}", quiet.stderr);
    assert!(sandbox.stepwell(&["artifact", "show", "save/save/model"]).ok().stdout.ends_with("\n7\n"));
    sandbox.stepwell(&["artifact", "show", "save/save/last"]).ok();
    sandbox.stepwell(&["run", "python3", "save.py"]).exits(2).says(&["`stepwell workflow new --from save.py`"]);
    sandbox.stepwell(&["workflow", "new", "--from", "no.py"]).exits(6).says(&["the script `no.py` does not exist"]);
    sandbox.stepwell(&["workflow", "new", "train.py"]).exits(2).says(&["`stepwell workflow new --from train.py`"]);
}
