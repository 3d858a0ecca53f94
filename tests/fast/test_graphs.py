"""Which calls become graphs, what these give, and what is not trusted."""

import contextlib
import inspect
import itertools
import subprocess
import sys

import pytest
import torch

from l2hmc_bridge.fast.gpu import graphs
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fields.part import Part, holding, whole
from tests.support.recorded_graphs import Recorded

SHAPE = (1, 4, 2, 1, 2, 3)


def fields(seed, shape=SHAPE, dtype=torch.complex128):
    generator = torch.Generator().manual_seed(seed)
    return (su3.random_group(shape, generator).to(dtype),
            su3.random_algebra(shape, generator).to(dtype))


def moved(settings, links, momenta):
    """In place, out of place, by views, and with room that nothing fills at once."""
    step, times = settings
    room = torch.empty_like(links)
    counts = torch.zeros(len(links), 2, dtype=torch.int64)
    for _ in range(times):
        room.copy_(links + step * momenta @ links)
        room[:, 0] *= 2.0
        links = room.clone().conj()
        counts[:, 1] += momenta.abs().flatten(1).sum(1) > 1
    return links.resolve_conj(), momenta.abs().square().flatten(1).sum(1), counts[:, 1]


@pytest.fixture
def runtime():
    return Recorded()


@pytest.fixture
def made(runtime):
    return graphs.Graphs(runtime)


def same(found, expected):
    return graphs.same_bits(found, expected)


def test_a_graph_gives_what_launches_give(runtime, made):
    calls = []

    def counted(*given):
        calls.append(given)
        return moved(*given)

    kept, counts = [], []
    for seed in range(5):
        given = fields(seed)
        before = [one.clone() for one in given]
        found = made.run(counted, (0.1, 2), *given)
        assert same(found, moved((0.1, 2), *given)) and same(given, before)
        kept.append((found, [one.clone() for one in found]))
        counts.append(len(calls))
    # The second call is tried: before the capture, in it, and for other fields; then none is made.
    assert counts == [1, 5, 5, 5, 5] and (runtime.captures, runtime.replays) == (1, 5)
    for found, then in kept:
        assert same(found, then)  # what a caller holds is not overwritten
    views = fields(7)[0].roll(1, 2).conj(), fields(8)[1].transpose(-1, -2)
    assert same(made.run(counted, (0.1, 2), *views), moved((0.1, 2), *views)) and len(calls) == 5


def test_nothing_is_computed_before_a_replay(runtime):
    graph = graphs.Graph(runtime, moved, (0.1, 2), fields(1))
    links, energy, count = graph._captured.found
    assert bool(links.isnan().all()) and bool(energy.isnan().all()) and int(count) == 77
    assert same(graph(fields(2)), moved((0.1, 2), *fields(2)))


def test_other_settings_shapes_and_numbers_have_graphs_of_their_own(runtime, made):
    cases = list(itertools.product(
        ((0.1, 1), (0.2, 1)), (SHAPE, (2, *SHAPE[1:])), (torch.complex128, torch.complex64)))
    for settings, shape, dtype in cases * 3:
        given = fields(3, shape, dtype)
        assert same(made.run(moved, settings, *given), moved(settings, *given))
    assert (runtime.captures, runtime.replays) == (8, 3 * 8)


def test_ever_new_settings_are_never_captured(runtime, made):
    for number in range(2 * graphs.REMEMBERED):
        made.run(moved, (0.1 + number, 1), *fields(1))
    for number in range(5):  # forgotten meanwhile
        made.run(moved, (0.1 + number, 1), *fields(1))
    assert runtime.captures == 0 and len(made._once) == graphs.REMEMBERED


def test_graphs_that_are_in_use_stay(runtime, made, monkeypatch):
    monkeypatch.setattr(graphs, "MOST_GRAPHS", 2)
    monkeypatch.setattr(graphs, "IDLE", 10)
    for number in range(12):  # three calls in turn: two have graphs, the third is launched
        made.run(moved, (0.1 + number % 3, 1), *fields(1))
    assert runtime.captures == 2 and len(made._graphs) == 2
    for _ in range(10):
        made.run(moved, (2.1, 1), *fields(1))
    assert runtime.captures == 3 and len(made._graphs) == 2


def test_who_is_launched_one_by_one(runtime, made, monkeypatch):
    def call(count=3, given=None):
        for _ in range(count):
            made.run(moved, (0.1, 1), *(fields(1) if given is None else given))
        return runtime.captures

    with graphs.one_by_one():
        assert call() == 0
    links, momenta = fields(1)
    assert call(given=(links.clone().requires_grad_(), momenta)) == 0
    empty = fields(1, (0, *SHAPE[1:]))
    assert call(given=empty) == 0
    monkeypatch.setattr(graphs, "MOST_SITES", 11)
    assert call() == 0
    monkeypatch.setattr(graphs, "MOST_SITES", 12)
    runtime._busy = True
    assert call() == 0
    runtime._busy = False
    made.on = False
    assert call() == 0
    made.on = True
    assert call() == 1
    assert not graphs.Cuda().ready(torch.device("cpu"))


def test_numbers_that_are_none_are_no_reason_for_distrust(runtime, made, caplog):
    links, momenta = fields(1)
    for _ in range(3):
        made.run(moved, (float("inf"), 1), links, momenta)
    assert runtime.captures == 1 and made.on and not caplog.text
    assert not same((torch.tensor([0.0]),), (torch.tensor([-0.0]),))


COUNTER = itertools.count()


def reads_a_number(settings, links, momenta):
    return (links * float(momenta.abs().max()),)


