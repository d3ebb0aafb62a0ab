"""See otel.sh."""

import argparse
import base64
import collections
import http.server
import json
import os
import pathlib
import random
import re
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

FLOW = """
name = "flow"
[[step]]
id = "many"
kind = "command"
for_each = "[1, 2]"
with = { shell = "sleep 0.05; echo {{ item }}" }
[[step]]
id = "shaky"
kind = "command"
needs = ["many"]
retry = { maximum_attempts = 3, initial_interval = "50ms" }
with = { shell = "sleep 0.1; [ $(( $(date +%N | cut -c1) % 2 )) != 0 ]" }
"""


class Collector(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    spans = {}
    problems = []
    requests = 0
    twice = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        Collector.requests += 1
        answer = random.choice([200, 200, 200, 503, 429])
        if self.path != "/v1/traces" or self.headers["x-key"] != "a b":
            Collector.problems.append(f"{self.path} with {self.headers['x-key']}")
        if answer == 200:
            self.take(body)
        self.send_response(answer)
        self.send_header("content-length", "2")
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")

    def take(self, body):
        document = json.loads(body)
        # OTLP has ids in hexadecimal digits where the JSON of protocol buffers has base64.
        for resource in document["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    for key, size in (("traceId", 32), ("spanId", 16), ("parentSpanId", 16)):
                        if key in span:
                            if not re.fullmatch(f"[0-9a-f]{{{size}}}", span[key]):
                                Collector.problems.append(f"{key} {span[key]}")
                            span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
        request = json_format.Parse(json.dumps(document), trace_service_pb2.ExportTraceServiceRequest())
        for resource in request.resource_spans:
            attributes = {one.key: one.value.string_value for one in resource.resource.attributes}
            if attributes.get("service.name") != "lab":
                Collector.problems.append(f"resource {attributes}")
            for scope in resource.scope_spans:
                for span in scope.spans:
                    key = (span.trace_id, span.span_id)
                    Collector.twice += key in Collector.spans
                    if Collector.spans.setdefault(key, span) != span:
                        Collector.problems.append(f"two spans {span.name} of one id")
                    if not 0 < span.start_time_unix_nano <= span.end_time_unix_nano:
                        Collector.problems.append(f"times of {span.name}")

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
    arguments.add_argument("--kills", type=int, default=10)
    arguments.add_argument("--seed", type=int, default=1)
    arguments = arguments.parse_args()
    random.seed(arguments.seed)
    binary = os.path.abspath(arguments.stepwell)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b",
        "OTEL_SERVICE_NAME": "lab",
    }
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        quiet = {"cwd": folder, "env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        (folder / "flow.toml").write_text(FLOW)
        (folder / "stepwell.toml").write_text("crash_loop_limit = 0\n")
        database = f"file:{folder}/state/stepwell.db?mode=ro"
        rows = lambda sql: sqlite3.connect(database, uri=True).execute(sql).fetchall()
        for _ in range(arguments.kills):
            subprocess.run([binary, "run", "flow.toml", "--detach", "--no-reuse"], check=True, **quiet)
            engine = subprocess.Popen([binary, "worker"], **quiet)
            time.sleep(random.uniform(0.1, 0.9))
            engine.kill()
            engine.wait()
        engine = subprocess.Popen([binary, "worker"], **quiet)
        last = lambda: rows("SELECT max(seq) FROM event WHERE kind IN ('run_succeeded', 'run_failed')")[0][0]
        sent = lambda: rows("SELECT max(seq) FROM event_cursor WHERE name = 'otel/traces'")[0][0]
        deadline = time.time() + 120
        while time.time() < deadline and (rows("SELECT count(*) FROM run WHERE finished_at IS NULL")[0][0] or sent() < last()):
            time.sleep(0.2)
        engine.send_signal(signal.SIGINT)
        engine.wait()
        # A failed run that continues is a span of its own, in the same trace.
        failed = [run for (run,) in rows("SELECT id FROM run WHERE status = 'failed'")]
        for run in failed[:3]:
            subprocess.run([binary, "resume", run], **quiet)
        engine = subprocess.Popen([binary, "worker"], **quiet)
        while time.time() < deadline and sent() < last():
            time.sleep(0.2)
        engine.send_signal(signal.SIGINT)
        engine.wait()
        events = collections.Counter(dict(rows("SELECT kind, count(*) FROM event GROUP BY kind")))
        runs = {bytes.fromhex(run.replace("-", "")) for (run,) in rows("SELECT id FROM run")}
    spans = Collector.spans
    for (trace, _), span in spans.items():
        if span.parent_span_id and (trace, span.parent_span_id) not in spans:
            Collector.problems.append(f"{span.name} has a parent that never arrived")
        if trace not in runs:
            Collector.problems.append("a trace that is no run")
    names = collections.Counter(span.name.split(" ")[0] for span in spans.values())
    expected = {
        "run": events["run_succeeded"] + events["run_failed"],
        "attempt": events["attempt_started"],
        "many": len(runs),
        "shaky": events["step_failed"] + sum(1 for span in spans.values() if span.name == "shaky" and span.status.code != 2),
    }
    for name, count in expected.items():
        if names[name] != count:
            Collector.problems.append(f"{names[name]} spans `{name}`, not {count}")
    print(f"{arguments.kills} kills, {len(failed)} failed runs: {len(spans)} spans in {len(runs)} traces, {Collector.requests} requests, {Collector.twice} spans twice")
    for problem in sorted(set(Collector.problems)):
        print("problem:", problem)
    raise SystemExit(1 if Collector.problems else 0)


main()
