"""`sample` cut short: by kill -9, signals, a second writer and full disks; as processes."""

import errno
import os
import random
import resource
import signal
import subprocess
import sys
import time

import pytest

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.recorded import state as checkpoint
from tests.cli.sample.test_sample import contents, differences, hmc, sample, summary_of, write_start

CODE = "import sys; from l2hmc_bridge.cli import main; sys.exit(main(sys.argv[1:]))"


def process(*words, **options) -> subprocess.Popen:
    """`l2hmc-bridge sample` as a process of its own."""
    command = [sys.executable, "-c", CODE, "sample", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            **options)


def begun(start, out, count) -> list:
    return ["--in", start, "--out", out, "-n", count, "--kernel", "hmc", "--seed", 1, "--tune", 3]


def wait_for(path, running, seconds=60) -> None:
    """Until `path` exists; fails when the process ends before, or never comes to it."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert running.poll() is None, running.communicate()[1]
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.001)


@pytest.mark.slow
def test_killed_again_and_again(tmp_path):
    """kill -9 at random moments until the stream is complete; then it is the whole stream."""
    start, count = write_start(tmp_path / "start.ildg"), 40
    assert hmc(start, tmp_path / "whole", "-n", count, "--tune", 3) == 0
    moments = random.Random(4)
    folder = tmp_path / "parts"
    running = process(*begun(start, folder, count))
    kills = 0
    for attempt in range(8):
        done = checkpoint.load(folder).count if checkpoint.exists(folder) else 0
        if attempt < 3:
            goal = min(count - 3, done + moments.randint(1, 12))
            wait_for(folder / f"cfg_{12 + goal}.ildg", running)
            time.sleep(moments.uniform(0, 0.02))
            running.kill()
            kills += running.wait() == -signal.SIGKILL
        _, err = running.communicate()
        assert "Traceback" not in err
        if running.returncode == 0:
            break
        running = process("--in", folder, "--resume")
    assert running.returncode == 0 and kills == 3
    assert differences(contents(tmp_path / "whole"), contents(folder)) == []
    left = {path.name for path in folder.iterdir() if not path.name.startswith("cfg_")}
    assert left == {"log.jsonl", "history.h5", "summary.json", "state.safetensors"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_save_and_end_cleanly(number, tmp_path):
    start = write_start(tmp_path / "start.ildg")
    running = process(*begun(start, tmp_path / "s", 100000))
    wait_for(tmp_path / "s" / "cfg_15.ildg", running)
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    done = summary_of(tmp_path / "s")["trajectories"]
    assert running.returncode == 0 and f"stopped on {number.name} after {done} of 100000" in err
    assert checkpoint.load(tmp_path / "s").count == done >= 3 and "acceptance" in out
    assert sample("--in", tmp_path / "s", "--resume", "-n", 1) == 0
    assert summary_of(tmp_path / "s")["trajectories"] == done + 1
    assert summary_of(tmp_path / "s")["complete"]


@pytest.mark.slow
def test_a_signal_before_the_first_trajectory_leaves_nothing(tmp_path):
    start = write_start(tmp_path / "start.ildg")
    words = ["--in", start, "--out", tmp_path / "s", "-n", 1, "--kernel", "hmc", "--tune", 400000]
    running = process(*words)
    wait_for(tmp_path / "s" / "lock", running)
    time.sleep(0.2)
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 1 and len(err.splitlines()) == 1
    assert "stopped on SIGTERM before the first recorded trajectory" in err
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
def test_two_writers_of_one_stream(tmp_path, capsys):
    start = write_start(tmp_path / "start.ildg")
    running = process(*begun(start, tmp_path / "s", 100000))
    wait_for(tmp_path / "s" / "cfg_13.ildg", running)
    assert sample("--in", tmp_path / "s", "--resume") == 1
    line = capsys.readouterr().err
    assert f"found process {running.pid} on " in line and len(line.splitlines()) == 1
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=60)
    assert running.returncode == 0


@pytest.mark.parametrize("call", range(3, 20, 4))
def test_a_full_disk_at_any_write(call, tmp_path, capsys, monkeypatch):
    """The k-th sync fails: one line, no half-written file, and the stream goes on from before."""
    start = write_start(tmp_path / "start.ildg")
    assert hmc(start, tmp_path / "whole", "-n", 3) == 0
    capsys.readouterr()
    sync, left = os.fsync, [call]

    def full(descriptor):
        left[0] -= 1
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    status = hmc(start, tmp_path / "out", "-n", 3)
    monkeypatch.undo()
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if "tuned on a copy" not in line]
    assert status == 1 and len(lines) == 1, err
    assert str(tmp_path / "out") in lines[0] and "No space left on device" in lines[0]
    if (tmp_path / "out").exists():
        for path in (tmp_path / "out").rglob("cfg_*"):
            files.read(path)
        assert not any(".part" in path.name for path in (tmp_path / "out").rglob("*"))
        assert sample("--in", tmp_path / "out", "--resume") == 0
    else:
        assert hmc(start, tmp_path / "out", "-n", 3) == 0
    assert differences(contents(tmp_path / "whole"), contents(tmp_path / "out")) == []


@pytest.mark.slow
def test_a_disk_too_small_for_the_state(tmp_path):
    """A real write that fails midway: files may not grow beyond what the state needs."""
    start = write_start(tmp_path / "start.ildg")
    size = start.stat().st_size
    code = "import sys; from l2hmc_bridge.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "sample", "--in", start, "--out", tmp_path / "out", "-n", "2",
         "--kernel", "hmc", "--tune", "0"],
        capture_output=True, text=True, timeout=100,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "state.safetensors: could not be written: File too large" in done.stderr
    assert not (tmp_path / "out").exists()
