"""`sample --kernel heatbath`: resumed, killed and refused as any stream; what it thermalises."""

import json
import random
import signal
import time

import h5py
import numpy as np
import pytest
import torch

import l2hmc_bridge as lb
from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.cli import main
from l2hmc_bridge.errors import ConfigError, StreamError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.recorded import state as checkpoint
from l2hmc_bridge.recorded.specs import HeatBathSpec
from l2hmc_bridge.sampling.draws import trajectory_draws
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.stream import prepare
from l2hmc_bridge.stream.options import SampleOptions
from l2hmc_bridge.systems.actions import GaugeAction
from tests.cli.sample.test_interrupted import process, wait_for
from tests.cli.sample.test_refusals import refused
from tests.cli.sample.test_sample import (
    contents,
    differences,
    make_bundle,
    sample,
    summary_of,
    write_start,
)

BATH = ("--kernel", "heatbath", "--seed", 4)


@pytest.fixture
def start(tmp_path):
    return write_start(tmp_path / "start.ildg")


def bath(start, out, *words) -> int:
    return sample("--in", start, "--out", out, *BATH, *words)


def test_the_stream_is_the_heat_bath_itself(start, tmp_path, capsys):
    """Its configurations are those that the kernel gives with the stream's seed and numbers."""
    assert bath(start, tmp_path / "s", "-n", 3, "--sweeps", 2, "--overrelax", 3) == 0
    assert "heat bath, 2 + 3 overrelaxed sweeps" in capsys.readouterr().out
    kernel = HeatBath(GaugeAction(5.7), 2, 3)
    state = kernel.init(files.read(start).links)
    for number in (13, 14, 15):
        state, _ = kernel.step(state, trajectory_draws(4, [number]))
        written = files.read(tmp_path / "s" / f"cfg_{number}.ildg")
        assert torch.equal(written.links, state.links)
        assert written.meta["gauge_action"] == "wilson" and written.meta["trajectory"] == number
    assert checkpoint.load(tmp_path / "s").definition.kernel == HeatBathSpec(2, 3)


def test_resumed_equals_uninterrupted(start, tmp_path):
    words = ("--save-every", 2, "--chains", 2, "--sweeps", 1, "--overrelax", 2)
    assert bath(start, tmp_path / "whole", "-n", 8, *words) == 0
    assert bath(start, tmp_path / "parts", "-n", 4, *words) == 0
    assert sample("--in", tmp_path / "parts", "--resume", "-n", 4) == 0
    whole = contents(tmp_path / "whole")
    assert differences(whole, contents(tmp_path / "parts")) == []
    assert bath(start, tmp_path / "other", "-n", 8, *words[:-1], 3) == 0
    assert "state/links" in differences(whole, contents(tmp_path / "other"))  # sweeps matter


@pytest.mark.slow
def test_killed_again_and_again(start, tmp_path):
    """kill -9 at random moments until the stream is complete; then it is the whole stream."""
    count, moments, folder = 40, random.Random(4), tmp_path / "parts"
    assert bath(start, tmp_path / "whole", "-n", count) == 0
    running = process("--in", start, "--out", folder, "-n", count, *BATH)
    for _ in range(2):
        done = checkpoint.load(folder).count if checkpoint.exists(folder) else 0
        wait_for(folder / f"cfg_{12 + min(count - 3, done + moments.randint(1, 12))}.ildg", running)
        time.sleep(moments.uniform(0, 0.01))
        running.kill()
        assert running.wait() == -signal.SIGKILL
        running.communicate()
        running = process("--in", folder, "--resume")
    _, err = running.communicate()
    assert running.returncode == 0 and "Traceback" not in err
    assert differences(contents(tmp_path / "whole"), contents(folder)) == []


def test_summary_and_record_of_an_update_without_momenta(start, tmp_path):
    assert bath(start, tmp_path / "s", "-n", 12) == 0
    found = summary_of(tmp_path / "s")
    assert found["acceptance"] == 1 and found["exp_minus_dh"]["value"] == 1
    assert found["tuning_factor"] == 1 and found["md_length"] == 0 and found["thermalised"] == 0
    assert found["thermalised_by"] is None and found["reversibility_defect"] is None
    names = [check["name"] for check in found["checks"]]
    assert names[0].startswith("plaquette: change by a sweep") and "group" in names[1]
    assert all(check["passed"] for check in found["checks"]) and not found["warnings"]
    with h5py.File(tmp_path / "s" / "history.h5") as file:
        assert np.array_equal(file["force_evaluations"][()].ravel(), [5] * 12)
        assert not file["delta_h"][()].any() and not file["log_det"][()].any()
        assert len(set(file["plaquette"][0])) == 12


