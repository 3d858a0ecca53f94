"""Options that people expect of `sample`: lengths, acceptance, numbers, what is kept, the flow."""

import itertools
import json
import shutil

import h5py
import numpy as np
import pytest

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.public.streams import begin_stream
from l2hmc_bridge.adapters.records.history import read_history
from l2hmc_bridge.cli import main
from l2hmc_bridge.recorded import state as checkpoint
from l2hmc_bridge.recorded.log import Log
from l2hmc_bridge.stream.options import SampleOptions
from tests.cli.sample.test_sample import hmc, sample, start, summary_of  # noqa: F401
from tests.support.streams import contents, differences

HMC = ("--kernel", "hmc", "--seed", 1)


@pytest.mark.parametrize("kernel", [("--kernel", "hmc", "--steps", 5), ()])
def test_md_length(kernel, start, tmp_path, capsys):  # noqa: F811
    assert sample("--in", start, "--out", tmp_path / "s", "-n", 1, "--seed", 1, *kernel,
                  "--md-length", 0.7) == 0
    summary = summary_of(tmp_path / "s")
    assert summary["md_length"] == pytest.approx(0.7, abs=1e-12)
    assert summary["tuning_trajectories"] == 0
    made = checkpoint.load(tmp_path / "s").definition
    if kernel:
        assert made.factor == pytest.approx(0.7 / (0.25 * 5))
    assert "MD length 0.7: all steps times" in capsys.readouterr().err


def test_a_target_acceptance_is_aimed_at(start, tmp_path):  # noqa: F811
    factors = []
    for aim in (0.5, 0.95):
        out = tmp_path / str(aim)
        assert sample("--in", start, "--out", out, "-n", 1, *HMC, "--tune", 20,
                      "--target-acceptance", aim) == 0
        factors.append(summary_of(out)["tuning_factor"])
        assert summary_of(out)["target_acceptance"] == aim
    assert factors[0] > 1.3 * factors[1]


def test_first_numbers_the_trajectories(start, tmp_path, capsys):  # noqa: F811
    assert hmc(start, tmp_path / "s", "-n", 3, "--first", 101) == 0
    assert sorted(path.name for path in (tmp_path / "s").glob("cfg_*")) == [
        f"cfg_{n}.ildg" for n in (101, 102, 103)]
    assert files.header(tmp_path / "s" / "cfg_102.ildg")["trajectory"] == 102
    with h5py.File(tmp_path / "s" / "history.h5") as file:
        assert file["trajectory"][()].tolist() == [[101, 102, 103]]
    assert sample("--in", tmp_path / "s", "--resume", "-n", 1) == 0
    assert (tmp_path / "s" / "cfg_104.ildg").exists()


def names(folder):
    return sorted(int(path.stem[4:]) for path in folder.glob("cfg_*"))


@pytest.mark.parametrize("stop, kept", [(2, []), (5, [15])])
def test_configurations_are_kept_apart_from_save_points(stop, kept, start, tmp_path):  # noqa: F811
    assert hmc(start, tmp_path / "a", "-n", 12, "--tune", 0, "--save-every", 2, "--keep-every",
               3) == 0
    assert names(tmp_path / "a") == [15, 18, 21, 24]  # the start is 12
    asked = itertools.count(1)
    options = SampleOptions(inputs=start, out=tmp_path / "b", trajectories=12, kernel="hmc", tune=0,
                            seed=1, save_every=2, keep_every=3)
    begin_stream(options, stop=lambda: "here" if next(asked) == stop else None)
    assert names(tmp_path / "b") == kept and checkpoint.load(tmp_path / "b").count == stop
    assert sample("--in", tmp_path / "b", "--resume") == 0
    assert not differences(contents(tmp_path / "a"), contents(tmp_path / "b"))


