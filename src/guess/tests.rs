//! Every wrong guess has an answer that works.

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

use super::{flags, verbs};
use crate::command_line::{Cli, answer};

fn words(text: &str) -> Vec<OsString> {
    std::iter::once("stepwell").chain(text.split(' ')).map(OsString::from).collect()
}

/// The answer to a command line that does not parse.
fn answered(line: &str) -> String {
    let words = words(line);
    let error = Cli::try_parse_from(&words).map(|cli| format!("{cli:?}")).expect_err(line);
    answer(&error, &words).unwrap_or_default()
}

#[test]
fn words_that_are_no_verbs_are_answered_with_verbs() {
    for (word, answer) in verbs::table() {
        assert_eq!(answered(word), answer, "{word}");
        assert!(answer.contains("`stepwell "), "{word}: {answer}");
    }
    let pinned = [
        ("launch", "`stepwell run FILE`"),
        ("server", "`stepwell serve`"),
        ("suspend", "`stepwell pause RUN`"),
        ("clean", "`stepwell gc`"),
        ("info", "`stepwell show RUN`"),
        ("wandb", "`stepwell metrics RUN`"),
        ("follow", "`stepwell watch RUN`"),
        ("outputs", "`stepwell artifact ls RUN`"),
        ("lint", "`stepwell workflow validate FILE`"),
        ("recipes", "`stepwell workflow list`"),
        ("dag", "`stepwell workflow graph FILE`"),
        ("branch", "`stepwell fork RUN --at STEP`"),
        ("sweep", "`for_each` in a workflow"),
        ("cron", "`stepwell schedule add NAME --cron CRON FILE`"),
        ("backup", "`stepwell db backup FOLDER`"),
        ("why", "`stepwell explain RUN STEP`"),
        #[cfg(feature = "train")]
        ("presets", "`stepwell model describe quickstart`"),
        ("version", "`stepwell --version`"),
        ("settings", "`stepwell config show --origin`"),
        ("gpus", "`stepwell doctor`"),
        ("reject", "`stepwell approve RUN STEP`"),
        ("workflow start", "`stepwell run FILE`"),
        ("workflow lint", "`stepwell workflow validate FILE`"),
        ("workflow cat", "`stepwell workflow show FILE`"),
        ("workflow ls", "`stepwell workflow list`"),
        ("workflow dag", "`stepwell workflow graph FILE`"),
        ("artifact list", "`stepwell artifact ls RUN`"),
        ("artifact cp", "`stepwell artifact get RUN/STEP/NAME FILE`"),
        ("schedule new", "`stepwell schedule add NAME --cron CRON FILE`"),
        ("schedule rm", "`stepwell schedule remove NAME`"),
        ("schedule stop", "`stepwell schedule pause NAME`"),
        ("schedule enable", "`stepwell schedule resume NAME`"),
        #[cfg(feature = "train")]
        ("model ls", "`stepwell model describe quickstart`"),
        ("config get", "`stepwell config show --origin`"),
        ("db verify", "`stepwell db check`"),
        ("db dump", "`stepwell db backup FOLDER`"),
        ("db load", "`stepwell db restore FOLDER`"),
        ("login", "`stepwell token code`"),
        ("train", "`stepwell start-training"),
        ("diff", "`stepwell compare RUN RUN`"),
        ("remove", "`stepwell rm RUN`"),
        ("pin", "`stepwell keep RUN`"),
        ("comment", "`stepwell note RUN TEXT`"),
        ("labels", "`stepwell tag RUN TAG`"),
        ("ckpt", "`stepwell checkpoints RUN`"),
        ("ps", "`stepwell list`"),
        ("stop", "`stepwell cancel RUN`"),
        ("kill", "`stepwell cancel RUN`"),
        ("init", "`stepwell workflow new`"),
        ("new", "`stepwell workflow new`"),
        ("plot", "`stepwell metrics RUN`"),
        ("curve", "`stepwell metrics RUN`"),
        ("history", "`stepwell list`"),
        ("runs", "`stepwell list`"),
        ("tail", "`stepwell logs RUN STEP`"),
        #[cfg(feature = "train")]
        ("chat", "`stepwell generate"),
        #[cfg(feature = "train")]
        ("sample", "`stepwell generate"),
        ("export", "`stepwell artifact get"),
        ("eval", "`stepwell show RUN`"),
        ("continue", "`stepwell resume RUN`"),
        ("restart", "`stepwell resume RUN`"),
        ("submit", "`stepwell run FILE --detach`"),
        ("workflow init", "`stepwell workflow new`"),
        ("artifact cat", "`stepwell artifact show RUN/STEP/NAME`"),
    ];
    for (word, verb) in pinned {
        assert!(answered(word).contains(verb), "{word}: {}", answered(word));
    }
    // A wrong answer may be a command that parses.
    for (word, answer) in verbs::table() {
        let is_pinned = pinned.iter().any(|(known, _)| answered(known) == answer);
        assert!(is_pinned, "no test says what `{word}` means");
    }
    for alias in ["status", "ls", "delete last", "prune"] {
        assert!(Cli::try_parse_from(words(alias)).is_ok(), "{alias} is another name of a verb");
    }
    assert_eq!(answered("xyzzy"), "", "clap lists the verbs");
}

#[test]
fn no_answer_hides_a_verb_and_every_command_in_one_parses() {
    let root = Cli::command();
    for (words, answer) in verbs::table() {
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

fn commands(answer: &str) -> impl Iterator<Item = &str> {
    answer.split('`').filter_map(|part| part.strip_prefix("stepwell "))
}

#[test]
fn every_command_in_an_answer_about_flags_parses() {
    for answer in flags::table() {
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
        ("fork base --step train", "`--at STEP`"),
        ("rerun base --at train", "`--from-step STEP`"),
        ("artifact get base --out model", "the destination is the second word"),
        ("metrics --wandb", "`stepwell metrics RUN --csv`"),
        ("schedule add s --every 1h pretrain", "`--cron '0 3 * * *'`"),
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
            "run commands --count=3",
            "params are set with `-S`, but there is no `count` either: known params: `lines`".to_owned(),
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
        ("run commands --param a=1", "`--set NAME=VALUE`"),
        ("list --json", "`--output json`"),
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