@pytest.mark.parametrize("words, option", [
    (("--kernel", "hmc", "--sweeps", 2), "--sweeps"),
    (("--kernel", "l2hmc", "--overrelax", 2), "--overrelax"),
    (("--kernel", "heatbath", "--steps", 2), "--steps"),
    (("--kernel", "heatbath", "--bundle", "b"), "--bundle"),
    (("--kernel", "heatbath", "--tune", 3), "--tune"),
    (("--kernel", "heatbath", "--check-reversibility", 3), "--check-reversibility"),
    (("--kernel", "heatbath", "--sweeps", 0), "--sweeps"),
    (("--kernel", "heatbath", "--overrelax", 1001), "--overrelax"),
])
def test_options_of_other_kernels_are_refused_by_name(words, option, start, tmp_path, capsys):
    assert sample("--in", start, "--out", tmp_path / "out", "-n", 1, *words) == 2
    assert option in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert sample("--continue", start, *words) == 2
    assert option in capsys.readouterr().err
    given = {words[2].strip("-").replace("-", "_"): words[3], "kernel": words[1]}
    with pytest.raises(ConfigError, match=f"^{option.strip('-').replace('-', '_')}: expected"):
        SampleOptions(inputs=start, out="s", trajectories=1, **given)


@pytest.mark.parametrize("name", ["iwasaki", "symanzik", "dbw2", "c1=-0.1"])
def test_other_actions_are_refused_by_name(name, start, tmp_path, capsys):
    status = bath(start, tmp_path / "out", "-n", 1, "--action", name)
    refused(capsys, tmp_path, status, "expected the Wilson action", f"found {name}", "--kernel hmc")
    status = sample("--start", "hot", "--lattice", "2,2,2,2", "--beta", 2.6, "--action", name,
                    "--out", tmp_path / "out", "-n", 1, *BATH)
    refused(capsys, tmp_path, status, f"found {name}")


def test_a_lattice_of_extent_one_is_refused(tmp_path, capsys):
    path = write_start(tmp_path / "flat.ildg", lattice=(4, 1, 2, 2))
    refused(capsys, tmp_path, bath(path, tmp_path / "out", "-n", 1), path, "at least 2")


def test_a_host_stream_goes_on_by_the_heat_bath(tmp_path, capsys):
    """--continue writes the next configuration that the kernel gives, in the host's naming."""
    path = write_start(tmp_path / "ckpoint_lat.12.nersc").rename(tmp_path / "ckpoint_lat.12")
    words = ("--continue", path, "--kernel", "heatbath", "--seed", 4, "--without-rng",
             "--overrelax", 2)
    assert sample(*words) == 0, capsys.readouterr().err
    kernel = HeatBath(GaugeAction(5.7), 1, 2)
    state, _ = kernel.step(kernel.init(files.read(path).links), trajectory_draws(4, [13]))
    assert torch.equal(files.read(tmp_path / "ckpoint_lat.13").links, state.links)


@pytest.mark.parametrize("action, count, by, updates", [
    ("wilson", None, "heatbath", prepare.HEAT_BATH_UPDATES), ("wilson", 3, "heatbath", 3),
    ("wilson", 0, None, 0), ("iwasaki", None, "hmc", 20), ("iwasaki", 3, "hmc", 3),
])
def test_thermalisation_is_by_the_heat_bath_where_the_action_allows(
        action, count, by, updates, tmp_path, capsys):
    words = ("--start", "hot", "--lattice", "2,2,2,2", "--beta", 5.7 if action == "wilson" else 2.6,
             "--action", action, "--kernel", "hmc", "--tune", 0, "--seed", 2, "-n", 1)
    words += () if count is None else ("--thermalise", count)
    assert sample(*words, "--out", tmp_path / "s") == 0
    found = summary_of(tmp_path / "s")
    assert (found["thermalised_by"], found["thermalised"]) == (by, updates)


