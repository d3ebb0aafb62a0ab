//! Secrets reach only the program: not the database, the logs, the messages, or any other file.

use std::path::{Path, PathBuf};

use crate::harness::{Finished, Sandbox};

const TOKEN: &str = "tok-4711-hunter2";
const KEY: &str = "AAAA-BBBB-CCCC-4712\nDDDD-EEEE-FFFF-4713";

fn stepwell(sandbox: &Sandbox, args: &[&str]) -> Finished {
    Finished::from(sandbox.command(args).env("MY_TOKEN", TOKEN).output().unwrap())
}

/// Finds every file below the sandbox that holds a secret, except the sources of the secrets.
fn leaks(sandbox: &Sandbox) -> Vec<PathBuf> {
    fn look(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path, found);
            } else if path.is_file() && path.file_name().is_some_and(|name| name != "key.txt") {
                let content = std::fs::read(&path).unwrap_or_default();
                let holds = |text: &str| content.windows(text.len()).any(|window| window == text.as_bytes());
                if [TOKEN, KEY, "AAAA-BBBB-CCCC-4712", "DDDD-EEEE-FFFF-4713"].into_iter().any(holds) {
                    found.push(path);
                }
            }
        }
    }
    let mut found = Vec::new();
    look(sandbox.dir.path(), &mut found);
    found
}

const NOISY: &str = r#"
name = "noisy"
[secrets]
token = { env = "MY_TOKEN" }
key = { file = "key.txt" }

[[step]]
id = "a"
kind = "command"
retry = { maximum_attempts = 2, initial_interval = 0 }
with.env = { TOKEN = "{{ secrets.token }}", HEADER = "Bearer {{ secrets.token }}", KEY = "{{ secrets.key }}" }
with.outputs = { o = "o" }
with.shell = '''
[ "$HEADER" = "Bearer $TOKEN" ] || exit 9
[ '{{ secrets.token }}' = "$TOKEN" ] || exit 8
echo "$TOKEN"; echo "key: $KEY" >&2; env
printf '%s' "$TOKEN" | cut -c 1-7 | tr -d '\n'; sleep 0.05; printf '%s\n' "$TOKEN" | cut -c 8-
mkdir "$STEPWELL_CHECKPOINT_DIR/next"; printf '{"phase": "%s"}' "$TOKEN" > "$STEPWELL_CHECKPOINT_DIR/marker"
mv "$STEPWELL_CHECKPOINT_DIR/marker" "$STEPWELL_CHECKPOINT_DIR/next.ready"
while [ -e "$STEPWELL_CHECKPOINT_DIR/next.ready" ]; do sleep 0.01; done
echo "1 2 $TOKEN" > "$STEPWELL_PROGRESS"; sleep 0.15
printf '{"said": "%s", "length": %s}' "$TOKEN" "$(printf %s "$TOKEN" | wc -c)" > "$STEPWELL_VALUES"
echo made > "$STEPWELL_OUTPUT_DIR/o"
[ "$STEPWELL_ATTEMPT" = 2 ]
'''
"#;

#[test]
fn a_secret_is_in_no_file_and_no_message_whatever_its_program_prints() {
    let sandbox = Sandbox::new();
    sandbox.write("key.txt", format!("{KEY}\n"));
    sandbox.write("noisy.toml", NOISY);
    let run = stepwell(&sandbox, &["run", "noisy.toml"]).ok();
    sandbox.write("told/run", run.stdout + &run.stderr);
    for verb in
        [&["show", "last"][..], &["explain", "last", "a"], &["logs", "last"], &["artifact", "provenance", "last/a/o"]]
    {
        let told = sandbox.stepwell(verb).ok();
        sandbox.write(&format!("told/{}", verb[0]), told.stdout + &told.stderr);
    }
    assert_eq!(leaks(&sandbox), Vec::<PathBuf>::new());
    let log = std::fs::read_to_string(sandbox.path("told/logs")).unwrap();
    assert!(log.contains("TOKEN=***") && log.contains("HEADER=Bearer ***") && log.contains("key: ***"), "{log}");
    assert_eq!(log.lines().filter(|line| *line == "***").count(), 4, "two attempts print it whole and in parts: {log}");
    assert_eq!(sandbox.show()["steps"][0]["values"]["length"], TOKEN.len());
    let kept = sandbox.query("SELECT arguments FROM step")[0].clone();
    assert!(kept.contains("Bearer {{ secrets.token }}"), "{kept}");

    // The key covers only the name, so a new value changes nothing.
    let other = sandbox.command(&["run", "noisy.toml"]).env("MY_TOKEN", "another").output().unwrap();
    assert!(String::from_utf8(other.stderr).unwrap().contains("reused"));
    let again = stepwell(&sandbox, &["rerun", "last", "--from-step", "a"]);
    assert_eq!((again.code, leaks(&sandbox)), (0, Vec::new()));
}

#[test]
fn a_missing_secret_is_named_before_the_program_starts() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "w.toml",
        "name = \"w\"\n[secrets]\nt = { env = \"MY_TOKEN\" }\n[[step]]\nid = \"a\"\nkind = \"command\"\n\
         with = { shell = \"touch started\", cwd = \".\", env = { T = \"{{ secrets.t }}\" } }\n",
    );
    sandbox.stepwell(&["run", "w.toml"]).exits(3).says(&[
        "the secret `t` has no value",
        "`MY_TOKEN`",
        "stepwell resume",
    ]);
    assert!(!sandbox.path("started").exists());
    assert_eq!(sandbox.query("SELECT attempts FROM step"), ["1"]);
    stepwell(&sandbox, &["resume", "last"]).ok();
    assert!(sandbox.path("started").exists());
}

/// Text from a program or a param that looks like a secret's template stays unchanged.
#[test]
fn data_cannot_ask_for_a_secret_and_child_runs_have_their_own() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "child.toml",
        "name = \"child\"\n[params]\nx = \"\"\n[secrets]\nt = { env = \"MY_TOKEN\" }\n[[step]]\nid = \"c\"\nkind = \"command\"\n\
         with.env = { T = \"{{ secrets.t }}\", X = \"{{ params.x }}\" }\n\
         with.shell = \"[ $(printf %s $T | wc -c) = 16 ] && [ \\\"$X\\\" = '{% raw %}{{ secrets.t }}{% endraw %}' ]\"\nretry = { maximum_attempts = 1 }\n",
    );
    sandbox.write(
        "w.toml",
        "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"command\"\n\
         with.shell = \"echo '{% raw %}{\\\"x\\\": \\\"{{ secrets.t }}\\\"}{% endraw %}' > $STEPWELL_VALUES\"\n\
         [[step]]\nid = \"b\"\nkind = \"workflow\"\nwith = { workflow = \"child.toml\", params = { x = \"{{ steps.a.values.x }}\" } }\n",
    );
    stepwell(&sandbox, &["run", "w.toml"]).ok();
    assert_eq!(leaks(&sandbox), Vec::<PathBuf>::new());
}
