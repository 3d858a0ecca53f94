"""Fuzz every reader of gauge files: `make fuzz`, or python tests/fuzz/formats.py --count 100000.

It runs the structured mutations of tests/support/mutations.py in child processes (a crash of a C
library then costs one batch and is reported), and afterwards, with --seconds, atheris where it is
installed. It ends with status 1 if anything but a BridgeError came
out of a reader, a broken checksum was accepted, memory grew, or a process died.
"""

import argparse
import importlib.util
import inspect
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from l2hmc_bridge.adapters.files import table as files  # noqa: E402
from l2hmc_bridge.adapters.format.checks import judge  # noqa: E402
from l2hmc_bridge.errors import BridgeError  # noqa: E402
from tests.fuzz import children  # noqa: E402
from tests.support import mutations  # noqa: E402

MEMORY_GROWTH = 64 << 20


def examine(path: Path, seed: mutations.Seed) -> str:
    """"refused" or "accepted"; AssertionError where something is accepted that must not be."""
    try:
        files.header(path, **seed.reading)
        configuration = files.inspect(path, **seed.reading)
        judge(path, configuration.meta["checks"])
    except BridgeError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error), repr(str(error))
        return "refused"
    unguarded = any("no checksum" in told for told in configuration.meta["warnings"])
    if seed.guarded and not unguarded:
        assert mutations.same_numbers(configuration.links, seed), "changed links were accepted"
    return "accepted"


def batch(first: int, count: int, folder: Path, library: bool) -> None:
    """Examine the mutations numbered first .. first+count-1; each is its number's alone."""
    verdicts: Counter = Counter()
    all_seeds = [seed for seed in mutations.seeds(folder)
                 if seed.name.startswith("hdf5") is library]
    for number in range(first, first + count):
        rng = random.Random(number)
        seed = rng.choice(all_seeds)
        path = folder / "mutated.file"
        (folder / "current").write_text(f"{number} of {seed.name}")
        path.write_bytes(mutations.mutate(seed.raw, rng))
        before = children.peak()
        verdicts[examine(path, seed)] += 1
        grown = children.peak() - before
        assert grown <= MEMORY_GROWTH, f"{grown} bytes of memory"
    print(verdicts["refused"], verdicts["accepted"])


def run_atheris(seconds: int) -> bool:
    """Coverage-guided fuzzing of the readers, in a process of its own."""
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed (pip install atheris): coverage-guided part left out")
        return True
    with tempfile.TemporaryDirectory() as name:
        done = subprocess.run([sys.executable, __file__, "--guided", name, "--seconds",
                               str(seconds)])
    print(f"atheris: {seconds} s, status {done.returncode}")
    return done.returncode == 0


def guided(seconds: int, folder: Path) -> None:
    """What runs in atheris' process; it ends there."""
    import atheris

    corpus, path = folder / "corpus", folder / "guided.file"
    corpus.mkdir()
    for seed in mutations.seeds(folder):
        if not seed.reading and not seed.name.startswith("hdf5"):  # the latter is a C library's
            (corpus / seed.name).write_bytes(seed.raw)

    def one(data: bytes) -> None:
        path.write_bytes(data)
        try:
            judge(path, files.inspect(path).meta["checks"])
        except BridgeError:
            pass

    for name, module in list(sys.modules.items()):
        if name.startswith("l2hmc_bridge.adapters."):
            for function in vars(module).values():
                if inspect.isfunction(function) and function.__module__ == name:
                    atheris.instrument_func(function)
    atheris.Setup(["fuzz", f"-max_total_time={seconds}", "-rss_limit_mb=4096", "-max_len=20000",
                   "-print_final_stats=1", str(corpus)], one)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100000, help="mutated files")
    parser.add_argument("--start", type=int, default=0, help="number of the first mutation")
    parser.add_argument("--hdf5", type=int, nargs="?", const=1, default=0,
                        help="mutated HDF5 files, whose parser is a C library")
    parser.add_argument("--seconds", type=int, default=0, help="of atheris afterwards")
    parser.add_argument("--batch", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--guided", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.batch:
        batch(options.start, options.count, options.batch, options.hdf5 > 0)
        return 0
    if options.guided:
        guided(options.seconds, options.guided)
        return 0
    good = children.run(__file__, [], options.count, options.start, "gauge files")
    if options.hdf5:
        good = children.run(__file__, ["--hdf5"], options.hdf5, options.start, "HDF5") and good
    if options.seconds:
        good = run_atheris(options.seconds) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
