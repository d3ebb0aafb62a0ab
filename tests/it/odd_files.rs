//! Links, pipes and executables as outputs, checkpoints and other files of a command.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use crate::harness::{Finished, Sandbox};

/// A command step with one attempt, the script and an output `o`.
fn run(sandbox: &Sandbox, script: &str) -> Finished {
    let text = format!(
        "name = \"odd\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nretry = {{ maximum_attempts = 3, initial_interval = 0 }}\n\
         with.outputs = {{ o = \"o\" }}\nwith.cache = false\nwith.shell = '''\nset -e\n{script}\n'''\n"
    );
    sandbox.write("odd.toml", text);
    sandbox.stepwell(&["run", "odd.toml"])
}

#[test]
fn links_are_published_with_their_content_and_modes_and_empty_folders_come_back() {
    let sandbox = Sandbox::new();
    sandbox.write("elsewhere/far.txt", "far");
    let far = sandbox.path("elsewhere").display().to_string();
    let script = format!(
        "cd \"$STEPWELL_OUTPUT_DIR\"; mkdir -p o/blobs o/none\necho weights > o/blobs/abc; ln -s blobs/abc o/model.bin\n\
         ln -s {far}/far.txt o/far.txt; ln -s {far} o/folder; printf '#!/bin/sh\\necho ran\\n' > o/tool; chmod 755 o/tool"
    );
    run(&sandbox, &script).ok();
    sandbox.stepwell(&["artifact", "get", "last/a/o", "got"]).ok();
    let text = |name: &str| fs::read_to_string(sandbox.path("got").join(name)).unwrap();
    assert_eq!(
        (text("model.bin"), text("far.txt"), text("folder/far.txt")),
        ("weights\n".into(), "far".into(), "far".into())
    );
    assert!(sandbox.path("got/none").is_dir());
    let mode = |name: &str| fs::symlink_metadata(sandbox.path("got").join(name)).unwrap().permissions().mode() & 0o111;
    assert_eq!((mode("tool"), mode("model.bin")), (0o111, 0));
}

#[test]
fn an_executable_output_can_be_started_by_the_next_step() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "tool.toml",
        "name = \"tool\"\n[[step]]\nid = \"make\"\nkind = \"command\"\nwith.outputs.tool = \"tool\"\n\
         with.shell = \"cd $STEPWELL_OUTPUT_DIR; printf '#!/bin/sh\\\\necho it ran\\\\n' > tool; chmod 755 tool\"\n\
         [[step]]\nid = \"use\"\nkind = \"command\"\nwith.argv = [\"{{ steps.make.outputs.tool }}\"]\n",
    );
    sandbox.stepwell(&["run", "tool.toml"]).ok();
    assert!(sandbox.stepwell(&["logs", "last", "use"]).ok().stdout.contains("it ran"));
}

#[test]
fn odd_files_fail_the_step_at_once_by_their_name() {
    for (script, said) in [
        ("mkfifo $STEPWELL_OUTPUT_DIR/o", "o` is a pipe"),
        ("mkdir $STEPWELL_OUTPUT_DIR/o; mkfifo $STEPWELL_OUTPUT_DIR/o/inner", "o/inner` is a pipe"),
        ("ln -s /no/such/file $STEPWELL_OUTPUT_DIR/o", "is a link to `/no/such/file`, which does not exist"),
        ("mkdir $STEPWELL_OUTPUT_DIR/o; ln -s .. $STEPWELL_OUTPUT_DIR/o/up", "o/up` is a link that leads back"),
        ("ln -s /dev/zero $STEPWELL_OUTPUT_DIR/o", "o` is a device"),
        ("mkfifo $STEPWELL_VALUES; echo x > o", "values.json` is a pipe"),
        ("mkdir $STEPWELL_VALUES; echo x > o", "values.json` is a folder"),
        ("cd $STEPWELL_CHECKPOINT_DIR; mkdir next; mkfifo next/p; touch next.ready; sleep 60", "next/p` is a pipe"),
        (
            "cd $STEPWELL_CHECKPOINT_DIR; mkdir next; ln -s gone next/l; touch next.ready; sleep 60",
            "next/l` is a link to `gone`",
        ),
        ("cd $STEPWELL_CHECKPOINT_DIR; mkdir next; mkfifo next.ready; sleep 60", "next.ready` is a pipe"),
        ("cd $STEPWELL_CHECKPOINT_DIR; mkdir next; ln -s gone next.ready; sleep 60", "next.ready` is a link to `gone`"),
        ("cd $STEPWELL_CHECKPOINT_DIR; mkdir next; printf '\\377' > next.ready; sleep 60", "next.ready"),
    ] {
        let sandbox = Sandbox::new();
        let started = Instant::now();
        run(&sandbox, script).exits(3).says(&[said]);
        assert!(started.elapsed().as_secs() < 30, "{script}");
        assert_eq!(sandbox.query("SELECT attempts FROM step"), ["1"], "{script}");
    }
}

