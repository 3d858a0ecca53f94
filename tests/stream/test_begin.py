"""A stream begun and resumed from Python is the one that the command line makes."""

import contextlib
import dataclasses

import pytest
import torch

import l2hmc_bridge as lb
from l2hmc_bridge import fast
from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.payload import quality
from l2hmc_bridge.adapters.streams.stream_files import StreamFiles
from l2hmc_bridge.errors import BundleError, StreamError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.recorded import state as checkpoint
from l2hmc_bridge.recorded.specs import BundleSpec, HmcSpec
from l2hmc_bridge.stream import begin
from l2hmc_bridge.stream.options import SampleOptions
from l2hmc_bridge.systems.actions import GaugeAction
from tests.cli.sample.test_sample import make_bundle, sample, write_start
from tests.support.streams import contents, differences


class Listener:
    """Notes all that a run tells."""

    def __init__(self):
        self.said, self.phases, self.tried_, self.rows = [], [], [], []

    def say(self, sentence):
        self.said.append(sentence)

    def phase(self, name, total, done=0):
        self.phases.append((name, total, done))
        return contextlib.nullcontext(self)

    def tried(self, factor, delta_h):
        self.tried_.append((factor, list(delta_h)))

    def thermalised(self, plaquettes):
        self.tried_.append((None, list(plaquettes)))

    def recorded(self, row):
        self.rows.append(row)


@pytest.fixture
def start(tmp_path):
    return write_start(tmp_path / "start.ildg")


def options(start, out, /, **changes) -> SampleOptions:
    given = {"inputs": start, "out": out, "trajectories": 3, "kernel": "hmc", "seed": 1,
             "tune": 5, **changes}
    return SampleOptions(**given)


@pytest.mark.parametrize("kind", ["hmc", "l2hmc", "start"])
def test_python_and_the_command_line_make_one_stream(kind, start, tmp_path, capsys):
    words = {"hmc": ["--in", start, "--kernel", "hmc", "--steps", 2, "--check-reversibility", 2],
             "l2hmc": ["--in", start, "--bundle", make_bundle(tmp_path / "b.safetensors")],
             "start": ["--start", "hot", "--lattice", "2,4,2,4", "--beta", 5.7, "--kernel", "hmc",
                       "--thermalise", 3, "--chains", 2]}[kind]
    given = {"hmc": {"steps": 2, "check_reversibility": 2},
             "l2hmc": {"kernel": "l2hmc", "bundle": tmp_path / "b.safetensors"},
             "start": {"inputs": (), "start": "hot", "lattice": (2, 4, 2, 4), "beta": 5.7,
                       "thermalise": 3, "chains": 2}}[kind]
    assert sample(*words, "--out", tmp_path / "shell", "-n", 3, "--seed", 1, "--tune", 5) == 0
    capsys.readouterr()
    recorded = lb.begin_stream(options(start, tmp_path / "python", **given))
    assert capsys.readouterr() == ("", "")  # the library prints nothing
    assert differences(contents(tmp_path / "shell"), contents(tmp_path / "python")) == []
    assert recorded.trajectories == recorded.target == 3 and recorded.stopped is None
    assert recorded.folder == tmp_path / "python" and recorded.summary["complete"]


def test_resumed_in_python_is_uninterrupted(start, tmp_path):
    lb.begin_stream(options(start, tmp_path / "whole", trajectories=7))
    asked = iter([*[None] * 6, "when asked"])  # five of the tuning, one recorded
    first = lb.begin_stream(options(start, tmp_path / "parts", trajectories=4),
                            stop=lambda: next(asked))
    assert (first.stopped, first.trajectories, first.target) == ("when asked", 2, 4)
    assert lb.resume_stream(tmp_path / "parts").trajectories == 4
    assert lb.resume_stream(str(tmp_path / "parts"), 3).trajectories == 7
    assert differences(contents(tmp_path / "whole"), contents(tmp_path / "parts")) == []


def test_time_allowed_is_kept_from_python_too(start, tmp_path):
    first = lb.begin_stream(options(start, tmp_path / "s", tune=0, trajectories=30,
                                    max_seconds=1e-3))
    assert first.trajectories == 1 and "max-seconds" in first.stopped
    assert lb.resume_stream(tmp_path / "s", max_seconds=1e-3).trajectories == 2


