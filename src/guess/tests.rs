//! Every wrong guess has an answer that works.

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

use super::flag_table::answers as flag_answers;
use super::in_full;
use super::shorthand::table as shorthand_table;
use super::verbs::table as verb_table;
use crate::command_line::{Cli, answer};
use crate::tests::lab::{Lab, Sketch};
use serde_json::json;
use stepwell_base::artifact::Outputs;
use stepwell_base::ids::Fence;
use stepwell_run::event::StepEventKind;

fn words(text: &str) -> Vec<OsString> {
    std::iter::once("stepwell").chain(text.split(' ')).map(OsString::from).collect()
}

/// The answer to a command line that does not parse.
fn answered(line: &str) -> String {
    let words = in_full(&Cli::command(), words(line));
    let error = Cli::try_parse_from(&words).map(|cli| format!("{cli:?}")).expect_err(line);
    answer(&error, &words).unwrap_or_default()
}

/// The command that is run.
fn full(line: &str) -> String {
    let words = in_full(&Cli::command(), words(line));
    words.iter().skip(1).map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn words_that_are_no_verbs_are_answered_with_verbs() {
    for (word, answer) in verb_table() {
        assert_eq!(answered(word), answer, "{word}");
        let commands = commands(answer).count() + usize::from(answer.contains("`cargo install"));
        assert!(commands > 0 || answer.contains("settings") || answer.contains("outputs"), "{word}: {answer}");
    }
    let pinned = [
        ("launch", "`stepwell run FILE`"),
        ("server", "`stepwell serve`"),
        ("suspend", "`stepwell pause RUN`"),
        ("clean", "`stepwell gc`"),
        ("get", "`stepwell show RUN`"),
        ("wandb", "`tensorboard --logdir state/tensorboard`"),
        ("export-metrics", "`stepwell metrics RUN --csv`"),
        ("files", "`stepwell artifact ls RUN`"),
        ("dag", "`stepwell workflow graph FILE`"),
        ("graph", "`stepwell workflow graph FILE`"),
        ("branch", "`stepwell fork RUN --at STEP`"),
        ("sweep", "`for_each` in a workflow"),
        ("cron", "`stepwell schedule add NAME --cron CRON FILE`"),
        ("restore", "`stepwell db restore FOLDER`"),
        #[cfg(feature = "train")]
        ("presets", "`stepwell model describe quickstart`"),
        ("reject", "`stepwell approve RUN STEP`"),
        ("login", "`stepwell token code`"),
        ("fit", "`stepwell start-training"),
        ("remove", "`stepwell rm RUN`"),
        ("tags", "`stepwell tag RUN TAG`"),
        ("notes", "`stepwell note RUN TEXT`"),
        ("stop", "`stepwell cancel RUN`"),
        ("kill", "`stepwell cancel RUN`"),
        ("init", "`stepwell workflow new`"),
        ("du", "`stepwell gc --dry-run --keep-runs 0`"),
        ("fsck", "`stepwell db check`"),
        ("lineage", "`stepwell artifact provenance RUN/STEP/NAME`"),
        ("rename", "`stepwell note RUN TEXT`"),
        ("top", "`stepwell watch RUN`"),
        ("best", "`stepwell list --sort STEP.VALUE`"),
        ("cat", "`stepwell logs RUN STEP`"),
        ("check", "`stepwell workflow validate FILE`"),
        ("approvals", "`stepwell approve`"),
        ("upgrade", "`cargo install"),
        ("secrets", "`[secrets]`"),
        ("send", "`stepwell signal RUN NAME`"),
        ("notify", "`[notify]`"),
        ("events", "`stepwell watch RUN`"),
        ("slots", "`stepwell doctor`"),
        #[cfg(feature = "train")]
        ("predict", "`stepwell generate"),
        #[cfg(not(feature = "train"))]
        ("predict", "`stepwell chat --model MODEL`"),
        ("import", "`stepwell model import PATH`"),
        ("model export", "`stepwell artifact get"),
        ("model rm", "`stepwell rm RUN`"),
        ("debug", "`stepwell explain RUN`"),
        ("export", "`stepwell artifact get"),
        ("eval", "`stepwell show RUN`"),
        ("continue", "`stepwell resume RUN`"),
        ("workflow template", "`stepwell workflow new`"),
        ("workflow rm", "`stepwell rm RUN`"),
        ("artifact open", "`stepwell artifact show RUN/STEP/NAME`"),
        ("artifact rm", "`stepwell rm RUN`"),
        ("artifact put", "`outputs`"),
        ("schedule start", "`stepwell run FILE`"),
        ("schedule cancel", "`stepwell schedule remove NAME`"),
        ("schedule edit", "`stepwell schedule remove NAME`"),
        ("model ls", "`stepwell chat --model RUN`"),
        ("config set", "`stepwell.toml`"),
        ("db load", "`stepwell db restore FOLDER`"),
        ("db repair", "`stepwell db check`"),
        ("db migrate", "`stepwell db backup FOLDER`"),
        ("db vacuum", "`stepwell gc`"),
        ("reset", "`rm -r state`"),
        ("db drop", "`rm -r state`"),
        ("worker status", "`stepwell doctor`"),
        ("worker stop", "`kill`"),
        ("plan", "`stepwell workflow validate FILE`"),
        ("crontab", "`stepwell schedule list`"),
    ];
    for (word, verb) in pinned {
        assert!(answered(word).contains(verb), "{word}: {}", answered(word));
    }
    // A wrong answer may be a command that parses.
    for (word, answer) in verb_table() {
        let is_pinned = pinned.iter().any(|(known, _)| answered(known) == answer);
        assert!(is_pinned, "no test says what `{word}` means");
    }
    for alias in ["status", "ls", "delete last", "prune"] {
        assert!(Cli::try_parse_from(words(alias)).is_ok(), "{alias} is another name of a verb");
    }
    assert_eq!(answered("xyzzy"), "", "clap lists the verbs");
}

#[test]
fn words_that_can_mean_only_one_thing_work() {
    for (line, expected) in [
        ("unkeep base", "keep --undo base"),
        ("pin base", "keep base"),
        ("annotate base wide", "note base wide"),
        ("label base best", "tag base best"),
        ("schedules", "schedule list"),
        ("workflows", "workflow list"),
        ("tokens", "token list"),
        ("artifacts base", "artifact ls base"),
        ("provenance base/a/b", "artifact provenance base/a/b"),
        ("backup x --artifacts", "db backup x --artifacts"),
        ("system prune", "gc --dry-run"),
        ("lint w.toml", "workflow validate w.toml"),
        ("submit w.toml -S a=1", "run --detach w.toml -S a=1"),
        ("ps -a", "list -a"),
        ("get runs", "list"),
        ("train notes.txt --name x", "start-training notes.txt --name x"),
        ("dry-run w.toml", "workflow validate w.toml"),
        ("completion bash", "completions bash"),
        ("batch run a.jsonl -m m -o out", "batch a.jsonl -m m -o out"),
        ("batch ls", "list --workflow batch"),
        ("runs ls", "list"),
        ("run list", "list"),
        ("--state-dir x inspect base", "--state-dir x show base"),
        ("-q log base", "-q logs base"),
        ("tail base train", "logs --follow base train"),
        ("follow base", "watch base"),
        ("watch --run base", "watch base"),
        ("watch --run=base", "watch base"),
        ("show --run base", "show --run base"),
        ("cron list", "schedule list"),
        ("checkpoint ls base", "checkpoints base"),
        ("plot base", "metrics base"),
        ("metrics show base", "metrics base"),
        ("diff a b", "compare a b"),
        ("ckpts base", "checkpoints base"),
        ("why base train", "explain base train"),
        ("settings", "config show --origin"),
        ("version", "--version"),
        ("gpus", "doctor"),
        ("scancel base", "cancel base"),
        ("srun w.toml", "run w.toml"),
        ("artifact list base", "artifact ls base"),
        ("artifact cat base/a/b", "artifact show base/a/b"),
        ("artifact cp base/a/b c", "artifact get base/a/b c"),
        ("schedule new s --cron x commands", "schedule add s --cron x commands"),
        ("schedule rm s", "schedule remove s"),
        ("schedule disable s", "schedule pause s"),
        ("schedule enable s", "schedule resume s"),
        ("token new ci", "token create ci"),
        ("token rm ci", "token revoke ci"),
        ("token ls", "token list"),
        ("workflow ls", "workflow list"),
        ("workflow init", "workflow new"),
        ("workflow start commands", "run commands"),
        ("workflow submit commands", "run --detach commands"),
        ("workflow lint commands", "workflow validate commands"),
        ("workflow cat commands", "workflow show --source commands"),
        ("workflow params commands", "workflow show commands"),
        ("workflow dag commands", "workflow graph commands"),
        ("config list", "config show"),
        ("db verify", "db check"),
        ("db dump x", "db backup x"),
        ("graph commands", "workflow graph commands"),
        ("dag commands", "workflow graph commands"),
        ("graph base", "graph base"),
        ("list --json", "list --output=json"),
        ("metrics --json", "metrics --json"),
        ("list -o json", "list --output json"),
        ("list -ojson", "list --output=json"),
        ("report base -o x.html", "report base -o x.html"),
        ("show --no-color", "show --color=never"),
        ("pause r --reason --json", "pause r --reason --json"),
        ("note last -o", "note last -o"),
        ("run commands -- --json", "run commands -- --json"),
    ] {
        assert_eq!(full(line), expected, "{line}");
        if !["graph base", "version", "run commands -- --json", "show --run base"].contains(&line) {
            let words = in_full(&Cli::command(), words(line));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }
    let root = Cli::command();
    for (word, replacement) in shorthand_table() {
        let mut below = word.split(' ').try_fold(&root, |command, word| command.find_subcommand(word));
        assert!(below.take().is_none(), "`{word}` is a verb");
        let mut command = &root;
        for word in replacement.iter().take_while(|word| !word.starts_with('-')) {
            command = command.find_subcommand(word).unwrap_or_else(|| panic!("{word} of {replacement:?}"));
        }
    }
}

#[test]
fn other_names_of_flags_work() {
    for line in [
        "list --limit 3",
        "list --state failed",
        "list -a",
        "list --full",
        "list --format json",
        "list --sort-by name -r",
        "list --kept",
        "list --column lr",
        "logs base --lines 3",
        "logs base -n 3",
        "logs base train --attempt 2",
        "metrics base --key loss",
        "metrics base -f",
        "metrics base -n 3",
        "serve --port 8000",
        "serve -p 8000",
        "serve --bind 0.0.0.0:80 --cert a --key b",
        "serve --listen :8000",
        "run commands --key k --label a",
        "approve base --yes",
        "approve base -y",
        "approve base --deny -m no",
        "approve",
        "fork base --checkpoint 120",
        "fork base --step train",
        "rerun base",
        "rerun base --from train",
        "compare base",
        "tag base -d x",
        "keep base --off",
        "rm base -n",
        "db backup x --full",
        "artifact get base/a/b -o c",
        "artifact get base/a/b --dest c",
        "schedule add s --cron x --tz UTC commands",
        "token create ci --role run --ttl 3d",
    ] {
        let words = in_full(&Cli::command(), words(line));
        assert!(Cli::try_parse_from(words).is_ok(), "{line}");
    }
    assert!(Cli::try_parse_from(words("approve base --yes --reject")).is_err());
    assert!(Cli::try_parse_from(words("serve --port 1 --listen 127.0.0.1:2")).is_err());
}

#[test]
fn no_answer_hides_a_verb_and_every_command_in_one_parses() {
    let root = Cli::command();
    for (words, answer) in verb_table() {
        let below = words.split(' ').try_fold(&root, |command, word| command.find_subcommand(word));
        assert!(below.is_none(), "`{words}` is a verb");
        for command in commands(answer) {
            assert!(parses(command), "{words}: `stepwell {command}`");
        }
    }
}

fn parses(command: &str) -> bool {
    let number = |word: &str| if word == "N" { "1".to_owned() } else { word.to_owned() };
    let line: Vec<String> = shlex(command).iter().map(|word| number(word)).collect();
    Cli::try_parse_from(&line).is_ok() || command == "--version"
}

/// The commands in an answer, up to what a shell would do with them.
fn commands(answer: &str) -> impl Iterator<Item = &str> {
    let parts = answer.split('`').filter_map(|part| part.strip_prefix("stepwell "));
    parts.map(|command| command.split(" | ").next().unwrap_or(command).split(" > ").next().unwrap_or(command))
}

#[test]
fn every_command_in_an_answer_about_flags_parses() {
    for answer in flag_answers() {
        for command in commands(answer).filter(|command| !command.starts_with("workflow show NAME")) {
            assert!(parses(command), "`stepwell {command}`");
        }
    }
}

#[test]
fn a_word_too_many_is_answered_with_the_command_that_was_meant() {
    for (line, expected) in [
        ("fork base train:100", "`--at` says where: `stepwell fork base --at train:100`"),
        ("fork base 100 -S lr=1", "`--at` says where: `stepwell fork base --at 100`"),
        ("rerun base train", "`--from-step` says where: `stepwell rerun base --from-step train`"),
        ("artifact get last best model", "RUN/STEP/NAME is one word: `stepwell artifact get last/best/model`"),
        ("artifact get last best.model out", "RUN/STEP/NAME is one word: `stepwell artifact get last/best.model out`"),
        ("artifact get last best model out", "RUN/STEP/NAME is one word: `stepwell artifact get last/best/model out`"),
        (
            "artifact show last best.outputs.model",
            "RUN/STEP/NAME is one word: `stepwell artifact show last/best.outputs.model`",
        ),
        ("cancel a b", "one run at a time: `stepwell cancel a`, `stepwell cancel b`"),
        ("note last good_run wide", "put the text into quotes: `stepwell note last 'good_run wide'`"),
        ("logs base train eval", "one step at a time: `stepwell logs base train`, `stepwell logs base eval`"),
        ("fork first@120", "`--at` says where: `stepwell fork first --at 120`"),
        ("fork first:train:120 -S lr=1", "`--at` says where: `stepwell fork first --at train:120 -S lr=1`"),
        ("fork first/train:120", "`--at` says where: `stepwell fork first --at train:120`"),
    ] {
        assert_eq!(answered(line), expected, "{line}");
        assert!(commands(expected).all(parses), "{expected}");
    }
}

#[test]
fn a_cron_expression_without_its_flag_is_answered() {
    for words in [
        ["schedule", "add", "nightly", "0 3 * * *", "pretrain"].as_slice(),
        &["schedule", "add", "nightly", "pretrain", "0 3 * * *"],
        &["schedule", "add", "0 3 * * *", "nightly", "pretrain"],
    ] {
        let words: Vec<OsString> = std::iter::once(&"stepwell").chain(words).map(OsString::from).collect();
        let answer = answer(&Cli::try_parse_from(&words).unwrap_err(), &words);
        let expected = "`--cron` says when: `stepwell schedule add nightly --cron '0 3 * * *' pretrain`";
        assert_eq!(answer.as_deref(), Some(expected));
        assert!(commands(expected).all(parses));
    }
    for words in
        [["schedule", "add", "0 3 * * *", "w/nightly.toml"].as_slice(), &["schedule", "w/nightly.toml", "0 3 * * *"]]
    {
        let words: Vec<OsString> = std::iter::once(&"stepwell").chain(words).map(OsString::from).collect();
        let answer = answer(&Cli::try_parse_from(&words).unwrap_err(), &words);
        let expected = "`--cron` says when: `stepwell schedule add nightly --cron '0 3 * * *' w/nightly.toml`";
        assert_eq!(answer.as_deref(), Some(expected));
    }
    let words: Vec<OsString> =
        ["stepwell", "schedule", "add", "nightly", "*/5 * * * MON-FRI"].map(OsString::from).into();
    let answer = answer(&Cli::try_parse_from(&words).unwrap_err(), &words);
    let expected = "`--cron` says when: `stepwell schedule add nightly --cron '*/5 * * * MON-FRI' WORKFLOW`";
    assert_eq!(answer.as_deref(), Some(expected));
    assert_eq!(answered("schedule add nightly pretrain"), "");
}

#[test]
fn a_form_that_does_not_exist_is_answered() {
    for (line, expected) in [
        ("metrics --output csv", "`--csv` prints CSV: `stepwell metrics --csv`"),
        ("metrics base wide --output=csv", "`--csv` prints CSV: `stepwell metrics base wide --csv`"),
        ("show base --output yaml", "`--output json` is the form for scripts"),
        ("show base --output text", "`--output human` is text for people, and the default"),
        ("list --output runs.txt", "`--output` is the form of what is printed; write it to a file with `> FILE`"),
    ] {
        assert_eq!(answered(line), expected, "{line}");
        assert!(commands(expected).all(parses), "{expected}");
    }
    assert!(answered("list --output csv").contains("`stepwell metrics RUN --csv`"));
    assert_eq!(answered("list --output jsno"), "", "clap names the forms");
}

#[test]
fn flags_of_one_verb_are_answered_there() {
    for (line, part) in [
        ("rm --all", "`stepwell gc --keep-runs 0 --dry-run`"),
        ("rm -rf x", "`stepwell rm RUN` asks nothing"),
        ("cancel --all", "`stepwell cancel RUN`"),
        ("metrics --wandb", "`stepwell metrics RUN --csv`"),
        ("schedule add s --every 1h pretrain", "`--cron '0 3 * * *'`"),
        ("compare a b --plot", "`stepwell metrics RUN RUN`"),
        ("metrics --smooth 0.9", "`stepwell metrics RUN --csv`"),
        ("metrics --log", "`stepwell metrics RUN --csv`"),
        ("list --columns loss", "`-S PARAM`"),
        ("list --filter status=failed", "`stepwell list --status failed`"),
        ("list --filter=tag=best", "`stepwell list --tag best`"),
        ("list --filter x", "`--kept`"),
        ("rm base --keep-checkpoints", "`stepwell artifact get RUN/STEP/NAME FILE`"),
        ("show --full", "`stepwell show RUN --all`"),
        ("show --run base", "name the run without a flag: `stepwell show base`"),
        ("logs base --step train", "the step is the second word: `stepwell logs base train`"),
        ("logs base --step=train", "`stepwell logs base train`"),
        ("retry base --step train", "`stepwell retry base train`"),
        ("resume base -S lr=0.1", "`stepwell fork base --at STEP -S lr=0.1`"),
        ("worker --once", "`--exit-when-idle`"),
        ("cancel base --force", "SIGTERM"),
        ("gc --older-than 30d", "`--keep-days 30`"),
        ("gc --keep-tagged", "`--keep-best N`"),
        ("resume --all", "`stepwell worker`"),
        ("show --last", "`stepwell show last`"),
        ("watch --interval 5", "`stepwell watch RUN"),
        ("batch --input a.jsonl", "`stepwell batch FILE"),
        ("model import --path ./m", "`stepwell model import PATH`"),
        ("compare a b --metric loss", "`stepwell list --sort STEP.VALUE`"),
        ("run commands --cores 4", "`STEPWELL_SLOTS=4`"),
        ("run commands --gpus 2", "`resources = { gpu = 1 }`"),
        ("run commands --env A=1", "`with = { env = "),
        ("serve --host 0.0.0.0", "`--listen ADDRESS:PORT`"),
        ("config show --all", "`--origin`"),
    ] {
        assert!(answered(line).contains(part), "{line}: {:?}", answered(line));
    }
}

/// Splits a command at spaces outside single quotes.
fn shlex(command: &str) -> Vec<String> {
    let mut line = vec!["stepwell".to_owned()];
    for (index, part) in command.split('\'').enumerate() {
        match index % 2 {
            0 => line.extend(part.split_whitespace().map(str::to_owned)),
            _ => line.push(part.to_owned()),
        }
    }
    line
}

#[cfg(feature = "train")]
#[test]
fn flags_that_are_params_are_answered_with_the_option() {
    let set = "a param is set with `-S`: ";
    for (line, expected) in [
        ("start-training --lr 0.01", format!("{set}`-S learning_rate=0.01`")),
        ("start-training --learning-rate=0.01", format!("{set}`-S learning_rate=0.01`")),
        ("run quickstart --steps 300", format!("{set}`-S steps=300`")),
        ("run quickstart --max-steps 300 --lr 1e-3", format!("{set}`-S steps=300 -S learning_rate=1e-3`")),
        ("run pretrain --batch-size 8", format!("{set}`-S batch=8`")),
        ("run pretrain --data books/", format!("{set}`-S corpus=books/`")),
        ("start-training --seed 3", format!("{set}`-S seed=3`")),
        ("start-training --model small", format!("{set}`-S model=small`")),
        ("start-training --device cuda", format!("{set}`-S device=cuda`")),
        ("start-training --gpu", format!("{set}`-S device=cuda`")),
        ("start-training --gpu 0", format!("{set}`-S device=cuda`")),
        ("start-training --bf16", format!("{set}`-S precision=bf16`")),
        ("start-training --weight-decay -0.1 pretrain", format!("{set}`-S weight_decay=-0.1`")),
        ("fork last --at train --lr 0.1", format!("{set}`-S learning_rate=0.1`")),
        ("schedule add s --cron x pretrain --context 64", format!("{set}`-S context=64`")),
        (
            "run pretrain --epochs 3",
            format!("there are no epochs, `steps` counts optimizer steps; {set}`-S steps=VALUE`"),
        ),
        (
            "run quickstart --n-layer 12",
            format!(
                "a preset sets the shape of the model: `stepwell model describe small` prints one; {set}`-S model=VALUE`"
            ),
        ),
        (
            "start-training --corpus a.txt",
            "`stepwell start-training a.txt` trains on it with the workflow `pretrain`".to_owned(),
        ),
        (
            "start-training pretrain --corpus a.txt",
            "name the text without a flag: `stepwell start-training a.txt`".to_owned(),
        ),
        (
            "run quickstart --weight-decay 0.1",
            "workflow `pretrain` has the param `weight_decay`: `stepwell run pretrain -S weight_decay=0.1`".to_owned(),
        ),
        ("run quickstart lr=0.1", format!("{set}`-S lr=0.1`")),
        ("run quickstart -S lr 0.1", "write the value behind `=`: `-S lr=0.1`".to_owned()),
        ("run quickstart -S lr:0.1", "write the value behind `=`: `-S lr=0.1`".to_owned()),
        ("start-training -lr 0.1", format!("{set}`-S learning_rate=0.1`")),
        (
            "run commands --quux=3",
            "params are set with `-S`, but there is no `quux` either: known params: `lines`".to_owned(),
        ),
        ("quickstart", "`stepwell run quickstart` runs this workflow".to_owned()),
        ("README.md", "`stepwell start-training README.md` trains a model on it".to_owned()),
        (
            "examples/train_by_hand.py",
            "`stepwell workflow new --from examples/train_by_hand.py` writes a workflow that runs it".to_owned(),
        ),
    ] {
        assert_eq!(answered(line), expected, "{line}");
    }
}

#[test]
fn other_flags_are_answered_where_the_answer_helps() {
    for (line, part) in [
        ("start-training --output-dir out", "`--state-dir DIR`"),
        ("run commands --background", "`--detach`"),
        ("run commands --dry-run", "`stepwell workflow validate FILE`"),
        ("run commands --force", "`--no-reuse`"),
        ("run commands --params a=1", "`--set NAME=VALUE`"),
        ("run commands -j 4", "`STEPWELL_SLOTS=4`"),
        ("run commands -f x.toml", "`stepwell run FILE`"),
        ("run commands -v", "`--logs`"),
        ("run commands -P a=1", "`--set NAME=VALUE`"),
        ("run --config x.toml", "`stepwell run FILE`"),
        ("start-training --resume", "`stepwell resume RUN`"),
        ("run commands --run-name x", "`--name NAME`"),
        ("run commands --jobs 4", "`slots`"),
    ] {
        assert!(answered(line).contains(part), "{line}: {:?}", answered(line));
    }
    for line in ["resume --force-it", "list --force", "run commands --nmae x", "show --lr 3", "gc --xyz"] {
        assert_eq!(answered(line), "", "{line}: clap's own message is better");
    }
}

const FAN_OUT: &str = r#"
name = "w"
[params]
lr = 0.1
[[step]]
id = "train"
kind = "command"
for_each = "[{ 'seed': 3 }, { 'seed': 4 }]"
with = { argv = ["train", "{{ params.lr }}"], outputs = { model = "m" } }
[[step]]
id = "export"
kind = "command"
with = { argv = ["export"], outputs = { model = "m" } }
"#;

#[test]
fn answers_name_what_the_run_has() {
    let mut lab = Lab::new();
    let run = lab.run(Sketch { name: "first", workflow: FAN_OUT, ..Sketch::default() });
    let told = |lab: &Lab, line: &str| {
        let dir = lab.path().display();
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        answered(format!("--state-dir={dir} {verb} {rest}").trim_end())
    };
    assert!(told(&lab, "export first").contains("RUN/STEP/NAME"), "it has no outputs yet");
    lab.expand(run, 1, "train", vec![json!({ "seed": 3 }), json!({ "seed": 4 })]);
    for (step, digit) in [("train[0]", "a"), ("train[1]", "b"), ("export", "c")] {
        lab.start(run, 2, step);
        let artifact = json!({ "digest": digit.repeat(64), "size": 1, "media_type": "text/plain" });
        let artifacts = [("model".to_owned(), serde_json::from_value(artifact).unwrap())].into();
        let outputs = Outputs { artifacts, ..Outputs::default() };
        lab.commit(run, 2, [StepEventKind::Succeeded { outputs }.under(step.into(), Fence(1))]);
    }
    for (line, expected) in [
        (
            "export first",
            "`stepwell artifact get first/export/model FILE` or `stepwell artifact get 'first/train[1]/model' FILE` or \
             `stepwell artifact get 'first/train[0]/model' FILE` copies an output; `stepwell artifact ls first` lists all 3 \
             of run `first`",
        ),
        ("artifact get first export mm", "RUN/STEP/NAME is one word: `stepwell artifact get first/export mm`"),
        (
            "artifact get first export model mm",
            "RUN/STEP/NAME is one word: `stepwell artifact get first/export/model mm`",
        ),
        ("logs first --seed 3", "an item is named with its step: `stepwell logs first 'train[seed=3]'`"),
        ("logs --seed=4", "an item is named with its step: `stepwell logs first 'train[seed=4]'`"),
        (
            "resume first -S lr=0.2",
            "a run keeps its params; a new run can have others: `stepwell fork first --at train -S lr=0.2`",
        ),
        (
            "fork first -S lr=0.2",
            "`--at` says where: `stepwell fork first --at export -S lr=0.2`, or another step of train, export; `stepwell \
             checkpoints first` lists the checkpoints",
        ),
    ] {
        assert_eq!(told(&lab, line), expected, "{line}");
        assert!(commands(expected).all(parses), "{expected}");
    }
    assert!(told(&lab, "download").starts_with("`stepwell artifact get first/export/model FILE`"));
}
