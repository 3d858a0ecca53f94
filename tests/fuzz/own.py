"""Fuzz every reader of this package's own files: `make fuzz`, or python tests/fuzz/own.py.

Bundles, states and logs of streams, logs of hosts' streams, TOML, logs of other codes: damaged, or
forged with digests that fit. Status 1 if anything but a BridgeError came out of a reader, it took
longer than SECONDS, memory grew, or a process died.
"""

import argparse
import random
import shutil
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from l2hmc_bridge.errors import BridgeError  # noqa: E402
from tests.fuzz import children  # noqa: E402
from tests.support.own_files import KINDS  # noqa: E402

SECONDS = 5.0  # of processor time, for one small file
MEMORY_GROWTH = 256 << 20


def examine(kind: str, good: Path, folder: Path, number: int) -> str:
    """"refused" or "accepted" of the file that this number spoils; AssertionError, or anything
    else that is no BridgeError, is a finding."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good, folder)
    KINDS[kind].spoil(folder, random.Random(f"{kind} {number}"))
    began = time.process_time()
    try:
        KINDS[kind].read(folder)
        verdict = "accepted"
    except BridgeError as error:
        assert len(str(error)) < 2000 and "\n" not in str(error), repr(str(error))[:3000]
        verdict = "refused"
    took = time.process_time() - began
    assert took < SECONDS, f"{took:.1f} s"
    return verdict


def batch(kind: str, first: int, count: int, folder: Path) -> None:
    """Examine the files numbered first .. first+count-1."""
    good, verdicts = folder / "good", Counter()
    good.mkdir()
    KINDS[kind].make(good)
    for number in range(first, first + count):
        (folder / "current").write_text(f"{number} of {kind}")
        before = children.peak()
        verdicts[examine(kind, good, folder / "spoiled", number)] += 1
        assert children.peak() - before <= MEMORY_GROWTH, "memory"
    print(verdicts["refused"], verdicts["accepted"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100000, help="spoiled files of each kind")
    parser.add_argument("--start", type=int, default=0, help="number of the first")
    parser.add_argument("--kind", choices=KINDS, action="append", help="one kind alone")
    parser.add_argument("--batch", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.batch:
        warnings.simplefilter("error")
        batch(options.kind[0], options.start, options.count, options.batch)
        return 0
    good = [children.run(__file__, ["--kind", kind], options.count, options.start, kind)
            for kind in options.kind or KINDS]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
