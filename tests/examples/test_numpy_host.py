"""The plain numpy host of the examples: its action, and exactness of our step in its loop."""

import importlib.util
import math

import numpy as np
import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.analysis.statistics import estimate, exp_minus_dh
from l2hmc_bridge.fields.layout import DIRECTIONS, from_links
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.systems.actions import GaugeAction, hot_start
from tests.l2hmc.test_kernel import make_kernel
from tests.support.fields import rough_links
from tests.support.places import EXAMPLES

EXAMPLE = EXAMPLES / "numpy_host.py"


@pytest.fixture(scope="module")
def host():
    spec = importlib.util.spec_from_file_location("numpy_host", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_hosts_action_is_wilsons_and_its_own_term(host, generator):
    links = rough_links(generator)
    array = from_links(links, host.AXES, DIRECTIONS)
    assert host.action(array, 5.7, 0.0) == pytest.approx(float(GaugeAction(5.7)(links)), rel=1e-12)
    trace = float(np.einsum("...aa->...", array).real.sum())
    assert host.action(array, 0.0, 0.3) == pytest.approx(-0.3 * trace, rel=1e-12)
    assert host.plaquettes(array) / (18 * array[0, ..., 0, 0].size) == pytest.approx(
        float(fast.plaquettes(links).mean()), rel=1e-12)


def single_link(strength, points=300):
    """<Re tr U> over SU(3) with weight exp(strength Re tr U): Weyl's integral on a grid."""
    angle = 2 * math.pi * (np.arange(points) + 0.5) / points
    one, two = np.meshgrid(angle, angle)
    phases = np.exp(1j * np.stack([one, two, -one - two]))
    measure = math.prod(np.abs(phases[i] - phases[j]) ** 2 for i in range(3) for j in range(i))
    weight = measure * np.exp(strength * phases.real.sum(0))
    return float((weight * phases.real.sum(0)).sum() / weight.sum())


@pytest.mark.slow
@pytest.mark.parametrize("learned", [False, True])
def test_the_hosts_own_term_is_sampled_though_no_proposal_knows_it(host, learned):
    """At beta = 0 every link is alone with exp(extra Re tr U): <Re tr U> is an integral.

    The proposals come from beta = 0.1 (a wrong force), with log|J| != 0 where learned.
    """
    action = GaugeAction(0.1)
    kernel = HMC(action, 0.7, 4)
    if learned:
        kernel = make_kernel("kick", step=0.7, action=action)
        with torch.no_grad():
            kernel.kick_network.bias.normal_(
                0, 0.05, generator=torch.Generator().manual_seed(1))
    random = hot_start((2, 2, 2, 2), torch.Generator().manual_seed(2))
    start = from_links(random, host.AXES, DIRECTIONS)
    rows = host.stream(start, 0.0, 0.2, 800, kernel, hits=1)[40:]
    mean = estimate([row[1] for row in rows])
    exact = single_link(0.2) / 3  # 0.035
    assert mean.error < 0.007 and abs(mean.value - exact) < 4 * mean.error
    weight, bad = exp_minus_dh([row[3] for row in rows])
    assert bad == 0 and abs(weight.value - 1) < 4 * weight.error < 0.5
    assert 0.2 < sum(row[2] for row in rows) / len(rows) < 0.99


def test_the_example_runs(host, capsys, monkeypatch):
    short = host.stream
    monkeypatch.setattr(host, "stream", lambda *a, **k: short(*a[:3], 3, *a[4:], hits=1))
    host.main()
    assert "acceptance" in capsys.readouterr().out
