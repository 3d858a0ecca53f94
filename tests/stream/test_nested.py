"""Streams of nested steps: the same bits wherever they stop, costs by level in log and summary."""

import h5py
import pytest

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.recorded import specs
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.terms import SolverReport
from l2hmc_bridge.storage import lock
from l2hmc_bridge.stream import run as stream, summary
from l2hmc_bridge.systems.actions import GaugeAction
from tests.l2hmc.test_kernel import make_kernel
from tests.support.nested_host import rectangles
from tests.support.streams import Raw, complete, contents, define, differences, start_links


def around(host, step=0.1, inner=None):
    inner = inner or HMC(GaugeAction(5.7), 0.5, 2)
    return Nested(inner, (Level("heavy", host.terms[:1], schedule("omf2", 1.0, 1)),
                          Level("ratio", host.terms[1:], schedule("omf2", step, 2))))


def begin(folder, target, host, kernel, chains=2):
    folder.mkdir()
    definition = define(kernel=specs.NestedSpec.of(kernel, host), first=[40] * chains,
                        check_reversibility=2)
    scaled = kernel.scaled(definition.factor)
    state = scaled.init(start_links(chains))
    return stream.create(folder, definition, scaled, state, target, Raw())


def resume(folder, host, kernel, more=None, stop=lambda: None):
    with lock.locked(folder):
        return complete(stream.reopen(folder, Raw, more=more, made=stream.around(kernel, host)),
                        stop)


@pytest.mark.parametrize("learned", [False, True])
def test_interrupted_stream_equals_uninterrupted(tmp_path, learned, generator):
    """A new host each time, as a new process has: its noise is drawn anew from the same numbers."""
    inner = make_kernel("kick", generator, "omf2", "palindrome", 1, 0.1,
                        GaugeAction(5.7)) if learned else None
    host = rectangles(None, 0.8, 2)
    complete(begin(tmp_path / "whole", 5, host, around(host, inner=inner)))
    whole = contents(tmp_path / "whole")
    host = rectangles(None, 0.8, 2)
    complete(begin(tmp_path / "parts", 2, host, around(host, inner=inner)))
    for _ in range(3):
        host = rectangles(None, 0.8, 2)
        more = None if _ else 3
        resume(tmp_path / "parts", host, around(host, inner=inner), more, lambda: "asked")
    assert differences(whole, contents(tmp_path / "parts")) == []


def test_costs_by_level_in_history_and_summary(tmp_path):
    host = rectangles(None, 0.8, 2)
    made = begin(tmp_path / "one", 4, host, around(host))
    complete(made)
    result = summary.summarise(made.definition, made.rows, made.target)
    # Two forces of "heavy" in each of four drifts, and one after its noise was drawn.
    assert result["levels"]["heavy"] == {"forces": 9, "solves": 11, "iterations": 110}
    assert result["levels"]["ratio"]["forces"] == 5 and result["unsolved"] == 0
    with h5py.File(tmp_path / "one" / "history.h5") as file:
        assert file["levels/heavy/forces"][:].tolist() == [9] * 4
        assert file["levels/ratio/iterations"].shape == (4,) and file["unsolved"].shape == (2, 4)
    assert result["reversibility_defect"] < 1e-11


def test_unsolved_trajectories_are_said_at_one_per_cent(tmp_path):
    host = rectangles(None, 0.8, 2)
    part, = [term._action for term in host.terms if term.name == "ratio"]
    part.report = lambda: SolverReport()
    made = begin(tmp_path / "one", 3, host, around(host))
    term, = [term for term in host.terms if term.name == "ratio"]
    told = iter(range(10**6))
    failing = [False, True]
    term._report = lambda: SolverReport(1, 5.0, _mask(failing) if next(told) == 8 else None)
    complete(made)
    result = summary.summarise(made.definition, made.rows, made.target)
    assert result["unsolved"] == 1
    assert any("solver did not converge" in warning for warning in result["warnings"])


def _mask(values):
    import torch

    return torch.tensor(values)


@pytest.mark.parametrize("change, message", [
    (lambda host: (host._replace(name="another"), around(host)), "the host rectangles.*another"),
    (lambda host: (host._replace(parameters={"strength": 0.9}), around(host)), "the parameters"),
    (lambda host: (host, around(host, 0.2)), "the levels"),
    (lambda host: (host, around(host, inner=HMC(GaugeAction(5.8), 0.5, 2))), "the inner step"),
])
def test_another_host_or_step_is_refused_by_name(tmp_path, change, message):
    host = rectangles(None, 0.8, 2)
    complete(begin(tmp_path / "one", 2, host, around(host)))
    with pytest.raises(StreamError, match=message):
        resume(tmp_path / "one", *change(rectangles(None, 0.8, 2)))


def test_without_its_host_it_says_what_it_needs(tmp_path):
    host = rectangles(None, 0.8, 2)
    complete(begin(tmp_path / "one", 2, host, around(host)))
    with pytest.raises(StreamError, match="expected the terms of the host 'rectangles'"):
        stream.reopen(tmp_path / "one", Raw)
