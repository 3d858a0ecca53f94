"""One of several processes: command lines of ours, one after the other.

    python -m tests.support.verbs_worker COMMANDS

COMMANDS is JSON, a list of lists of words. A line of JSON for each: status, output, errors.
"""

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from l2hmc_bridge.cli import main


def said(words):
    """(status, output, errors) of a command line."""
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors):
        status = main(words)
    return status, output.getvalue(), errors.getvalue()


def run(commands):
    """Say what each of them says."""
    for command in json.loads(Path(commands).read_text()):
        print(json.dumps(said(command)), flush=True)
        os.environ["MASTER_PORT"] = str(int(os.environ["MASTER_PORT"]) + 1)


if __name__ == "__main__":
    run(sys.argv[1])
