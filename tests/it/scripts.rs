//! A person's own scripts: files beside the workflow file, the working directory, and what the steps print.

use crate::harness::{Sandbox, read};

/// A project in a folder of its own; Stepwell runs in the folder above.
fn project(workflow: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("project/w.toml", format!("name = \"w\"\n{workflow}"));
    sandbox
}

fn shown(sandbox: &Sandbox, artifact: &str) -> String {
    sandbox.stepwell(&["artifact", "show", artifact]).ok().stdout
}

fn attempts(sandbox: &Sandbox, step: &str) -> String {
    sandbox.query(&format!("SELECT attempts FROM step WHERE id = '{step}' ORDER BY run DESC")).remove(0)
}

const COPY: &str = "[params]\nscript = \"copy.sh\"\n[[step]]\nid = \"a\"\nkind = \"command\"\n\
                    with = { argv = [\"sh\", \"{{ params.script }}\", \"in.txt\"], outputs = { o = \"o\" } }\n";

fn write_copy(sandbox: &Sandbox, folder: &str) {
    sandbox.write(&format!("{folder}/copy.sh"), "cat \"$1\" > o; echo \"$STEPWELL_PROJECT_DIR\" > dir\n");
    sandbox.write(&format!("{folder}/in.txt"), "one\n");
}

#[test]
fn files_beside_the_workflow_are_found_from_any_directory() {
    let sandbox = project(COPY);
    write_copy(&sandbox, "project");
    sandbox.stepwell(&["run", "project/w.toml"]).ok();
    assert!(shown(&sandbox, "last/a/o").contains("one"));
    let elsewhere = sandbox.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let mut command = sandbox.command(&["run", "../project/w.toml", "--state-dir", "../state"]);
    assert!(command.current_dir(&elsewhere).output().unwrap().status.success());
    assert_eq!(attempts(&sandbox, "a"), "0", "the same work from another directory is reused");

    sandbox.write("project/in.txt", "two\n");
    sandbox.stepwell(&["run", "project/w.toml"]).ok();
    assert!(shown(&sandbox, "last/a/o").contains("two"));
    let why = sandbox.stepwell(&["explain", "last", "a"]).ok().stdout;
    assert!(why.contains("the content of `in.txt` changed"), "{why}");
}

#[test]
fn a_moved_project_repeats_nothing() {
    let sandbox = project(COPY);
    write_copy(&sandbox, "project");
    sandbox.stepwell(&["run", "project/w.toml"]).ok();
    std::fs::rename(sandbox.path("project"), sandbox.path("moved")).unwrap();
    sandbox.stepwell(&["run", "moved/w.toml"]).ok();
    assert_eq!(attempts(&sandbox, "a"), "0");
}

#[test]
fn child_workflows_and_schedules_find_their_own_files() {
    let sandbox = project("[[step]]\nid = \"c\"\nkind = \"workflow\"\nwith = { workflow = \"sub/child.toml\" }\n");
    sandbox.write("project/sub/child.toml", format!("name = \"child\"\n{COPY}"));
    write_copy(&sandbox, "project/sub");
    sandbox.stepwell(&["run", "project/w.toml"]).ok();
    let child = sandbox.query("SELECT id FROM run WHERE workflow = 'child'").remove(0);
    assert!(shown(&sandbox, &format!("{child}/a/o")).contains("one"));

    sandbox.write("project/plain.toml", format!("name = \"plain\"\n{COPY}"));
    write_copy(&sandbox, "project");
    sandbox.stepwell(&["schedule", "add", "s", "--cron", "0 0 1 1 *", "project/plain.toml"]).ok();
    sandbox.stepwell(&["schedule", "backfill", "s", "--from", "2026-01-01", "--to", "2026-01-01"]).ok();
    sandbox.stepwell(&["worker", "--exit-when-idle"]).ok();
    assert!(shown(&sandbox, "last/a/o").contains("one"));
}

#[test]
fn the_working_directory_is_explained_when_a_file_is_not_found() {
    let sandbox = project(
        "[[step]]\nid = \"a\"\nkind = \"shell\"\nretry = 1\nwith = { run = \"cat notes.txt | wc -l\\ncat notes.txt\" }\n",
    );
    sandbox.write("project/notes.txt", "x\n");
    let failed = sandbox.stepwell(&["run", "project/w.toml"]).exits(3);
    failed
        .says(&["the script names `notes.txt` of the workflow's folder", "write \"$STEPWELL_PROJECT_DIR/notes.txt\""]);
    sandbox.write("project/w.toml", "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"shell\"\nwith = { run = \"cat \\\"$STEPWELL_PROJECT_DIR/notes.txt\\\"\" }\n");
    sandbox.stepwell(&["run", "project/w.toml"]).ok();
}

#[test]
fn a_step_for_each_file_runs_again_only_for_a_changed_file() {
    let sandbox = project(
        "[[step]]\nid = \"count\"\nkind = \"shell\"\nfor_each = \"glob('data/*.txt')\"\n\
         with = { run = \"wc -c < \\\"$STEPWELL_PROJECT_DIR/$F\\\" > n\", env = { F = \"{{ item }}\" }, outputs = { n = \"n\" } }\n",
    );
    sandbox
        .stepwell(&["workflow", "validate", "project/w.toml"])
        .exits(2)
        .says(&["`data/*.txt` matches no file in", "w.toml:"]);
    sandbox.write("project/data/b.txt", "bb");
    sandbox.write("project/data/a.txt", "a");
    sandbox.stepwell(&["run", "project/w.toml"]).ok();
    assert_eq!(
        sandbox.query("SELECT item FROM step WHERE parent IS NOT NULL ORDER BY id"),
        ["\"data/a.txt\"", "\"data/b.txt\""]
    );
    sandbox.write("project/data/b.txt", "bbbb");
    sandbox.write("project/data/c.txt", "c");
    sandbox.stepwell(&["run", "project/w.toml"]).ok();
    let ran = "SELECT id FROM step WHERE attempts > 0 AND run = (SELECT max(id) FROM run) ORDER BY id";
    assert_eq!(sandbox.query(ran), ["count[1]", "count[2]"]);
    assert!(shown(&sandbox, "last/count[1]/n").contains('4'));
}

