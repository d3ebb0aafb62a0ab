"""One request per line of standard input, one JSON object per line of standard output.

`stepwell bench` starts a script as `SCRIPT FOLDER MODE THREADS`. The first line it gets back says
that the script is ready, or which module is missing.
"""

import importlib
import json
import sys

# Whatever a library prints must not get between the answers.
ANSWERS = sys.stdout
sys.stdout = sys.stderr


def answer(value):
    ANSWERS.write(json.dumps(value) + "\n")
    ANSWERS.flush()


def need(*modules):
    """Imports modules; ends the script with a line that names the first one that is not there."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            answer({"missing": error.name or module})
            sys.exit(0)


def serve(version, handlers):
    """Answers requests `NAME [NUMBER]` until there are no more."""
    answer({"ready": {"version": version}})
    for line in sys.stdin:
        name, *arguments = line.split()
        answer(handlers[name](*map(int, arguments)))
