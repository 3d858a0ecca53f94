"""Streams: an interrupted one is the uninterrupted one bit for bit; who may write; what stays."""

import os

import h5py
import numpy as np
import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.bundle import architecture, file as bundle
from l2hmc_bridge.errors import BundleError, StreamError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.covariant import KickNetwork, Steps
from l2hmc_bridge.recorded import folder as places, randomness, state as checkpoint
from l2hmc_bridge.recorded.specs import BundleSpec
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import Schedule, schedule
from l2hmc_bridge.sampling.numbered import numbered
from l2hmc_bridge.storage import lock
from l2hmc_bridge.stream import run as stream, trajectories
from l2hmc_bridge.systems.actions import gauge_action, normalised_change
from tests.support.streams import (
    HMC_KERNEL,
    begin,
    complete,
    contents,
    define,
    differences,
    resume,
    start_links,
)


class Killed(BaseException):
    """What stands for kill -9: nothing of ours catches it."""


def learned_kernel(composition="palindrome") -> L2HMC:
    """A small L2HMC with random, not zero, networks."""
    generator = torch.Generator().manual_seed(5)
    plan = schedule("omf2", 0.15, 2)
    network = KickNetwork(len(plan.kicks), hidden=4)
    with torch.no_grad():
        for one in network.parameters():
            one.copy_(0.2 * torch.randn(one.shape, generator=generator, dtype=one.dtype))
    return L2HMC(gauge_action("wilson", 5.7), Steps(plan), network, composition=composition)


def learned_definition(folder, composition="palindrome", **changes):
    """A definition whose kernel is a bundle with random networks."""
    path = folder / f"{composition}.safetensors"
    kernel = learned_kernel(composition)
    digest = bundle.save(path, kernel, {"purpose": "test"}, (5.6, 6.0))
    return define(kernel=BundleSpec(str(path), digest), **changes)


def definition_of(kind, folder):
    if kind == "hmc":
        return define()
    if kind == "chains":
        return define(first=[40, 7, 0])
    if kind == "generators":
        return define(first=[40, 7], numbers="torch")
    return learned_definition(folder, kind, first=[3, 3])


@pytest.mark.parametrize("kind", ["hmc", "chains", "generators", "palindrome", "direction"])
def test_interrupted_stream_equals_uninterrupted(tmp_path, kind):
    """Stopped after 1, 2, ... trajectories, on and off save points, by target and by request."""
    definition = definition_of(kind, tmp_path)
    complete(begin(tmp_path / "whole", definition, 7))
    whole = contents(tmp_path / "whole")
    complete(begin(tmp_path / "parts", definition, 2))
    resume(tmp_path / "parts", more=5, stop=lambda: "asked")
    for _ in range(3):
        assert resume(tmp_path / "parts", stop=lambda: "asked") == "asked"
    assert resume(tmp_path / "parts") is None
    assert differences(whole, contents(tmp_path / "parts")) == []


def test_another_seed_or_step_is_another_stream(tmp_path):
    """Negative control of the comparison above."""
    complete(begin(tmp_path / "one", define(), 3))
    for name, other in (("seed", define(seed=8)), ("factor", define(factor=0.9 + 1e-12))):
        complete(begin(tmp_path / name, other, 3))
        found = differences(contents(tmp_path / "one"), contents(tmp_path / name))
        assert "state/links" in found and "cfg_43.bin" in found


@pytest.mark.slow
def test_killed_at_every_single_write(tmp_path, monkeypatch):
    """Dies before the k-th sync or rename, for every k; what is resumed is the whole stream."""
    complete(begin(tmp_path / "whole", define(), 4))
    whole = contents(tmp_path / "whole")
    calls = {"left": -1}

    def fatal(function):
        def dying(*arguments, **options):
            calls["left"] -= 1
            if calls["left"] == 0:
                raise Killed
            return function(*arguments, **options)
        return dying

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, fatal(getattr(os, name)))
    killed = 0
    for k in range(1, 200):
        folder = tmp_path / f"killed_{k}"
        calls["left"] = k
        try:
            complete(begin(folder, define(), 4))
        except Killed:
            calls["left"] = -1
            if not checkpoint.exists(folder):
                continue
            killed += 1
            resume(folder)
            assert differences(whole, contents(folder)) == [], f"killed before call {k}"
        else:
            break
    assert killed >= 15 and k < 199