def test_thermalisation_by_the_heat_bath_leaves_equilibrium(tmp_path):
    """Plaquettes after it, cold and hot: both at the average of a long run, within 4 sigma."""
    seen = {}
    for kind in ("cold", "hot"):
        words = ("--start", kind, "--lattice", "4,4,4,4", "--beta", 5.7, "--kernel", "heatbath",
                 "--seed", 6, "-n", 60, "--save-every", 60, "--chains", 2)
        assert sample(*words, "--out", tmp_path / kind) == 0
        found = summary_of(tmp_path / kind)
        seen[kind] = (found["plaquette"]["value"], found["plaquette"]["error"])
    assert all(error < 3e-3 for _, error in seen.values())
    difference = seen["cold"][0] - seen["hot"][0]
    assert abs(difference) < 4 * np.hypot(seen["cold"][1], seen["hot"][1])
    assert sample(*words[:-4], "--thermalise", 0, "-n", 1, "--out", tmp_path / "raw") == 0
    raw = summary_of(tmp_path / "raw")["plaquette"]["value"]  # not so without it
    assert abs(raw - seen["hot"][0]) > 10 * seen["hot"][1]


def test_a_stop_while_the_heat_bath_thermalises_leaves_nothing(tmp_path):
    asked = iter([None, None, "by me"])
    options = SampleOptions(start="cold", lattice=(2, 2, 2, 2), beta=5.7, kernel="hmc", seed=1,
                            out=tmp_path / "s", trajectories=1)
    with pytest.raises(StreamError, match="stopped by me before the first recorded"):
        lb.begin_stream(options, stop=lambda: next(asked))
    assert not (tmp_path / "s").exists()


def test_laws_of_the_heat_bath_catch_a_wrong_reflection(start, tmp_path, capsys, monkeypatch):
    """Planted: reflections that scale the field's change by a thousandth."""
    honest = prepare.fast.heat_bath

    def wrong(links, beta, words, sweeps, overrelax):
        moved = honest(links, beta, words, sweeps, overrelax)
        return moved if sweeps else su3.project_group(0.999 * moved + 0.001 * links)

    monkeypatch.setattr(prepare.fast, "heat_bath", wrong)
    status = bath(start, tmp_path / "out", "-n", 1)
    refused(capsys, tmp_path, status, "change by a sweep of reflections", "--ungated")


def validate(capsys, *words):
    capsys.readouterr()
    status = main(["validate", *map(str, words), "--json"])
    captured = capsys.readouterr()
    return status, json.loads(captured.out) if captured.out else None, captured.err


@pytest.mark.slow
def test_a_stream_against_the_heat_bath_run_here(tmp_path, capsys):
    """An HMC stream of the same action passes; one recorded at another beta does not."""
    words = ("--start", "hot", "--lattice", "2,4,2,4", "--kernel", "hmc", "--seed", 3, "-n", 300,
             "--save-every", 100, "--chains", 2)
    assert sample(*words, "--beta", 5.7, "--out", tmp_path / "s") == 0
    against = ("--against", "heatbath", "-n", 300, "--cut", 10)
    status, content, _ = validate(capsys, tmp_path / "s", *against)
    assert status == 0, [check for check in content["checks"] if not check["passed"]]
    assert content["streams"][1]["path"] == "heat bath (1 + 4 overrelaxed sweeps)"
    assert "mean plaquette" in [check["name"] for check in content["checks"]]
    status, content, err = validate(capsys, tmp_path / "s", *against, "--beta", 5.3)
    assert status == 1 and "5.3" in err
    assert "mean plaquette" in [c["name"] for c in content["checks"] if not c["passed"]]


def test_the_heat_bath_is_no_baseline_of_another_action(tmp_path, capsys):
    words = ("--start", "hot", "--lattice", "2,2,2,2", "--beta", 2.6, "--action", "iwasaki",
             "--kernel", "hmc", "--seed", 3, "-n", 4, "--tune", 0, "--thermalise", 2)
    assert sample(*words, "--out", tmp_path / "s") == 0
    status, _, err = validate(capsys, tmp_path / "s", "--against", "heatbath")
    assert status == 1 and "expected the Wilson action, found iwasaki" in err


def test_the_shipped_kind_of_bundle_after_thermalisation(tmp_path):
    """A stream of a bundle begins where the heat bath left off, with its own force."""
    path = make_bundle(tmp_path / "b.safetensors")
    assert sample("--start", "cold", "--lattice", "2,4,2,4", "--beta", 5.7, "--bundle", path,
                  "--seed", 3, "-n", 2, "--tune", 0, "--check-reversibility", 1,
                  "--out", tmp_path / "s") == 0
    found = summary_of(tmp_path / "s")
    assert found["thermalised_by"] == "heatbath" and not found["warnings"]
    state = checkpoint.load(tmp_path / "s").state
    assert torch.allclose(state.force, GaugeAction(5.7).force(state.links), atol=1e-13)
