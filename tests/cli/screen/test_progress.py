"""Progress: what is shown at 80 columns and in which order it goes, lines where there is no
terminal, the options --quiet and --log-file."""

import re
import time

import pytest
from rich.console import Console

from l2hmc_bridge.cli import main
from l2hmc_bridge.cli.screen import progress
from l2hmc_bridge.cli.screen.progress import Bar, bar, spinner
from tests.support import verbs
from tests.support.terminal import in_pipe, on_terminal

ROW = {"trajectory": [12345], "accepted": [1], "delta_h": [-12.3456], "log_det": [0.5],
       "plaquette": [0.593412], "seconds": [123.456]}
STREAM = ("sample", "--start", "hot", "--lattice", "4,4,4,4", "--beta", "6", "--kernel", "hmc",
          "--tune", "0", "--thermalise", "2", "--seed", "1")


def drawn(made: Bar, columns: int) -> str:
    console = Console(width=columns, color_system=None)
    with console.capture() as caught:
        console.print(made)
    (line,) = caught.get().splitlines()
    return line


def test_everything_that_counts_is_there_at_80_columns():
    made = Bar("sample", 10000, 9000)
    for _ in range(3):
        made.recorded(ROW)
    line = drawn(made, 80)
    assert len(line) <= 80
    for word in ("━", "9003 of 10000", "0:00:00", "dH -12.35", "accepted 1.00",
                 "plaquette 0.59341"):
        assert word in line
    assert "log|J|" not in line
    assert "log|J| +0.50" in drawn(made, 110) and "trajectory 12345" in drawn(made, 140)


def test_what_counts_least_goes_first():
    made = Bar("sample", 100, 5)
    made.recorded(ROW)
    order = ("6 of 100", "dH", "accepted", "plaquette", "log|J|", "123.46 s", "trajectory")
    before = len(order)
    for columns in range(150, 31, -1):
        line = drawn(made, columns)
        assert len(line) <= columns and "━" in line
        there = [word in line for word in order]
        count = sum(there)
        assert there == [True] * count + [False] * (len(order) - count) and count <= before
        before = count
    assert before == 1


def test_the_acceptance_is_that_of_the_phase():
    made = Bar("sample", 10, 0)
    for taken in ([1, 0], [0, 0]):
        made.recorded({**ROW, "accepted": taken})
    assert "accepted 0.25" in made.line()


def test_an_energy_change_that_is_far_off_or_none_keeps_its_width():
    for value in (1e5, -1e300, float("nan"), float("inf"), 0.0, 99.994):
        assert len(progress._short(value)) == 6


def test_time_left():
    made = Bar("sample", 1000, 0)
    assert made.left() == "-:--:--"
    made._times.clear()
    made._times.extend([(0.0, 0), (10.0, 100)])
    assert made.left() == "0:01:40"


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(progress, "INTERVAL", 0.05)
    with bar("sample", 10) as shown:
        time.sleep(0.12)
        shown.recorded(ROW)
        time.sleep(0.12)
    with spinner("gate") as say:
        say("inverse")
        time.sleep(0.12)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == "" and lines[0] == "sample 0 of 10, -:--:-- left"
    assert re.match(r"sample 1 of 10, 0:00:0\d left, dH -12.35, accepted 1.00, plaquette 0.59341",
                    lines[-2 if lines[-1].startswith("gate") else -1]) or any(
        line.startswith("sample 1 of 10") for line in lines)
    assert any(re.fullmatch(r"gate: inverse, 0 s so far", line) for line in lines)


def test_a_quick_phase_says_nothing_without_a_terminal(capsys):
    with bar("sample", 10) as shown:
        shown.recorded(ROW)
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_sample_on_a_terminal(tmp_path):
    status, lines = on_terminal(80, *STREAM, "--out", tmp_path / "s", "-n", "30")
    assert status == 0 and max(map(len, lines)) <= 80
    bars = [line for line in lines if line.startswith("sample ") and " of 30 " in line]
    assert any(all(word in line for word in ("━", "dH", "accepted", "plaquette")) for line in bars)
    assert "30 of 30" in bars[-1]


def test_quiet_leaves_results_and_files(tmp_path, capsys):
    assert main([*STREAM, "--out", str(tmp_path / "a"), "-n", "1", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert "acceptance" in out and err == ""
    assert (tmp_path / "a" / "summary.json").is_file()


def test_what_is_said_goes_into_the_log_file(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL", 0.001)
    log = tmp_path / "run.log"
    words = [*STREAM, "--out", str(tmp_path / "a"), "-n", "2", "--log-file", str(log), "--quiet"]
    assert main(words) == 0
    first = log.read_text()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in first.splitlines())
    assert "sample 1 of 2" in first and "acceptance" in first
    assert main(words) == 1  # a stream is there: the error is in the log, too
    assert log.read_text().startswith(first) and "found a stream" in log.read_text()
    capsys.readouterr()


def test_a_stream_that_goes_on_may_be_quiet_and_have_a_log(tmp_path, capsys):
    stream, log = str(tmp_path / "a"), tmp_path / "run.log"
    assert main([*STREAM, "--out", stream, "-n", "1", "--quiet"]) == 0
    assert main(["sample", "--in", stream, "--resume", "-n", "1", "--quiet", "--log-file",
                 str(log)]) == 0
    assert "acceptance" in log.read_text() and capsys.readouterr().err == ""


def test_no_log_file_is_a_pipe_or_a_folder(tmp_path, capsys):
    import os

    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "none/log"):
        words = [*STREAM, "--out", str(tmp_path / "a"), "-n", "1", "--log-file",
                 str(tmp_path / name)]
        assert main(words) == 1 and name in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("verb", ["sample", "train", "gate", "measure", "validate", "convert"])
def test_every_verb_that_takes_its_time_can_be_quiet(verb, capsys):
    assert main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert "--quiet" in out and "--log-file FILE" in out


@pytest.mark.slow
def test_train_on_a_terminal_and_in_a_pipe(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text(verbs.TRAINING.format(action="wilson", xyzt="4,4,4,4", iterations=12))
    words = ("train", config, "--no-gate", "--force", "--out")
    status, lines = on_terminal(80, *words, tmp_path / "a.safetensors")
    bars = [line for line in lines if line.startswith("train ")]
    assert status == 0 and max(map(len, bars)) <= 80
    assert any(all(word in line for word in ("━", " of 12 ", "rms dH", "accepted", "plaquette 0."))
               for line in bars)
    log = tmp_path / "train.log"
    status, out, err = in_pipe(*words, tmp_path / "b.safetensors", "--log-file", log)
    assert status == 0 and "kept:" in out and err.splitlines()[-1].startswith("wrote ")
    assert "wrote " in log.read_text()