#[test]
fn a_progress_file_that_is_a_pipe_is_passed_over() {
    run(&Sandbox::new(), "mkfifo $STEPWELL_PROGRESS; sleep 0.2; echo x > o").ok();
}

/// The first attempt fails after its checkpoint; the second must find the same content.
#[test]
fn a_checkpoint_of_links_is_the_same_for_the_attempt_that_wrote_it_and_the_next() {
    let sandbox = Sandbox::new();
    let kept = sandbox.path("kept").display().to_string();
    fs::create_dir(&kept).unwrap();
    let script = format!(
        "cd $STEPWELL_CHECKPOINT_DIR\nlook() {{ (cd last; find . | sort; cat data; ls -l tool | cut -c1-4) > {kept}/$STEPWELL_ATTEMPT; }}\n\
         if [ -d last ]; then look; echo x > $STEPWELL_OUTPUT_DIR/o; exit 0; fi\n\
         echo one > {kept}/real; mkdir -p next/none; ln -s {kept}/real next/data; echo t > next/tool; chmod 755 next/tool\n\
         touch next.ready; while [ -e next.ready ]; do sleep 0.01; done\necho two > {kept}/real; look; exit 1"
    );
    run(&sandbox, &script).ok();
    let found = |attempt: &str| fs::read_to_string(sandbox.path("kept").join(attempt)).unwrap();
    assert_eq!(found("1"), found("2"));
    assert_eq!(found("2"), ".\n./data\n./none\n./tool\none\n-rwx\n");
}

#[test]
fn an_input_that_is_a_pipe_does_not_stop_the_engine() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "pipe.toml",
        "name = \"pipe\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith = { shell = \"true\", inputs = [\"in\"] }\n",
    );
    for (make, said) in [("mkfifo in", "in` is a pipe"), ("ln -s gone in", "in` is a link to `gone`")] {
        let _ = fs::remove_file(sandbox.path("in"));
        assert!(
            std::process::Command::new("sh")
                .args(["-c", make])
                .current_dir(sandbox.dir.path())
                .status()
                .unwrap()
                .success()
        );
        sandbox.stepwell(&["run", "pipe.toml"]).exits(3).says(&[said]);
    }
}

/// A tree is copied for its step, which may write into the copy.
#[test]
fn the_next_attempt_finds_its_input_folder_as_it_was() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "tree.toml",
        "name = \"tree\"\n[[step]]\nid = \"make\"\nkind = \"command\"\nwith.outputs.d = \"d\"\n\
         with.shell = \"mkdir $STEPWELL_OUTPUT_DIR/d; echo one > $STEPWELL_OUTPUT_DIR/d/a\"\n\
         [[step]]\nid = \"use\"\nkind = \"command\"\nretry = { maximum_attempts = 2, initial_interval = 0 }\n\
         with.env.D = \"{{ steps.make.outputs.d }}\"\n\
         with.shell = \"[ \\\"$(cat $D/*)\\\" = one ] || exit 9; echo two > $D/a; echo more > $D/b; [ $STEPWELL_ATTEMPT = 2 ]\"\n",
    );
    sandbox.stepwell(&["run", "tree.toml"]).ok();
}
