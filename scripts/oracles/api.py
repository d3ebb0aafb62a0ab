"""See api.sh."""

import argparse
import json
import os
import subprocess
import sys

import hypothesis
import requests
import schemathesis

from served import served

STREAMS = {"/api/v1/events", "/api/v1/runs/{run}/steps/{step}/attempts/{attempt}/log/follow"}
CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance"


TOKEN = "/api/v1/tokens/{token}"
# Names of what the server has, so that requests get beyond `not found`.
REAL = """
[parameters]
"path.run" = "last"
"path.step" = "count"
"path.attempt" = 1
"path.workflow" = "commands"
"path.schedule" = "nightly"
"""


def fuzz(server, examples, *more):
    """Routes whose answers end."""
    (server.folder / "openapi.json").write_text(json.dumps(server.json("/api/v1/openapi.json")))
    command = [
        os.path.join(os.path.dirname(sys.executable), "schemathesis"), "run", "openapi.json",
        "--url", server.url, "--header", f"Authorization: Bearer {server.token}", "--checks", CHECKS,
        "--phases", "coverage,fuzzing", "--max-examples", str(examples), "--request-timeout", "20", "--seed", "1",
        "--continue-on-failure", "--suppress-health-check", "all", "--rate-limit", "15/s", *more,
    ]
    return subprocess.run(command, cwd=server.folder).returncode == 0


def common(server, examples):
    """All routes, with any names and with real ones. A token that is revoked on the way is not the one that is used."""
    others = [word for path in [*STREAMS, TOKEN] for word in ("--exclude-path", path)]
    good = fuzz(server, examples, *others)
    (server.folder / "schemathesis.toml").write_text(REAL)
    good &= fuzz(server, examples, *others)
    (server.folder / "schemathesis.toml").unlink()
    # Whatever was asked, this token still works.
    server.json("/api/v1/health")
    good &= fuzz(server, examples * 5, "--include-path", TOKEN)
    return good and server.get("/healthz")[0].strip() == "ok"


def streams(server, examples):
    """The head of the answer, and the first bytes of a stream."""
    schema = schemathesis.openapi.from_dict(server.json("/api/v1/openapi.json"))
    problems, seen = set(), {}

    def ask(case):
        kwargs = case.as_transport_kwargs(base_url=server.url, headers={"Authorization": f"Bearer {server.token}"})
        try:
            answer = requests.request(**kwargs, stream=True, timeout=(5, 5))
        except requests.exceptions.RequestException as error:
            # What no client can send.
            if not isinstance(error, (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL)):
                problems.add(f"{case.operation.path}: {error!r}")
            return
        with answer:
            kind = answer.headers.get("content-type", "")
            seen[(case.operation.path, answer.status_code)] = seen.get((case.operation.path, answer.status_code), 0) + 1
            expected = "text/event-stream" if answer.status_code == 200 else "application/problem+json"
            if answer.status_code >= 500 or not kind.startswith(expected):
                problems.add(f"{case.operation.path}: {answer.status_code} {kind} for {kwargs}")

    for path in sorted(STREAMS):
        operation = schema[path]["GET"]
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            try:
                strategy = operation.as_strategy(generation_mode=mode)
            except Exception as error:  # noqa: BLE001 - there may be no wrong request
                print(f"{path} {mode}: {error}")
                continue

            @hypothesis.given(case=strategy)
            @hypothesis.settings(max_examples=examples, deadline=None, derandomize=True, database=None,
                                 suppress_health_check=list(hypothesis.HealthCheck))
            def each(case):
                ask(case)

            each()
        # One that exists.
        steps = server.json("/api/v1/runs/last/steps")["steps"]
        real = path.format(run="last", step=steps[0]["id"], attempt=1)
        with requests.get(server.url + real + "?after=0" * (path == "/api/v1/events"), stream=True, timeout=5,
                          headers={"Authorization": f"Bearer {server.token}"}) as answer:
            first = next(answer.iter_content(64))
            if not first.startswith((b"id:", b"retry:", b"data:", b"event:", b":")):
                problems.add(f"{real} starts with {first!r}")
    print("streams:", seen)
    return problems


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--stepwell", required=True)
    arguments.add_argument("--examples", type=int, default=20)
    arguments = arguments.parse_args()
    with served(arguments.stepwell) as server:
        # The fuzzers leave files where they work.
        os.chdir(server.folder)
        problems = streams(server, arguments.examples * 3)
        good = common(server, arguments.examples)
    for problem in sorted(problems):
        print("problem:", problem)
    raise SystemExit(0 if good and not problems else 1)


main()
