//! `stepwell chat` with a pipe.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use super::Lab;
use crate::harness::Finished;

fn piped(lab: &Lab, args: &[&str], input: &str) -> Finished {
    let common = ["chat", "--model", "model", "--dtype", "f32", "-n", "8", "--temperature", "0", "--output", "json"];
    let mut command = lab.sandbox.command(&[&common, args].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Finished::from(child.wait_with_output().unwrap())
}

/// Tokens of each prompt and each answer.
fn answers(finished: &Finished) -> Vec<(u64, String)> {
    let one = |line: &str| {
        let answer: Value = serde_json::from_str(line).unwrap();
        (answer["usage"]["prompt_tokens"].as_u64().unwrap(), answer["content"].as_str().unwrap().to_owned())
    };
    finished.stdout.lines().map(one).collect()
}

#[test]
fn a_pipe_is_one_message_or_with_lines_a_conversation() {
    let lab = Lab::new(&[]);
    let whole = answers(&piped(&lab, &[], "first line\nsecond line\n").ok());
    let [(whole, _)] = whole.as_slice() else { panic!("{whole:?}") };
    let one = answers(&piped(&lab, &[], "first line\n").ok());
    assert!(*whole > one[0].0 + 10, "both lines are in the prompt");
    let lines = answers(&piped(&lab, &["--lines"], "first line\n\nsecond line\n/new\nfirst line\n/exit\nnever\n").ok());
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[1].0 > lines[0].0 + 20, "the second message comes after the first answer");
    assert_eq!((&lines[0], &lines[2]), (&one[0], &one[0]), "`/new` starts again");
    piped(&lab, &["--lines", "message"], "").exits(2).says(&["--lines"]);
    piped(&lab, &[], " \n").exits(2).says(&["nothing to answer"]);
}
