#!/usr/bin/env python3
"""Kills what runs steps elsewhere, again and again, and compares results.

    scripts/drill/slurm.sh python3 scripts/drill/elsewhere.py STEPWELL [--kills 20]
    scripts/drill/sshd.sh  python3 scripts/drill/elsewhere.py STEPWELL [--kills 20]

A step counts to N with a checkpoint after each number. While it runs on Slurm or on a host, one thing is killed per round:
the engine, the daemon (slurmctld or sshd), the job (its agent), and on Slurm the node is drained and set down. Then: the result is right,
no number is missing, a number is repeated at most once per kill of the job or node and never for the engine or the daemon, no
job and no process is left, and `db check` finds nothing. Exits with 0 if all that holds.
"""
import argparse, collections, os, pathlib, random, shutil, signal, subprocess, sys, tempfile, time

LAST = int(os.environ.get("LAST", "60"))
SCRIPT = """cd "$STEPWELL_CHECKPOINT_DIR"
n=0 total=0
[ -f last/state ] && read -r n total <last/state
while [ "$n" -lt LAST ]; do
  n=$((n + 1)) total=$((total + n))
  echo "$n" >>"$LEDGER"
  sleep 0.05
  mkdir -p next && echo "$n $total" >next/state
  echo "{\\"last_step\\": $n}" >next.new && mv next.new next.ready
  while [ -e next.ready ]; do sleep 0.01; done
done
echo "$total" >"$STEPWELL_OUTPUT_DIR/total"
""".replace("LAST", str(LAST))


class Round:
    def __init__(self, stepwell, site):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="stepwell-elsewhere-"))
        self.stepwell, self.site = stepwell, site
        self.ledger = self.folder / "ledger"
        (self.folder / "count.sh").write_text(SCRIPT)
        (self.folder / "w.toml").write_text(f'''name = "w"
[[step]]
id = "count"
kind = "command"
executor = "{site}"
retry = {{ initial_interval = "1ms", maximum_attempts = 30 }}
with = {{ argv = ["sh", "{self.folder}/count.sh"], env = {{ LEDGER = "{self.ledger}" }}, outputs = {{ total = "total" }} }}
''')
        settings = "[executors.slurm]\n"
        if site == "ssh":
            sshd = os.environ["STEPWELL_SSHD"]
            port = pathlib.Path(sshd, "port").read_text().strip()
            options = ["-i", f"{sshd}/key", "-o", f"UserKnownHostsFile={sshd}/known_hosts", "-o", "IdentitiesOnly=yes"]
            settings = (f'[executors.ssh]\nhost = "127.0.0.1"\nport = {port}\nfolder = "{sshd}/there-{self.folder.name}"\n'
                        f"options = {options!r}\n".replace("'", '"'))
        (self.folder / "stepwell.toml").write_text(settings)
        self.environment = dict(os.environ, STEPWELL_CRASH_LOOP_LIMIT="0", XDG_CONFIG_HOME=str(self.folder / "none"))

    def start(self, *words):
        with open(self.folder / "out", "a") as out:
            return subprocess.Popen([self.stepwell, *words], cwd=self.folder, env=self.environment, stdout=out, stderr=out,
                                    stdin=subprocess.DEVNULL)

    def counted(self):
        return self.ledger.read_text().split() if self.ledger.exists() else []

    def wait_for(self, more, engine):
        target, deadline = len(self.counted()) + more, time.time() + 60
        while len(self.counted()) < target and engine.poll() is None:
            if time.time() > deadline:
                sys.exit(f"{self.folder}: nothing is counted any more")
            time.sleep(0.02)

    def agents(self):
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except (OSError, NotADirectoryError):
                continue
            if b"remote" in words and any(str(self.folder).encode() in word for word in words):
                found.append(int(entry.name))
        return found

    def processes(self):
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                environment = (entry / "environ").read_bytes()
            except (OSError, NotADirectoryError):
                continue
            if b"STEPWELL_ATTEMPT_ID=" in environment and str(self.folder).encode() in environment:
                found.append(int(entry.name))
        return found


def slurm(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def strike(what, round_, engine):
    """Kills one thing. Returns the engine that drives the run afterwards."""
    if what == "engine":
        engine.kill()
        engine.wait()
        return round_.start("resume")
    if what == "daemon":
        folder = os.environ.get("STEPWELL_SLURM") or os.environ["STEPWELL_SSHD"]
        name = "restart-slurmctld" if "STEPWELL_SLURM" in os.environ else "restart-sshd"
        subprocess.run([f"{folder}/{name}", str(random.choice([0, 1, 3]))], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    if what == "job":
        for agent in round_.agents():
            try:
                os.kill(agent, signal.SIGKILL)
            except ProcessLookupError:
                pass
    if what == "node":
        node = slurm("squeue", "--noheader", "--states=RUNNING", "--format=%N").split()[:1]
        for name in node:
            slurm("scontrol", "update", f"nodename={name}", "state=drain", "reason=drill")
            slurm("scontrol", "update", f"nodename={name}", "state=down", "reason=drill")
            time.sleep(0.5)
            slurm("scontrol", "update", f"nodename={name}", "state=resume")
    return engine


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("stepwell")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--per-round", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    site = "slurm" if "STEPWELL_SLURM" in os.environ else "ssh"
    random.seed(arguments.seed)
    stepwell = os.path.abspath(arguments.stepwell)
    kinds = ["engine", "daemon", "job"] + (["node"] if site == "slurm" else [])
    for what in kinds:
        left, repeated, attempts = arguments.kills, 0, 0
        started = time.time()
        while left > 0:
            round_ = Round(stepwell, site)
            engine, kills = round_.start("run", "w.toml"), 0
            for _ in range(min(arguments.per_round, left)):
                round_.wait_for(random.randint(2, 9), engine)
                if engine.poll() is not None:
                    break
                time.sleep(random.random() * 0.2)
                engine = strike(what, round_, engine)
                kills += 1
            left -= max(kills, 1)
            code = engine.wait(timeout=180)
            problems = []
            numbers = collections.Counter(int(n) for n in round_.counted())
            again = sum(count - 1 for count in numbers.values())
            if code != 0:
                problems.append(f"exit {code}")
            if sorted(numbers) != list(range(1, LAST + 1)):
                problems.append("numbers are missing")
            if again > (kills if what in ("job", "node") else 0):
                problems.append(f"{again} numbers repeated after {kills} kills")
            check = subprocess.run([stepwell, "db", "check"], cwd=round_.folder, env=round_.environment, capture_output=True, text=True)
            if check.returncode != 0:
                problems.append("db check: " + check.stdout + check.stderr)
            deadline = time.time() + 20
            while time.time() < deadline and (round_.processes() or round_.agents() or site == "slurm" and slurm("squeue", "--noheader")):
                time.sleep(0.2)
            if round_.processes() or round_.agents():
                problems.append("processes are left")
            if site == "slurm" and slurm("squeue", "--noheader"):
                problems.append("jobs are left: " + slurm("squeue"))
            if problems:
                sys.exit(f"{site}, {what}, {round_.folder}: " + "; ".join(problems))
            repeated += again
            shutil.rmtree(round_.folder)
        print(f"{site}: {arguments.kills} kills of the {what}: {repeated} numbers repeated, {time.time() - started:.0f} s", flush=True)


main()