def test_a_listener_is_told_everything(start, tmp_path):
    heard = Listener()
    lb.begin_stream(options(start, tmp_path / "s", thermalise=2, beta=5.8), heard)
    assert heard.phases == [("thermalise", 2, 0), ("tune", 5, 0), ("sample", 3, 0)]
    assert [len(deltas) for _, deltas in heard.tried_] == [1] * 7
    assert [row["trajectory"] for row in heard.rows] == [[13], [14], [15]]
    assert any("--beta 5.8 is used" in sentence for sentence in heard.said)
    lb.resume_stream(tmp_path / "s", progress=heard)
    assert "all of 3 trajectories are there already" in heard.said[-1]


def test_a_stop_before_the_first_trajectory_leaves_nothing(start, tmp_path):
    with pytest.raises(StreamError, match="stopped by me before the first recorded"):
        lb.begin_stream(options(start, tmp_path / "s"), stop=lambda: "by me")
    assert not (tmp_path / "s").exists()


def test_what_was_called_is_recorded(start, tmp_path):
    lb.begin_stream(options(start, tmp_path / "s"))
    told = checkpoint.load(tmp_path / "s").definition.record["provenance"]["command"]
    assert told == (f"SampleOptions(kernel='hmc', tune=5, seed=1, out={tmp_path / 's'!r}, "
                    f"trajectories=3, inputs={start!r})")


def test_a_definition_holds_a_typed_kernel(start, tmp_path):
    lb.begin_stream(options(start, tmp_path / "hmc", steps=2))
    spec = checkpoint.load(tmp_path / "hmc").definition.kernel
    assert spec == HmcSpec("force_gradient", 0.25, 2)
    kernel = spec.build(GaugeAction(5.7))
    assert (kernel.step_size, kernel.steps, kernel.action.beta) == (0.25, 2, 5.7)
    path = make_bundle(tmp_path / "b.safetensors")
    lb.begin_stream(options(start, tmp_path / "l2", kernel="l2hmc", bundle=path))
    spec = checkpoint.load(tmp_path / "l2").definition.kernel
    assert isinstance(spec, BundleSpec) and spec.hash == lb.load_bundle(path).hash
    assert spec.build(GaugeAction(5.7)).action == GaugeAction(5.7)
    with pytest.raises(BundleError, match="that this stream began with"):
        dataclasses.replace(spec, hash="0" * 64).build(GaugeAction(5.7))


@pytest.fixture
def counted(start, monkeypatch):
    """{function: how often it was called on the links in `start`, all chains or the first}.

    What reader and writer measure of a file is not counted.
    """
    links, calls, by_files = files.read(start).links, {}, []
    measure = quality.measure

    def measured(field):
        by_files.append(1)
        try:
            return measure(field)
        finally:
            by_files.pop()

    monkeypatch.setattr(quality, "measure", measured)

    def count(place, name, at=0):
        real = getattr(place, name)

        def counting(*given):
            field = given[at]
            same = field.shape[1:] == links.shape[1:] and torch.equal(field[:1], links)
            if same and not by_files:
                calls[name] = calls.get(name, 0) + 1
            return real(*given)

        monkeypatch.setattr(place, name, counting)

    count(GaugeAction, "force", 1)
    count(GaugeAction, "__call__", 1)
    count(su3, "determinant_defect")
    count(fast, "group_defects")
    return calls


@pytest.mark.parametrize("chains", [1, 2])
@pytest.mark.parametrize("kind", ["hmc", "l2hmc"])
def test_each_number_at_the_start_is_computed_once(kind, chains, start, tmp_path, counted):
    """One force and one action for tuning, quick gate, reversibility and the first trajectory."""
    given = {"kernel": kind, "chains": chains, "check_reversibility": 1}
    if kind == "l2hmc":
        given["bundle"] = make_bundle(tmp_path / "b.safetensors")
    counted.clear()
    lb.begin_stream(options(start, tmp_path / "s", **given))
    assert (counted["force"], counted["__call__"]) == (1, 1)
    assert "group_defects" not in counted  # how far from SU(3) it is, the reader knows


def test_the_reader_measures_the_group_once(start, tmp_path, counted):
    """The projection takes the reader's number, and measures where a reader has none."""
    read = begin.from_files(StreamFiles(), [start], None)
    assert read.record["start_unitarity_defect"][0] < 1e-12 and not read.notes
    assert "group_defects" not in counted

    class Silent(StreamFiles):
        def read(self, path):
            found = super().read(path)
            meta = {name: value for name, value in found.meta.items()
                    if name not in ("unitarity", "determinant")}
            return found._replace(meta=meta)

    again = begin.from_files(Silent(), [start], None)
    assert counted["group_defects"] == 1
    assert again.record["start_unitarity_defect"] == pytest.approx(
        read.record["start_unitarity_defect"], abs=1e-14)
