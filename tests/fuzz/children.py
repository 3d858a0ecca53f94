"""Batches of spoiled files in processes of their own: a crash costs one batch and is reported."""

import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

BATCH = 2500
HANGS = 300  # seconds on one small file; readers have ends of their own


def peak() -> int:
    """Most memory that this process ever held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def run(script: str, words: Sequence[str], count: int, start: int, title: str) -> bool:
    """All batches of `script`; True if none failed. A failure costs the rest of its batch."""
    total: Counter = Counter()
    failures, begin, at = 0, time.perf_counter(), start
    while at < start + count:
        verdicts, at, failure = _in_child(script, words, at, min(BATCH, start + count - at))
        total += verdicts
        failures += bool(failure)
        if failure:
            print(failure, flush=True)
    seconds = time.perf_counter() - begin
    print(f"{title}: {sum(total.values())} spoiled files in {seconds:.0f} s: {total['refused']} "
          f"refused, {total['accepted']} accepted (what was spoiled is of no effect or has no "
          f"checksum); {failures} failures", flush=True)
    return not failures


def _in_child(
    script: str, words: Sequence[str], first: int, count: int
) -> tuple[Counter, int, str]:
    """A batch in a process of its own: (verdicts, where to go on, what went wrong or "")."""
    with tempfile.TemporaryDirectory() as name:
        current = Path(name, "current")
        command = [sys.executable, "-W", "error", script, "--batch", name, "--start", str(first),
                   "--count", str(count), *words]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 text=True)
        while True:
            try:
                told = child.communicate(timeout=10)[0]
                break
            except subprocess.TimeoutExpired:
                if current.exists() and time.time() - current.stat().st_mtime > HANGS:
                    child.kill()
        counts = told.split()
        if len(counts) == 2 and all(map(str.isdigit, counts)):  # it came to its end
            refused, accepted = map(int, counts)
            return Counter(refused=refused, accepted=accepted), first + count, ""
        number = current.read_text() if current.exists() else f"{first + count} of none"
        what = "hung" if child.returncode == -signal.SIGKILL else f"status {child.returncode}"
        return Counter(), int(number.split()[0]) + 1, f"mutation {number}: {what}: {told[-1500:]}"