def test_partial_files_of_a_killed_run_are_removed(tmp_path):
    made = begin(tmp_path / "s", define(), 2)
    complete(made)
    left = tmp_path / "s" / ".cfg_42.0123abcd.part.bin"
    own = tmp_path / "s" / ".notes.part"
    left.write_bytes(b"half")
    own.write_bytes(b"mine")
    resume(tmp_path / "s", more=1)
    assert not left.exists() and own.exists()


def test_a_trajectory_can_be_replayed_alone(tmp_path):
    """From the kept configuration with the draws of (seed, chain, trajectory)."""
    definition = define(save_every=1, first=[40, 11])
    made = begin(tmp_path / "s", definition, 3)
    states = []
    with made:
        made.advance(lambda: None, lambda row: states.append(made.state.links.clone()))
    kernel = stream.kernel_of(definition, tmp_path / "s")
    for chain, first in enumerate(definition.first):
        draws = numbered(definition.seed, [first + 3] * 2).of([chain])
        state, info = kernel.step(kernel.init(states[1][chain, None]), draws)
        torch.testing.assert_close(state.links[0], states[2][chain], rtol=0, atol=1e-13)
        assert bool(info.accepted) == bool(made.rows[2]["accepted"][chain])


def test_rows_say_what_happened(tmp_path):
    made = begin(tmp_path / "s", define(first=[40, 0], check_reversibility=2), 4)
    fields = [made.state.links]
    with made:
        made.advance(lambda: None, lambda row: fields.append(made.state.links))
    for n, row in enumerate(made.rows):
        assert row["trajectory"] == [41 + n, 1 + n]
        planes = fast.plaquettes(fields[n + 1])
        assert row["plaquette"] == pytest.approx(planes.mean(1).tolist(), rel=1e-14)
        change = normalised_change(fields[n], fields[n + 1])
        assert row["link_change"] == pytest.approx(change.tolist())
        assert [bool(c) for c in row["accepted"]] == [c > 0 for c in row["link_change"]]
        assert row["force_evaluations"] == 2 * 3
        assert (row["reversibility"] is None) == (n % 2 == 0)
    assert all(row["reversibility"] < 1e-11 for row in made.rows[1::2])


def test_links_are_projected_at_save_points_only(tmp_path, monkeypatch):
    """With no defect tolerated every save point projects, a stop between them does not."""
    monkeypatch.setattr(trajectories, "UNITARITY_KEPT", 0.0)
    definition = define(save_every=3)
    complete(begin(tmp_path / "whole", definition, 7))
    complete(begin(tmp_path / "parts", definition, 7), stop=lambda: "asked")
    for _ in range(9):
        resume(tmp_path / "parts", stop=lambda: "asked")
    assert differences(contents(tmp_path / "whole"), contents(tmp_path / "parts")) == []
    with h5py.File(tmp_path / "parts" / "history.h5") as file:
        assert file["reunitarised"][()].tolist() == [0, 0, 1, 0, 0, 1, 0]


def test_a_drifted_field_returns_to_the_group_and_small_defects_stay(tmp_path):
    with begin(tmp_path / "s", define(save_every=1), 2) as made:
        row = made.trajectory()
        assert made.reunitarise(row) is row
        made.state = made.kernel.init(made.state.links * (1 + 3e-13))
        noted = made.reunitarise(row)
    assert noted["reunitarised"] == 1
    assert noted["force_evaluations"] == row["force_evaluations"] + 1
    assert float(su3.unitarity_defect(made.state.links).max()) < 1e-14
    torch.testing.assert_close(made.state.action, made.kernel.action(made.state.links))


def test_configurations_at_save_points_and_at_the_target(tmp_path):
    definition = define(save_every=3, first=[40, 0])
    complete(begin(tmp_path / "s", definition, 7))
    names = {str(path.relative_to(tmp_path / "s")) for path in (tmp_path / "s").rglob("cfg_*")}
    assert names == {f"chain_{chain}/cfg_{first + n}.bin"
                     for chain, first in enumerate((40, 0)) for n in (3, 6, 7)}


