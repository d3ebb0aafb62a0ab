"""See webhooks.sh."""

import argparse
import collections
import http.server
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time

import openai
import standardwebhooks

FLOW = """
name = "flow"
[[step]]
id = "a"
kind = "command"
retry = 1
with = { shell = "sleep 0.1; [ $(( $(date +%N | cut -c1) % 3 )) != 0 ]" }
"""
PAIRS = {
    "run_started": "run.started",
    "run_succeeded": "run.succeeded",
    "run_failed": "run.failed",
    "run_interrupted": "run.interrupted",
    "run_resumed": "run.resumed",
    "step_failed": "step.failed",
}


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    secret = ""
    accepted = {}
    problems = []
    requests = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        Receiver.requests += 1
        headers = dict(self.headers.items())
        try:
            standardwebhooks.Webhook(self.secret).verify(body, headers)
            openai.OpenAI(api_key="none").webhooks.unwrap(body, headers, secret=self.secret)
        except Exception as error:  # noqa: BLE001 - whatever the packages find
            Receiver.problems.append(f"{type(error).__name__}: {error}")
        tampered = body.replace("run", "Run", 1)
        try:
            standardwebhooks.Webhook(self.secret).verify(tampered, headers)
            Receiver.problems.append("a changed body was accepted")
        except standardwebhooks.WebhookVerificationError:
            pass
        answer = random.choice([200, 200, 200, 500, 503])
        if answer == 200:
            known = Receiver.accepted.setdefault(headers["webhook-id"], body)
            if known != body:
                Receiver.problems.append("one id, two bodies")
        self.send_response(answer)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            pass  # the engine was killed


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--stepwell", required=True)
    arguments.add_argument("--kills", type=int, default=20)
    arguments.add_argument("--seed", type=int, default=1)
    arguments = arguments.parse_args()
    random.seed(arguments.seed)
    binary = os.path.abspath(arguments.stepwell)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        call = lambda *words: subprocess.run([binary, *words], cwd=folder, check=True, capture_output=True, text=True)
        Receiver.secret = call("webhook", "secret").stdout.strip()
        (folder / "hook.secret").write_text(Receiver.secret)
        (folder / "flow.toml").write_text(FLOW)
        retries = ", ".join(['"100ms"'] * 20)
        (folder / "stepwell.toml").write_text(
            f'crash_loop_limit = 0\n[[webhook]]\nurl = "http://127.0.0.1:{server.server_port}/"\n'
            f'secret = {{ file = "hook.secret" }}\nretries = [{retries}]\n'
        )
        worker = lambda: subprocess.Popen([binary, "worker"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(arguments.kills):
            call("run", "flow.toml", "--detach", "--no-reuse")
            engine = worker()
            time.sleep(random.uniform(0.1, 0.8))
            engine.kill()
            engine.wait()
        engine = worker()
        database = f"file:{folder}/state/stepwell.db?mode=ro"
        count = lambda sql: sqlite3.connect(database, uri=True).execute(sql).fetchone()[0]
        deadline = time.time() + 120
        while time.time() < deadline and (
            count("SELECT count(*) FROM run WHERE finished_at IS NULL")
            or count("SELECT count(*) FROM webhook_message WHERE next_at IS NOT NULL")
        ):
            time.sleep(0.2)
        engine.send_signal(signal.SIGINT)
        engine.wait()
        rows = sqlite3.connect(database, uri=True).execute("SELECT kind, run FROM event").fetchall()
        happened = collections.Counter((PAIRS[kind], run) for kind, run in rows if kind in PAIRS)
        call("db", "check")
    messages = [json.loads(body) for body in Receiver.accepted.values()]
    arrived = collections.Counter((message["type"], message["data"]["run"]["id"]) for message in messages)
    print(f"{arguments.kills} kills: {sum(happened.values())} events, {len(messages)} ids accepted, {Receiver.requests} requests")
    for problem in sorted(set(Receiver.problems)):
        print("problem:", problem)
    if arrived != happened:
        print("missing:", happened - arrived, "too many:", arrived - happened)
    raise SystemExit(0 if arrived == happened and not Receiver.problems else 1)


main()