@pytest.mark.slow
def test_the_flow_is_measured_on_what_is_kept(start, tmp_path, capsys):  # noqa: F811
    words = ("--measure", "flow", "--flow-time", 0.3, "--flow-step", 0.05, "--keep-every", 2)
    folder = tmp_path / "s"
    assert hmc(start, folder, "-n", 4, "--chains", 2, *words) == 0
    capsys.readouterr()
    flow = ("--flow-time", "0.3", "--flow-step", "0.05")
    assert main(["measure", str(folder), *flow, "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    with h5py.File(folder / "history.h5") as file:
        group = file["flow"]
        assert group["t"][()].tolist() == [0.0, 0.1, 0.2, 0.3]
        assert group["trajectory"][()].tolist() == [[14, 16], [14, 16]]
        for name in ("plaquette", "energy_density", "topological_charge"):
            assert group[name].shape == (2, 2, 4)
        for record in measured:
            row = (record["trajectory"] - 14) // 2
            found = [[group[name][record["chain"], row, n] for name in ("energy_density",
                      "topological_charge")] for n in range(4)]
            expected = [[point["energy_density"], point["topological_charge"]]
                        for point in record["flow"]]
            assert np.allclose(found, expected, atol=1e-10)
    history = read_history(folder)
    assert history.flow_times.tolist() == [0.0, 0.1, 0.2, 0.3]
    flowed = history.series["topological_charge_flowed"]
    assert [one.tolist() for one in flowed.numbered()] == [[14, 16], [14, 16]]
    assert main(["analyze", str(folder), "--cut", "0", "--report", str(tmp_path / "r.html")]) == 0


def test_a_measured_stream_resumes_as_if_it_had_never_stopped(start, tmp_path):  # noqa: F811
    words = ("--measure", "flow", "--flow-time", 0.1, "--keep-every", 2, "--save-every", 2)
    assert hmc(start, tmp_path / "whole", "-n", 6, *words) == 0
    assert hmc(start, tmp_path / "cut", "-n", 2, *words) == 0
    shutil.copytree(tmp_path / "cut", tmp_path / "early")
    assert sample("--in", tmp_path / "cut", "--resume", "-n", 2) == 0
    # As after kill -9: the log is ahead of the state.
    shutil.copy(tmp_path / "cut" / "log.jsonl", tmp_path / "early" / "log.jsonl")
    for name in ("cut", "early"):
        more = 6 - checkpoint.load(tmp_path / name).count
        assert sample("--in", tmp_path / name, "--resume", "-n", more) == 0
        assert not differences(contents(tmp_path / "whole"), contents(tmp_path / name))
        with (h5py.File(tmp_path / "whole" / "history.h5") as one,
              h5py.File(tmp_path / name / "history.h5") as other):
            for key in one["flow"]:
                assert np.array_equal(one["flow"][key][()], other["flow"][key][()])


def test_rows_with_damaged_flows_are_refused(start, tmp_path):  # noqa: F811
    from l2hmc_bridge.errors import StreamError
    from l2hmc_bridge.recorded import rows

    assert hmc(start, tmp_path / "s", "-n", 1, "--measure", "flow", "--flow-time", 0.1) == 0
    log = tmp_path / "s" / "log.jsonl"
    (row,) = rows.decode(log, log.read_bytes(), [12])
    for change in ({"t": "x"}, {"energy_density": [[1.0]]}, {"plaquette": [["a", 1.0]]},
                   {"topological_charge": [[1.0, 2.0]] * 2}, {"t": []}):
        with pytest.raises(StreamError, match="line 1"):
            rows.decode(log, rows.encode({**row, "flow": {**row["flow"], **change}}), [12])
    again, (found,) = Log.reopen(log, log.stat().st_size, 1, [12])
    again.close()
    assert found["flow"] == row["flow"]


@pytest.mark.parametrize("words, told", [
    (("--md-length", 1, "--tune", 5), "tune: expected none with md_length"),
    (("--md-length", 1, "--target-acceptance", 0.7), "target_acceptance: expected none with"),
    (("--md-length", 1, "--step-size", 0.1, "--kernel", "hmc"), "step_size: expected none with"),
    (("--target-acceptance", 1), "--target-acceptance"),
    (("--md-length", 0), "--md-length"),
    (("--first", 0), "--first"),
    (("--keep-every", 0), "--keep-every"),
    (("--flow-time", 2), "flow_time: expected with measure 'flow' only"),
    (("--measure", "quarks"), "--measure"),
    (("--kernel", "heatbath", "--md-length", 1), "belongs to --kernel l2hmc and hmc"),
])
def test_contradictions_are_wrong_usage(words, told, start, tmp_path, capsys):  # noqa: F811
    assert sample("--in", start, "--out", tmp_path / "s", "-n", 1, *words) == 2
    assert told in capsys.readouterr().err and not (tmp_path / "s").exists()


def test_a_flow_step_without_sense_is_refused_before_any_work(start, tmp_path, capsys):  # noqa: F811
    assert hmc(start, tmp_path / "s", "-n", 1, "--measure", "flow", "--flow-step", 0.9) == 1
    assert "step" in capsys.readouterr().err and not (tmp_path / "s").exists()


def test_a_stream_fixed_them_when_it_began(start, tmp_path, capsys):  # noqa: F811
    assert hmc(start, tmp_path / "s", "-n", 1) == 0
    for words in (("--first", 3), ("--keep-every", 2), ("--measure", "flow"), ("--md-length", 1),
                  ("--target-acceptance", 0.7)):
        assert sample("--in", tmp_path / "s", "--resume", "-n", 1, *words) == 2
        assert "the stream fixed it when it began" in capsys.readouterr().err


def test_a_hosts_stream_takes_lengths_and_acceptances(tmp_path, capsys):
    from tests.cli.sample.test_sample import write_start

    path = write_start(tmp_path / "ckpoint_lat.12", format="nersc")
    words = ("sample", "--continue", path, *HMC, "--without-rng")
    assert main([str(word) for word in (*words, "--md-length", 0.6)]) == 0
    entry = json.loads((tmp_path / "l2hmc_bridge.jsonl").read_text().splitlines()[-1])
    assert entry["record"]["md_length"] == pytest.approx(0.6)
    nxt = tmp_path / "ckpoint_lat.13"
    assert main([str(word) for word in ("sample", "--continue", nxt, "--without-rng",
                                        "--md-length", 0.5)]) == 0
    entry = json.loads((tmp_path / "l2hmc_bridge.jsonl").read_text().splitlines()[-1])
    assert entry["record"]["md_length"] == pytest.approx(0.5)
    capsys.readouterr()
