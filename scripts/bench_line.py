"""Reads one request per line of standard input, writes one JSON object per line of standard output.

`stepwell bench` starts a script as `SCRIPT FOLDER MODE THREADS`. The first line of output says that
the script is ready, or which module is missing.
"""

import importlib
import json
import sys

# Output of libraries goes to standard error, so it cannot mix with the answers.
ANSWERS = sys.stdout
sys.stdout = sys.stderr


def answer(value):
    ANSWERS.write(json.dumps(value) + "\n")
    ANSWERS.flush()


def need(*modules):
    """Imports modules; ends the script with a line that names the first missing one."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            answer({"missing": error.name or module})
            sys.exit(0)


def serve(version, handlers):
    """Answers requests `NAME [NUMBER]` until standard input ends."""
    answer({"ready": {"version": version}})
    for line in sys.stdin:
        name, *arguments = line.split()
        answer(handlers[name](*map(int, arguments)))
