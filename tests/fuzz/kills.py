"""Streams killed at random moments and resumed: `make kills`, or python tests/fuzz/kills.py.

Of every kind of stream one runs to its end; copies of it get SIGKILL again and again, at random
moments from their first step to their last write, and are resumed until they are complete. Status
1 unless every file of every copy is that of the whole stream (but for seconds and times of day).
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch  # noqa: E402

from l2hmc_bridge.cli import main as command  # noqa: E402
from tests.cli.sample.test_sample import write_start  # noqa: E402
from tests.support.streams import contents, differences  # noqa: E402

MOST_KILLS, TRAJECTORIES = 4, 24
COMMON = ["-n", str(TRAJECTORIES), "--seed", "3"]
KINDS = {
    "HMC": ["--in", "{start}", "--kernel", "hmc", "--tune", "3"],
    "HMC, two chains, measured": ["--in", "{start}", "--kernel", "hmc", "--tune", "2", "--chains",
                                  "2", "--measure", "flow", "--flow-time", "0.1"],
    "the bundle that ships": ["--in", "{start}", "--tune", "3"],
    "heat bath": ["--in", "{start}", "--kernel", "heatbath"],
    "every third configuration": ["--in", "{start}", "--kernel", "hmc", "--tune", "2",
                                  "--keep-every", "3", "--save-every", "2"],
    "no configurations, NERSC start": ["--in", "{nersc}", "--kernel", "hmc", "--tune", "2",
                                       "--save-every", "7"],
}


def started(words: Sequence[str], log: Path) -> int:
    """A child process that runs the verb `sample`; its process id."""
    child = os.fork()
    if child:
        return child
    status = 99
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        status = command(["sample", *words])
    except BaseException:  # whatever it is belongs into the log, and no child goes on from here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def ended(child: int, seconds: float | None = None) -> int:
    """Exit status of the child, -9 if SIGKILL after `seconds` came first."""
    end = time.monotonic() + (600 if seconds is None else seconds)
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_until_complete(words: Sequence[str], folder: Path, whole_seconds: float,
                          moments: random.Random) -> tuple[int, str]:
    """Kill and resume the stream in `folder` until it ends: (number of kills, what went wrong)."""
    log, kills, words = folder.with_suffix(".log"), 0, list(words)
    while True:
        wait = None if kills == MOST_KILLS else moments.uniform(0.0, whole_seconds)
        status = ended(started(words, log), wait)
        if status == 0:
            return kills, ""
        if status != -signal.SIGKILL or wait is None:
            return kills, f"status {status}: {log.read_text()[-1500:]}"
        kills += 1
        if (folder / "state.safetensors").exists():
            words = ["--in", str(folder), "--resume"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=60, help="killed streams in all")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)  # before anything is computed: a forked pool of threads is none
    moments, identical, kills = random.Random(given.seed), 0, 0
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        places = {"start": write_start(base / "start.ildg"), "nersc": write_start(base / "s.nersc")}
        for number in range(given.streams):
            kind = list(KINDS)[number % len(KINDS)]
            words = [word.format(**places) for word in KINDS[kind]] + COMMON
            whole, folder = base / f"whole_{number % len(KINDS)}", base / f"stream_{number}"
            if kind not in seconds:
                began = time.monotonic()
                status = ended(started([*words, "--out", str(whole)], base / "whole.log"))
                assert status == 0, (base / "whole.log").read_text()
                seconds[kind] = time.monotonic() - began
            count, wrong = killed_until_complete([*words, "--out", str(folder)], folder,
                                                 seconds[kind], moments)
            wrong = wrong or "\n".join(differences(contents(whole), contents(folder)))
            identical, kills = identical + (not wrong), kills + count
            print(f"{number + 1:3}  {kind}: {count} kills, "
                  f"{'identical' if not wrong else 'NOT IDENTICAL: ' + wrong}", flush=True)
    print(f"{identical} of {given.streams} streams identical after {kills} kills")
    return int(identical != given.streams)


if __name__ == "__main__":
    sys.exit(main())