def test_recorded_and_reserved_randomness_never_meet():
    purposes = [(randomness.TUNING, 50), (randomness.THERMALISATION, 50),
                (randomness.REVERSIBILITY, 50), (randomness.START, 1), (randomness.GATE, 1)]
    seeds = [markov.trajectory_generator(3, chain, number).initial_seed()
             for chain in range(3) for number in (*range(200), randomness.RECORDED - 1)]
    for purpose, count in purposes:
        for number in range(count):
            seeds += [one.initial_seed() for one in
                      randomness.reserved("torch", 3, 3, purpose, number).generators]
    assert len(set(seeds)) == len(seeds)


def test_history_keeps_the_groups_of_others(tmp_path):
    complete(begin(tmp_path / "s", define(), 3))
    with h5py.File(tmp_path / "s" / "history.h5", "a") as file:
        file.create_group("measurements")["x"] = np.arange(3)
    resume(tmp_path / "s", more=2)
    with h5py.File(tmp_path / "s" / "history.h5") as file:
        assert file["measurements/x"][()].tolist() == [0, 1, 2]
        assert file["plaquette"].shape == (1, 5)
        assert file.attrs["seed"] == 7 and file.attrs["beta"] == 5.7


def test_one_stream_per_folder_and_one_writer_per_stream(tmp_path):
    complete(begin(tmp_path / "s", define(), 1))
    with pytest.raises(StreamError, match="found one"):
        begin(tmp_path / "s", define(), 1)
    with lock.locked(tmp_path / "s"):
        with pytest.raises(StreamError, match=f"process {os.getpid()} on "):
            resume(tmp_path / "s", more=1)
    assert not (tmp_path / "s" / lock.NAME).exists()
    (tmp_path / "s" / lock.NAME).write_text("process 1 on nowhere\n")  # of a killed run
    resume(tmp_path / "s", more=1)


def test_an_altered_state_is_refused(tmp_path):
    complete(begin(tmp_path / "s", define(), 1))
    path = tmp_path / "s" / checkpoint.NAME
    whole = path.read_bytes()
    for position in (len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1:])
        with pytest.raises(StreamError, match=f"{path}: expected hash .* altered or damaged"):
            resume(tmp_path / "s", more=1)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StreamError, match=f"{path}: expected a safetensors file"):
        resume(tmp_path / "s", more=1)
    path.unlink()
    with pytest.raises(StreamError, match="expected a stream"):
        resume(tmp_path / "s", more=1)


def test_another_bundle_is_refused(tmp_path):
    definition = learned_definition(tmp_path)
    complete(begin(tmp_path / "s", definition, 1))
    other = learned_kernel()
    with torch.no_grad():
        other.steps.length *= 1.5
    bundle.save(tmp_path / "s" / places.BUNDLE, other, {}, (5.6, 6.0))
    with pytest.raises(BundleError, match="expected the bundle"):
        resume(tmp_path / "s", more=1)


class Lopsided(HMC):
    """A kernel whose trajectory is no involution: the last kick is 1 % too long."""

    @property
    def plan(self):
        plan = schedule(self.integrator, self.step_size, self.steps)
        return Schedule((*plan.kicks[:-1], 1.01 * plan.kicks[-1]), plan.drifts,
                        plan.displacements)


@pytest.mark.parametrize("name", ["hmc", "palindrome", "direction"])
def test_forth_and_back_returns(name):
    action = gauge_action("wilson", 5.7)
    kernel = HMC(action, 0.1, 4) if name == "hmc" else learned_kernel(name)
    generators = randomness.reserved("philox", 1, 2, randomness.REVERSIBILITY)
    defect = trajectories.reversibility_defect(kernel, kernel.init(start_links(2)), generators)
    assert defect < 1e-11


def test_forth_and_back_finds_a_step_that_is_no_involution():
    kernel = Lopsided(gauge_action("wilson", 5.7), 0.1, 4)
    generators = randomness.reserved("philox", 1, 1, randomness.REVERSIBILITY)
    defect = trajectories.reversibility_defect(kernel, kernel.init(start_links()), generators)
    assert defect > 1e-4


def test_kernel_of_scales_all_steps(tmp_path):
    kernel = stream.kernel_of(define(factor=0.5), tmp_path)
    assert kernel.length == pytest.approx(0.5 * HMC_KERNEL["step_size"] * HMC_KERNEL["steps"])
    scaled = stream.kernel_of(learned_definition(tmp_path, factor=0.5), tmp_path)
    assert scaled.length == pytest.approx(0.5 * learned_kernel().length)
    assert architecture.describe(scaled) == architecture.describe(learned_kernel())
