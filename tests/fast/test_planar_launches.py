"""Which kernels a trajectory on a GPU starts: one for each leapfrog step wherever that is possible.
"""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from benchmarks.kernels import gpu_model, gpu_targets
from benchmarks.kernels.modelled import launches, networks
from benchmarks.kernels.trajectories import NETWORKS, kernel
from l2hmc_bridge.fast.gpu import graphs, sums
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.networks.covariant import KickNetwork, Steps
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.systems.actions import GaugeAction
from tests.support.interpreter import needs_triton

pytestmark = needs_triton
STEP, SUBSET = "step_kernel", "subset_kernel"
# Kernels that two more drifts take: those of a turn move their subset first and last, in turn.
TWO_DRIFTS = {
    "HMC": {"push_kernel": 2},
    "trained steps only": {"push_kernel": 2},
    "kick network s, q": {STEP: 2},
    "kick network s, q, t": {STEP: 2},
    "kick network s, q, t, Laplacian": {"look_kernel": 2, "known_kernel": 2},
    "drift network q": {STEP: 2, SUBSET: 1},
    "drift network q, t": {STEP: 2, SUBSET: 2},
    "kick network s, q, t, drift network q": {STEP: 2, SUBSET: 1},
    "kick network s, q, t, drift network q, t": {STEP: 2, SUBSET: 2},
    "drift network q, t, all subsets": {"push_kernel": 2, SUBSET: 16},
    "mixing": {"push_kernel": 2, "mixed_kick_kernel": 2, SUBSET: 8},
    "kick network and mixing": {STEP: 2, "mixed_kick_kernel": 2, SUBSET: 8},
    "kick network, drift network q and mixing": {STEP: 2, "mixed_kick_kernel": 2, SUBSET: 10},
    "everything": {STEP: 2, "mixed_kick_kernel": 2, SUBSET: 10},
    "everything, all subsets": {STEP: 2, "mixed_kick_kernel": 2, SUBSET: 16},
}


def started(made, **options):
    return Counter(one.kernel for one in launches.trajectory(made, **options).launches)


@pytest.mark.parametrize("name", TWO_DRIFTS)
def test_kernels_of_a_leapfrog_step(name):
    few, more = (networks.all_of(steps)[name] for steps in (2, 6))
    expected = {kernel: 4 * count for kernel, count in TWO_DRIFTS[name].items()}
    assert started(more) - started(few) == expected
    # Nor does torch compute anything from step to step.
    assert launches.trajectory(more).torch == launches.trajectory(few).torch


@pytest.mark.parametrize("name", TWO_DRIFTS)
def test_energies_are_taken_with_numbers_apart(name):
    found = launches.trajectory(networks.all_of(2)[name])
    assert Counter(found.energies) == {"kinetic_kernel": 2, "plaquette_kernel": 1}


@pytest.mark.parametrize("exactly", (False, True))
@pytest.mark.parametrize("name", TWO_DRIFTS)
def test_what_a_graph_holds_waits_for_nothing(name, exactly, monkeypatch):
    """Fields without data, whose numbers nothing can read or bring from main memory."""
    ran = []

    def on_meta(function, settings, moves, *given):
        found = function(settings, *(one.to("meta") for one in given))
        assert all(one.is_meta for one in found) and moves > 0
        ran.append(function)
        return tuple(torch.zeros(one.shape, dtype=one.dtype) for one in found)

    monkeypatch.setattr(graphs, "run", on_meta)
    monkeypatch.setattr(sums, "of_links", lambda _, terms: terms.flatten(1).sum(1))
    with parts.holding(parts.whole(launches.EXTENTS) if exactly else None):
        launches.trajectory(networks.all_of(2)[name])
    assert len(ran) == 2


def test_every_set_of_networks_is_counted():
    assert set(TWO_DRIFTS) == {"HMC", *NETWORKS}


def test_trained_steps_start_what_hmc_starts():
    for integrator, steps in (("omf2", 6), ("leapfrog", 4), ("force_gradient", 4)):
        hmc = HMC(GaugeAction(6.0), 0.1, steps, integrator)
        made = kernel(None, None, False, Steps(schedule(integrator, 0.1, steps // 2)))
        assert launches.trajectory(made).launches == launches.trajectory(hmc).launches


@pytest.mark.parametrize("repeats", (1, 2))
@pytest.mark.parametrize("integrator", ("omf2", "force_gradient"))
@pytest.mark.parametrize("name", [one for one in TWO_DRIFTS if one != "HMC"])
def test_no_force_is_computed_twice(name, integrator, repeats):
    """A force for each field that is met, but where the trajectory began: it is known.

    A kick network looks at its staples again if nobody handed on what it saw there.
    """
    made = kernel(*NETWORKS[name], Steps(schedule(integrator, 0.1, 2)))
    made = replace(made, repeats=repeats)
    steps = made.steps.force_evaluations * 2 - made.steps.displaced[-1]  # the turn: once
    ends = made.steps.displaced[0] * (repeats - 1)  # both passes that meet there share a field
    evaluations = repeats * steps - ends
    assert launches.trajectory(made).forces == evaluations
    extra = 0 if made.kick_network is None else 1
    assert launches.trajectory(made, remember=False).forces == evaluations + extra


def test_rectangles_are_not_computed_where_they_were_seen():
    made = kernel(("rectangle",), None, False, Steps(schedule("leapfrog", 0.1, 2)))
    found = {remember: started(made, remember=remember)["rectangle_kernel"]
             for remember in (True, False)}
    assert found == {True: 4, False: 5}
    improved = replace(made, action=GaugeAction(6.0, -1 / 12), kick_network=KickNetwork(3))
    found = {remember: started(improved, remember=remember)["rectangle_kernel"]
             for remember in (True, False)}
    assert found == {True: 4, False: 5}


def test_a_function_of_torch_would_be_counted():
    with launches.found() as found:
        field = torch.zeros(3)
        field.view(3, 1)
        torch.empty(4)
        field.mul_(2.0)
    assert found.torch == ["aten::zeros", "aten::mul_.Tensor"] and found.forces == 0


def test_what_the_model_expects_of_networks():
    """Counts by hand, and what is wanted of a GPU; of mixing it is what the traffic allows."""
    at_once, plain = (gpu_model.modelled(name, "double", 90, 166, 0)
                      for name in ("kick network and drift", "kick and drift"))
    # h s of each link is read and written; nothing else is.
    assert at_once.cached - plain.cached == 4 * 8 and at_once.moved - plain.moved == 4 * 2 * 8
    ns = {name: gpu_model.modelled(name, "double", 90, 166, 0).ns for name in gpu_model.WORK}
    found = {row["trajectory"]: row["of_hmc"] for row in networks.expected(ns)}
    for name, bound in gpu_targets.PARTS.items():
        assert found[name] < bound + 0.01, (name, found[name])
    assert found["everything"] > 2.0 and found["kick network s, q, t"] > 0.98
