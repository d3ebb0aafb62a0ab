"""The official `openai` client against `stepwell serve`. Started by openai.sh."""

import argparse
import contextlib
import http.client
import http.server
import json
import os
import random
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import openai
from openai import OpenAI

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "crates/models/src/tests/tiny_llama.gguf"


class Server:
    """A server that can be killed and started again, on the same port."""

    def __init__(self, stepwell, model, folder):
        self.command = [stepwell, "--output", "json", "--state-dir", str(folder / "state"), "serve"]
        self.model, self.folder, self.port, self.token, self.process = model, folder, 0, None, None

    def start(self):
        listen = f"127.0.0.1:{self.port}"
        command = [*self.command, "--listen", listen, "--model", f"m={self.model}"]
        log = open(self.folder / "server.log", "ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=self.folder)
        for line in self.process.stdout:
            told = json.loads(line)
            if told.get("type") == "serving":
                self.port = int(told["address"].rsplit(":", 1)[1])
                self.token = told.get("token") or self.token
                break
        else:
            raise SystemExit(f"no server: {(self.folder / 'server.log').read_text()}")
        # Nobody reads the progress.
        threading.Thread(target=lambda: [None for _ in self.process.stdout], daemon=True).start()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def client(self, **more):
        options = {"base_url": f"http://127.0.0.1:{self.port}/v1", "api_key": self.token, "max_retries": 4, **more}
        return OpenAI(**options)


class LosingProxy(http.server.BaseHTTPRequestHandler):
    """Passes requests on, and drops the connection instead of the first answer to each POST."""

    protocol_version = "HTTP/1.1"
    server_port = 0
    seen, lost = {}, 0

    def log_message(self, *_):
        pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        connection = http.client.HTTPConnection("127.0.0.1", LosingProxy.server_port, timeout=120)
        connection.request(self.command, self.path, body, {**headers, "Host": f"127.0.0.1:{LosingProxy.server_port}"})
        answer = connection.getresponse()
        content = answer.read()
        # A form has another boundary in every try, so a request is known by its path and its length.
        key = (self.path, len(body))
        if self.command == "POST" and not LosingProxy.seen.get(key):
            LosingProxy.seen[key] = True
            LosingProxy.lost += 1
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = answer


class Hooks(http.server.BaseHTTPRequestHandler):
    """Receives webhooks about batches, and lets the client check their signatures."""

    protocol_version = "HTTP/1.1"
    secret, told, problems = "", {}, []

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        try:
            event = OpenAI(api_key="none").webhooks.unwrap(body, dict(self.headers.items()), secret=Hooks.secret)
            Hooks.told.setdefault(event.data.id, {})[event.id] = event.type
        except Exception as error:  # noqa: BLE001 - whatever the client finds
            Hooks.problems.append(f"{type(error).__name__}: {error}")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextlib.contextmanager
def hooked(stepwell, folder):
    """Settings that send webhooks about batches to a receiver."""
    Hooks.told, Hooks.problems = {}, []
    Hooks.secret = subprocess.run(
        [stepwell, "webhook", "secret"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()
    (folder / "hook.secret").write_text(Hooks.secret)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hooks) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        (folder / "stepwell.toml").write_text(
            f'crash_loop_limit = 0\n[[webhook]]\nurl = "http://127.0.0.1:{receiver.server_port}/"\n'
            'secret = { file = "hook.secret" }\nevents = ["batch.*"]\nretries = ["100ms", "1s", "5s"]\n'
        )
        yield
        receiver.shutdown()


def lines(count, more=None, start=0):
    out = []
    for number in range(start, start + count):
        body = {"model": "m", "prompt": f"Number {number} is", "max_tokens": 8, "temperature": 0, **(more or {})}
        out.append(json.dumps({"custom_id": f"r{number}", "method": "POST", "url": "/v1/completions", "body": body}))
    return ("\n".join(out) + "\n").encode()


def create(client, file, **metadata):
    return client.batches.create(
        input_file_id=file.id, endpoint="/v1/completions", completion_window="24h", metadata=metadata or None
    )


def wait(client, batch, statuses=("completed", "failed", "expired", "cancelled"), seconds=300):
    end = time.time() + seconds
    while time.time() < end:
        try:
            batch = client.batches.retrieve(batch.id)
        except (openai.APIConnectionError, openai.InternalServerError):
            pass
        if batch.status in statuses:
            return batch
        time.sleep(0.1)
    raise AssertionError(f"still {batch.status}: {batch}")


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}")


def ids(content):
    return [json.loads(line)["custom_id"] for line in content.splitlines()]


def files(client):
    file = client.files.create(file=("in.jsonl", lines(5)), purpose="batch")
    assert client.files.create(file=("in.jsonl", lines(5)), purpose="batch").id == file.id
    assert client.files.wait_for_processing(file.id).status == "processed"
    assert client.files.content(file.id).read() == lines(5)
    expiring = client.files.create(
        file=("b.jsonl", b"x\n"), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    # A file that was there already, because an answer was lost, keeps its age and lasts longer.
    assert 3600 <= expiring.expires_at - expiring.created_at < 3660
    seen = [found.id for found in client.files.list(limit=1)]
    assert sorted(seen) == sorted([file.id, expiring.id]), seen
    assert client.files.delete(expiring.id).deleted
    refused(openai.NotFoundError, lambda: client.files.retrieve(expiring.id))
    return file


def batches(client, file):
    batch = create(client, file)
    # The answer to a request that was repeated comes later.
    assert batch.status in ("validating", "in_progress", "finalizing", "completed"), batch
    assert batch.status == "completed" or (batch.output_file_id is None and batch.error_file_id is None), batch
    assert create(client, file).id == batch.id
    done = wait(client, batch)
    assert done.status == "completed", done
    assert (done.request_counts.total, done.request_counts.completed) == (5, 5), done
    output = client.files.content(done.output_file_id).text
    assert ids(output) == [f"r{number}" for number in range(5)]
    first = json.loads(output.splitlines()[0])
    assert first["response"]["status_code"] == 200 and first["error"] is None
    assert first["response"]["body"]["choices"][0]["finish_reason"] in ("stop", "length")
    others = [create(client, file, rerun=str(number)).id for number in range(4)]
    listed = [found.id for found in client.batches.list(limit=2)]
    assert sorted(listed) == sorted([batch.id, *others]), "paging must end, and list each batch once"
    for other in others:
        assert wait(client, client.batches.retrieve(other)).status == "completed"
    return done


def bad_lines(client):
    text = b'{"custom_id": "a"\n' + lines(1) + lines(1)
    batch = create(client, client.files.create(file=("bad.jsonl", text), purpose="batch"))
    failed = wait(client, batch)
    assert failed.status == "failed" and [error.line for error in failed.errors.data] == [1, 3], failed
    mixed = lines(2, start=100) + lines(1, {"n": 10**9}, start=102)
    done = wait(client, create(client, client.files.create(file=("mixed.jsonl", mixed), purpose="batch")))
    assert done.status == "completed" and (done.request_counts.completed, done.request_counts.failed) == (2, 1), done
    wrong = json.loads(client.files.content(done.error_file_id).text)
    assert wrong["custom_id"] == "r102" and wrong["response"]["body"]["error"]["param"] == "n", wrong


def cancel(client, rows):
    rows *= 100
    text = lines(rows, {"max_tokens": 64, "ignore_eos": True}, start=1000)
    batch = create(client, client.files.create(file=("long.jsonl", text), purpose="batch"))
    wait(client, batch, ("in_progress",))
    while client.batches.retrieve(batch.id).request_counts.completed == 0:
        time.sleep(0.05)
    assert client.batches.cancel(batch.id).status == "cancelling"
    started = time.time()
    ended = wait(client, batch)
    assert ended.status == "cancelled", ended
    found = []
    for file in (ended.output_file_id, ended.error_file_id):
        found += ids(client.files.content(file).text) if file else []
    assert sorted(found) == sorted(f"r{number}" for number in range(1000, 1000 + rows)), "each row once"
    return time.time() - started, ended.request_counts.completed


def errors(server, client):
    wrong = refused(openai.AuthenticationError, lambda: server.client(api_key="swt_wrong").models.list())
    assert wrong.request_id and "Bearer" in wrong.response.headers["www-authenticate"]
    refused(openai.BadRequestError, lambda: client.embeddings.create(model="m", input="x"))
    refused(openai.NotFoundError, lambda: client.chat.completions.create(model="none", messages=[{"role": "user", "content": "x"}]))
    error = refused(openai.BadRequestError, lambda: client.completions.create(model="m", prompt="x", n=10**9))
    assert error.param == "n" and error.code == "invalid_value", error
    refused(openai.BadRequestError, lambda: client.batches.create(
        input_file_id="file-x", endpoint="/v1/completions", completion_window="24h"))


def completions(client):
    assert [model.id for model in client.models.list()] == ["m"]
    assert client.models.retrieve("m").id == "m"
    whole = client.completions.create(model="m", prompt="Once upon", max_tokens=12, temperature=0)
    parts = list(client.completions.create(
        model="m", prompt="Once upon", max_tokens=12, temperature=0, stream=True, stream_options={"include_usage": True}))
    text = "".join(part.choices[0].text for part in parts if part.choices)
    assert text == whole.choices[0].text, (text, whole)
    assert parts[-1].usage.completion_tokens == whole.usage.completion_tokens == 12
    scored = client.completions.create(model="m", prompt="Once", max_tokens=3, temperature=0, logprobs=2)
    assert len(scored.choices[0].logprobs.token_logprobs) == 3
    several = client.completions.create(model="m", prompt=["a", "b"], n=2, max_tokens=4, seed=7, temperature=1)
    assert [choice.index for choice in several.choices] == [0, 1, 2, 3]
    again = client.completions.create(model="m", prompt=["a", "b"], n=2, max_tokens=4, seed=7, temperature=1)
    assert [choice.text for choice in several.choices] == [choice.text for choice in again.choices]


def chat(client):
    messages = [{"role": "user", "content": "Hi"}]
    try:
        whole = client.chat.completions.create(model="m", messages=messages, max_tokens=6, temperature=0)
    except openai.BadRequestError as error:
        return f"no chat: {error.message}"
    parts = list(client.chat.completions.create(model="m", messages=messages, max_tokens=6, temperature=0, stream=True))
    text = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
    assert text == whole.choices[0].message.content and parts[0].choices[0].delta.role == "assistant"
    assert parts[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    return "chat"


@contextlib.contextmanager
def losing(server):
    """A client whose requests go through a proxy that loses the first answer to each POST."""
    LosingProxy.server_port, LosingProxy.seen, LosingProxy.lost = server.port, {}, 0
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), LosingProxy) as proxy:
        proxy.daemon_threads = True
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield server.client(base_url=f"http://127.0.0.1:{proxy.server_address[1]}/v1")
        proxy.shutdown()


def proxy(client):
    before = len(list(client.batches.list()))
    file = client.files.create(file=("p.jsonl", lines(3, start=500)), purpose="batch")
    batch = create(client, file)
    assert wait(client, batch).status == "completed"
    assert len(list(client.batches.list())) == before + 1, "a lost answer made a second batch"


def webhooks(client):
    """Each batch that has ended was told once, under one id, with a signature that the client accepts."""
    ended = {batch.id: f"batch.{batch.status}" for batch in client.batches.list()}
    end = time.time() + 30
    while time.time() < end and set(Hooks.told) != set(ended):
        time.sleep(0.2)
    assert not Hooks.problems, Hooks.problems
    assert {batch: list(events.values()) for batch, events in Hooks.told.items()} == {
        batch: [kind] for batch, kind in ended.items()
    }, (Hooks.told, ended)
    return len(ended)


def kills(server, client, count, rows, seed):
    """The same batch, killed again and again and undisturbed: equal files, each row once."""
    rng = random.Random(seed)
    rows *= 25
    text = lines(rows, {"max_tokens": 32, "ignore_eos": True}, start=2000)
    file = client.files.create(file=("k.jsonl", text), purpose="batch")
    batch = create(client, file, rerun="killed")
    done = 0
    for _ in range(count):
        time.sleep(rng.uniform(0.05, 1.5))
        server.kill()
        done += 1
        server.start()
        client = server.client()
        if client.batches.retrieve(batch.id).status == "completed":
            break
    killed = wait(client, batch)
    assert killed.status == "completed", killed
    output = client.files.content(killed.output_file_id).read()
    assert ids(output) == [f"r{number}" for number in range(2000, 2000 + rows)]
    return done, killed.output_file_id


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stepwell", required=True)
    parser.add_argument("--model", default=str(TINY))
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with serving(args) as server:
        everything(server, server.client(), args)
        if args.kills:
            done, file = kills(server, server.client(), args.kills, args.rows, args.seed)
            print(f"kills: {done}, each row once, {file[:17]}", flush=True)
    print("all of it again, through a proxy that loses the first answer to each POST", flush=True)
    with serving(args) as server, losing(server) as client:
        everything(server, client, args)
        proxy(client)
        assert LosingProxy.lost > 15, LosingProxy.lost
        print(f"proxy: {LosingProxy.lost} answers lost, no batch twice", flush=True)
    print("OK")


@contextlib.contextmanager
def serving(args):
    """A server in a folder of its own."""
    stepwell = os.path.abspath(args.stepwell)
    with tempfile.TemporaryDirectory() as folder, hooked(stepwell, Path(folder)):
        server = Server(stepwell, os.path.abspath(args.model), Path(folder))
        server.start()
        try:
            yield server
        except BaseException:
            sys.stderr.write((Path(folder) / "server.log").read_text()[-4000:])
            raise
        finally:
            server.process.kill()
            server.process.wait()


def everything(server, client, args):
    file = files(client)
    print("files: upload, repeat, wait, content, expiry, paging, delete", flush=True)
    completions(client)
    print(f"completions: whole, stream, log-probabilities, n, seed; {chat(client)}", flush=True)
    errors(server, client)
    print("errors: 401, 404, 400 with the classes of the client", flush=True)
    batches(client, file)
    print("batches: states, repeat, content, paging", flush=True)
    bad_lines(client)
    print("bad lines: named, or error lines", flush=True)
    seconds, done = cancel(client, args.rows)
    print(f"cancel: {seconds:.1f} s, {done} rows kept", flush=True)
    print(f"webhooks: {webhooks(client)} batches told, each once", flush=True)


if __name__ == "__main__":
    main()
