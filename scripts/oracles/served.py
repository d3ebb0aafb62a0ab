"""A server in a folder of its own, for the scripts beside this file."""

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
import urllib.request

QUICK = 'name = "quick"\n[[step]]\nid = "count"\nkind = "command"\nwith = { shell = "seq 3" }\n'


class Served:
    def __init__(self, folder, told):
        self.folder, self.url, self.token = folder, told["url"].rstrip("/"), told["token"]

    def get(self, path, **headers):
        request = urllib.request.Request(self.url + path, headers={"authorization": f"Bearer {self.token}", **headers})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode(), answer.headers["content-type"]

    def json(self, path):
        return json.loads(self.get(path)[0])


@contextlib.contextmanager
def served(binary, *words):
    """Starts a server with a run in it."""
    binary = os.path.abspath(binary)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "quick.toml").write_text(QUICK)
        subprocess.run([binary, "run", "quick.toml"], cwd=folder, check=True, capture_output=True)
        server = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", "--output", "json", *words],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            yield Served(folder, json.loads(server.stdout.readline()))
        finally:
            server.kill()
            server.wait()
