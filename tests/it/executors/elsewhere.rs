//! Runs of the program with steps on Slurm and on a host.

use crate::harness::{Sandbox, eventually, read, signal};

use super::bench::{sites, ssh_options};

/// A sandbox whose steps run on `site`.
fn placed(site: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let script = sandbox.write("count.sh", include_str!("../../fixtures/count_with_checkpoints.sh"));
    let ledger = sandbox.path("ledger");
    sandbox.write(
        "w.toml",
        format!(
            "name = \"w\"\n[[step]]\nid = \"count\"\nkind = \"command\"\nexecutor = \"{site}\"\nwith = {{ argv = [\"sh\", \"{}\"], \
             env = {{ LEDGER = \"{}\" }}, outputs = {{ total = \"total\" }} }}\n",
            script.display(),
            ledger.display()
        ),
    );
    let settings = match site {
        "slurm" => "[executors.slurm]\n".to_owned(),
        "ssh" => {
            let folder = std::env::var("STEPWELL_SSHD").unwrap();
            let port = std::fs::read_to_string(format!("{folder}/port")).unwrap();
            format!(
                "[executors.ssh]\nhost = \"127.0.0.1\"\nport = {}\nfolder = \"{folder}/there-{}\"\noptions = {:?}\n",
                port.trim(),
                uuid::Uuid::now_v7(),
                ssh_options(&folder)
            )
        }
        _ => String::new(),
    };
    sandbox.write("stepwell.toml", settings);
    sandbox
}

fn elsewhere() -> impl Iterator<Item = &'static str> {
    sites().into_iter().filter(|site| *site != "local")
}

#[test]
fn results_are_those_of_this_machine() {
    let expected = {
        let sandbox = placed("local");
        sandbox.stepwell(&["run", "w.toml"]).ok();
        sandbox.digests()
    };
    for site in elsewhere() {
        let sandbox = placed(site);
        sandbox.stepwell(&["run", "w.toml"]).ok();
        assert_eq!(sandbox.digests(), expected, "{site}");
    }
}

#[test]
fn an_engine_that_is_killed_finds_its_attempt_again() {
    for site in elsewhere() {
        let sandbox = placed(site);
        let mut engine = sandbox.start(&["run", "w.toml"]);
        for kill in 0..3 {
            let counted = read(&sandbox.path("ledger")).lines().count();
            eventually("it counts", || read(&sandbox.path("ledger")).lines().count() > counted + 3);
            engine.kill().unwrap();
            engine.wait().unwrap();
            assert_eq!(sandbox.query("SELECT attempts FROM step"), ["1"], "{site}: kill {kill}");
            engine = sandbox.start(&["resume"]);
        }
        assert_eq!(engine.wait().unwrap().code(), Some(0), "{site}");
        let numbers: Vec<String> = (1..=40).map(|n| n.to_string()).collect();
        assert_eq!(read(&sandbox.path("ledger")).lines().collect::<Vec<_>>(), numbers, "{site}: counted once");
        assert_eq!(sandbox.query("SELECT attempts FROM step"), ["1"], "{site}");
        sandbox.stepwell(&["db", "check"]).ok();
    }
}

#[test]
fn a_stopped_engine_leaves_nothing_and_continues_from_the_checkpoint() {
    for site in elsewhere() {
        let sandbox = placed(site);
        let mut engine = sandbox.start(&["run", "w.toml"]);
        eventually("a checkpoint", || sandbox.query_count("checkpoint") > 0);
        signal(engine.id(), "TERM");
        assert_eq!(engine.wait().unwrap().code(), Some(130), "{site}");
        sandbox.stepwell(&["resume"]).ok();
        assert!(read(&sandbox.path("ledger")).lines().count() <= 42, "{site}: it continued from the checkpoint");
    }
}

#[test]
fn what_cannot_work_is_refused_with_a_hint() {
    let sandbox = placed("nowhere");
    sandbox
        .stepwell(&["run", "w.toml"])
        .exits(2)
        .says(&["the executor `nowhere` is not configured", "[executors.nowhere]"]);
    for site in elsewhere() {
        let sandbox = placed(site);
        let settings = read(&sandbox.path("stepwell.toml"));
        let (spoilt, words) = match site {
            "slurm" => (format!("{settings}partition = \"nope\"\n"), ["Slurm has refused the job", "sinfo"]),
            // Another name, so that no open connection of another test is used.
            _ => (settings.replace("127.0.0.1", "localhost"), ["is not known", "fingerprint"]),
        };
        sandbox.write("stepwell.toml", spoilt);
        sandbox.stepwell(&["run", "w.toml"]).exits(3).says(&words);
    }
}