#[test]
fn the_best_child_is_chosen_also_after_a_restart() {
    let sandbox = project(
        "[[step]]\nid = \"train\"\nkind = \"shell\"\nfor_each = \"[3, 1, 2]\"\n\
         with = { run = \"echo model $S > m; echo {\\\\\\\"loss\\\\\\\": $S.5} > $STEPWELL_VALUES\", env = { S = \"{{ item }}\" }, outputs = { m = \"m\" } }\n\
         [[step]]\nid = \"ask\"\nkind = \"approval\"\nneeds = [\"train\"]\nwith = { prompt = \"go on?\" }\n\
         [[step]]\nid = \"keep\"\nkind = \"shell\"\nneeds = [\"ask\"]\n\
         with = { run = \"cp $M best; echo $ITEM >> best\", outputs = { best = \"best\" }, env = { \
         M = \"{{ (steps.train | best(by='values.loss')).outputs.m }}\", ITEM = \"{{ best(steps.train, by='loss', order='max').item }}\" } }\n",
    );
    sandbox.stepwell(&["run", "project/w.toml", "--detach"]).ok();
    sandbox.stepwell(&["worker", "--exit-when-idle"]).ok();
    sandbox.stepwell(&["approve", "last", "ask"]).ok();
    sandbox.stepwell(&["resume", "last"]).ok();
    let best = shown(&sandbox, "last/keep/best");
    assert!(best.contains("model 1") && best.contains('3'), "{best}");
}

#[test]
fn logs_shows_every_line_and_names_the_steps_that_run_together() {
    let step = |id: &str| {
        format!(
            "[[step]]\nid = \"{id}\"\nkind = \"shell\"\nwith = {{ run = \"echo {id} one; while [ ! -e $GO ]; do sleep 0.02; done; printf '{id} \\\\033[2Jtwo'\", env = {{ GO = \"{{{{ params.go }}}}\" }} }}\n"
        )
    };
    let sandbox = project(&format!("[params]\ngo = \"\"\n{}{}", step("a"), step("b")));
    let go = sandbox.write("go", "");
    let go = format!("go={}", go.display());
    let shown = sandbox.stepwell(&["run", "project/w.toml", "--logs", "-S", &go]).ok();
    shown.says(&["a one", "b one", "\\x1b[2Jtwo"]);
    assert!(!sandbox.stepwell(&["run", "project/w.toml", "--no-reuse", "-S", &go]).ok().stderr.contains("a one"));
    let json =
        sandbox.stepwell(&["run", "project/w.toml", "--logs", "--output", "json", "--no-reuse", "-S", &go]).ok().stdout;
    let lines: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |step: &str| -> Vec<String> {
        let own = lines.iter().filter(|line| line["type"] == "log" && line["step"] == step);
        own.map(|line| line["line"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(of("a"), ["a one", "a \u{1b}[2Jtwo"]);
}

#[test]
fn a_mended_script_starts_over_and_its_old_files_are_set_aside() {
    let sandbox = Sandbox::new();
    sandbox.write("train.sh", "echo hours of work > progress; exit 1\n");
    sandbox.write(
        "w.toml",
        "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nretry = 1\nwith = { argv = [\"sh\", \"train.sh\"] }\n",
    );
    sandbox.stepwell(&["run", "w.toml"]).exits(3);
    sandbox.write("train.sh", "test ! -e progress\n");
    sandbox.stepwell(&["resume", "w-1"]).ok().says(&["starting from the beginning", "its files were moved to"]);
    let id = sandbox.query("SELECT id FROM run").concat();
    let aside = sandbox.state().join("runs").join(id).join("a").join("set-aside").join("work").join("progress");
    assert_eq!(read(&aside), "hours of work\n");
    sandbox.stepwell(&["gc"]).ok();
    assert!(!aside.exists());
}

#[test]
fn a_step_without_its_project_folder_fails_and_keeps_its_files() {
    let sandbox = Sandbox::new();
    let project = sandbox.path("project");
    std::fs::create_dir(&project).unwrap();
    sandbox.write("project/train.sh", "[ -e progress ] || { echo work > progress; exit 1; }\n");
    sandbox.write(
        "project/w.toml",
        "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nretry = 1\nwith = { argv = [\"sh\", \"train.sh\"] }\n",
    );
    sandbox.stepwell(&["run", "project/w.toml"]).exits(3);
    std::fs::rename(&project, sandbox.path("moved")).unwrap();
    sandbox.stepwell(&["resume", "w-1"]).exits(3).says(&["does not exist", "was it moved?"]);
    std::fs::rename(sandbox.path("moved"), &project).unwrap();
    sandbox.stepwell(&["resume", "w-1"]).ok();
    // A step that never started has no digest of its script yet, and must not take what another version gave.
    sandbox.stepwell(&["run", "project/w.toml", "--detach", "--no-reuse"]).ok();
    std::fs::rename(&project, sandbox.path("moved")).unwrap();
    sandbox.stepwell(&["resume", "w-2"]).exits(3).says(&["does not exist", "was it moved?"]);
}
