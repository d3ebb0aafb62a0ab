"""Results of a check: one JSON file that is rewritten after every result, so that a check that is cut off still tells
what it found."""

import json
import os
import threading
import time
import traceback


class Skip(Exception):
    """Ends a part that cannot run here; the text says why."""


class Failure(Exception):
    """Ends a part that found something wrong; the text says what."""


class Report:
    def __init__(self, path, facts):
        self.path, self.started = path, time.monotonic()
        # Both sides of a comparison add their progress.
        self.writing = threading.RLock()
        self.data = {"schema": 1, **facts, "finished": False, "seconds": 0.0, "parts": []}
        self.write()

    def elapsed(self):
        return time.monotonic() - self.started

    def note(self, **facts):
        self.data.update(facts)
        self.write()

    def write(self):
        with self.writing:
            self.data["seconds"] = round(self.elapsed(), 1)
            temporary = self.path.with_suffix(".new")
            temporary.write_text(json.dumps(self.data, indent=1) + "\n")
            os.replace(temporary, self.path)

    def run(self, name, seconds, work):
        """Runs `work(part)` with `seconds` to spend, and records how it ends."""
        part = Part(self, name, seconds)
        self.data["parts"].append(part.data)
        self.write()
        try:
            if seconds < 1:
                raise Skip("no time is left")
            work(part)
            part.end("ok", None)
        except Skip as reason:
            part.end("skipped", str(reason))
        except Failure as reason:
            part.end("failed", str(reason))
        except Exception as error:
            part.data["traceback"] = traceback.format_exc().splitlines()[-6:]
            part.end("failed", f"{type(error).__name__}: {error}")

    def finish(self):
        self.note(finished=True)
        return all(part["status"] != "failed" for part in self.data["parts"])


class Part:
    """One part of the check, with a deadline and a result that grows."""

    def __init__(self, report, name, seconds):
        self.report, self.started = report, time.monotonic()
        self.deadline = self.started + seconds
        self.limit = seconds
        self.data = {"name": name, "status": "running", "reason": None, "seconds": 0.0, "limit": round(seconds), "result": {}}
        self.result = self.data["result"]

    def left(self):
        return self.deadline - time.monotonic()

    def known(self, **results):
        """Adds results and writes the file."""
        with self.report.writing:
            self.result.update(results)
            self.data["seconds"] = round(time.monotonic() - self.started, 1)
            self.report.write()

    def end(self, status, reason):
        self.data.update(status=status, reason=reason)
        self.known()
        print(f"{status:<8}{self.data['seconds']:>6.1f} s  {self.data['name']}" + (f": {reason}" if reason else ""), flush=True)