def asks_a_number(settings, links, momenta):
    return (links * (2.0 if bool((momenta.abs() > 1).any()) else 3.0),)


def brings_a_number(settings, links, momenta):
    return (links * torch.tensor([1.5, 2.5, momenta.real.abs().tolist()[0][0][0][0][0][0][0][0]]),)


def counts_calls(settings, links, momenta):
    return (links * next(COUNTER),)


def finds_more(settings, links, momenta):
    return (links.clone(),) * (1 + next(COUNTER) % 2)


@pytest.mark.parametrize("lenient", (False, True))
@pytest.mark.parametrize("wrong", (reads_a_number, brings_a_number, counts_calls, finds_more))
def test_what_is_baked_in_is_found_out(wrong, lenient, caplog):
    made = graphs.Graphs(Recorded(lenient))
    with caplog.at_level("WARNING"):
        for seed in range(4):
            if wrong not in (counts_calls, finds_more):
                given = fields(seed)
                assert same(made.run(wrong, None, *given), wrong(None, *given))
            else:
                made.run(wrong, None, *fields(seed))
            made.run(moved, (0.1, 1), *fields(seed))  # nor are others captured any more
    assert not made.on and not made._graphs
    (record,) = caplog.records
    raised = not lenient and wrong in (reads_a_number, brings_a_number)
    why = "not permitted when stream is capturing" if raised else "a graph of it gave other bits"
    assert why in record.message and f"{wrong.__name__}, so that kernels" in record.message


@pytest.mark.parametrize("error", (RuntimeError("no graphs here"), torch.OutOfMemoryError("full")))
def test_a_capture_that_fails_leaves_launches(error, caplog):
    made = graphs.Graphs(Recorded(fails=error))
    with caplog.at_level("WARNING"):
        for seed in range(4):
            given = fields(seed)
            assert same(made.run(moved, (0.1, 1), *given), moved((0.1, 1), *given))
    assert len(caplog.records) == 1 and f"captured: {error}" in caplog.text
    assert made.on == isinstance(error, torch.OutOfMemoryError)


@pytest.mark.parametrize("fails", (False, True))
def test_how_torch_is_asked(fails, monkeypatch):
    """In the order of PyTorch's documentation; a capture that fails leads back to the stream."""
    said, asked = [], inspect.signature(torch.cuda.graph)

    class Stream:
        def wait_stream(self, other):
            said.append("waits" if other is before else "is waited for")

    class Replayed:
        def replay(self):
            said.append("replayed")

    @contextlib.contextmanager
    def entered(name):
        said.append(name)
        yield

    @contextlib.contextmanager
    def captured(*arguments, **options):
        bound = asked.bind(*arguments, **options).arguments
        assert bound["stream"] is not before and bound["capture_error_mode"] == "thread_local"
        said.append("capture")
        yield
        if fails:
            raise RuntimeError("invalidated")

    before, device = Stream(), torch.device("cuda", 1)
    for name, value in {"CUDAGraph": Replayed, "Stream": Stream, "graph": captured,
                        "current_stream": lambda: before, "device": entered,
                        "stream": lambda one: entered("aside"),
                        "set_stream": lambda one: said.append(one is before)}.items():
        monkeypatch.setattr(torch.cuda, name, value)

    def call():
        said.append("called")
        return (torch.ones(1),)

    expected = [device, "waits", "aside", "called", "is waited for", "capture", "called", True]
    if fails:
        with pytest.raises(RuntimeError, match="invalidated"):
            graphs.Cuda().capture(device, call)
        assert said == expected
    else:
        graphs.Cuda().capture(device, call).replay()
        assert said == [*expected, "replayed"]


def test_errors_of_the_call_are_the_callers(made):
    def broken(settings, links):
        raise ValueError("not mine")

    for _ in range(3):
        with pytest.raises(ValueError, match="not mine"):
            made.run(broken, None, fields(1)[0])
    assert made.on


def test_other_fields_are_fields():
    given = (*fields(1, (1, 4, 3, 2, 2, 2)), torch.arange(4.0))
    links, momenta, numbers = graphs.other_fields(given)
    assert [one.shape for one in given] == [links.shape, momenta.shape, numbers.shape]
    assert float(su3.unitarity_defect(links).max()) < 1e-14
    assert float((momenta + momenta.mH).abs().max()) < 1e-15
    assert len(links[..., 0, 0].real.unique()) > graphs.MATRICES // 2
    assert numbers.tolist() == [2.25, 0.0, 0.75, 1.5]


def test_what_waits_for_neighbours_or_is_long(runtime, made, monkeypatch):
    monkeypatch.setattr(graphs, "GRAPHS", made)
    given = fields(1, (1, 4, 4, 1, 1, 1))
    half = Part((4, 1, 1, 1), (0, 0, 0, 0), (2, 1, 1, 1), (1, 0, 0, 0))
    for part, moves, captures in ((half, 1, 0), (None, graphs.MOST_MOVES + 1, 0),
                                  (whole((4, 1, 1, 1)), graphs.MOST_MOVES, 1)):
        with holding(part):
            for _ in range(2):
                assert same(graphs.run(moved, (0.1, 1), moves, *given), moved((0.1, 1), *given))
        assert runtime.captures == captures


@pytest.mark.slow
@pytest.mark.parametrize("value, on", (("off", "False"), ("on", "True")))
def test_the_switch(value, on, monkeypatch):
    monkeypatch.setenv(graphs.SWITCH, value)
    program = "from l2hmc_bridge.fast.gpu import graphs; print(graphs.GRAPHS.on)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == on, done.stderr
