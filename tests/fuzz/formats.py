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
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from l2hmc_bridge.adapters.files import table as files  # noqa: E402
from l2hmc_bridge.adapters.format.checks import judge  # noqa: E402
from l2hmc_bridge.errors import BridgeError  # noqa: E402
from tests.support import mutations  # noqa: E402

BATCH = 2500
MEMORY_GROWTH = 64 << 20
HANGS = 300  # seconds on one small file; readers have ends of their own


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


def _peak() -> int:
    """Most memory that this process ever held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


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
        before = _peak()
        verdicts[examine(path, seed)] += 1
        assert _peak() - before <= MEMORY_GROWTH, f"{_peak() - before} bytes of memory"
    print(verdicts["refused"], verdicts["accepted"])


def in_child(first: int, count: int, library: bool) -> tuple[Counter, int, str]:
    """`batch` in a process of its own: (verdicts, where to go on, what went wrong or "")."""
    with tempfile.TemporaryDirectory() as name:
        current = Path(name, "current")
        command = [sys.executable, "-W", "error", __file__, "--batch", name, "--start", str(first),
                   "--count", str(count), *(["--hdf5"] if library else [])]
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


def run_mutations(count: int, start: int, library: bool) -> bool:
    """All batches; True where none failed. A failure costs the rest of the batch before it."""
    total, failures, begin, at = Counter(), [], time.perf_counter(), start
    while at < start + count:
        verdicts, at, failure = in_child(at, min(BATCH, start + count - at), library)
        total += verdicts
        if failure:
            failures.append(failure)
            print(failure, flush=True)
    seconds = time.perf_counter() - begin
    print(f"{'HDF5: ' if library else ''}{sum(total.values())} mutated files in {seconds:.0f} s: "
          f"{total['refused']} refused, {total['accepted']} accepted with their links unchanged or "
          f"without a checksum to break; {len(failures)} failures", flush=True)
    return not failures


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
    good = run_mutations(options.count, options.start, False)
    if options.hdf5:
        good = run_mutations(options.hdf5, options.start, True) and good
    if options.seconds:
        good = run_atheris(options.seconds) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
