"""What `sample` can be told, checked once, before any work; no torch here.

    SampleOptions(inputs="cfg.ildg", out="stream", trajectories=100, seed=1)
    SampleOptions(start="hot", lattice=(8, 8, 8, 8), beta=6.0, out="new", trajectories=50,
                  kernel="hmc")
"""

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.recorded.bounds import (
    LARGEST_NUMBER,
    LARGEST_SEED,
    LONGEST_FLOW,
    LONGEST_LENGTH,
    LONGEST_STEP,
    MOST_ACCEPTED,
    MOST_CHAINS,
    MOST_STEPS,
    MOST_SWEEPS,
    MOST_THREADS,
    MOST_UNRECORDED,
)
from l2hmc_bridge.storage.parsing import shown

KERNELS = ("l2hmc", "hmc", "heatbath")
STARTS = ("cold", "hot")
MEASURABLE = ("flow",)
# Options that belong to one kernel, or to none but two.
BELONGS = {"bundle": ("l2hmc",), "integrator": ("hmc",), "step_size": ("hmc",), "steps": ("hmc",),
           "sweeps": ("heatbath",), "overrelax": ("heatbath",), "tune": ("l2hmc", "hmc"),
           "check_reversibility": ("l2hmc", "hmc"), "md_length": ("l2hmc", "hmc"),
           "target_acceptance": ("l2hmc", "hmc")}
ACCEPTABLE = ("checksum", "plaquette", "link_trace", "theory")


@dataclass(frozen=True, kw_only=True)
class UpdateOptions:
    """Which update runs and how it is prepared; what new streams and streams of a host share.

    kernel: "l2hmc" runs `bundle` (a file, or the name of one that ships; wilson if None), "hmc"
    runs `integrator` with `steps` steps of `step_size`, "heatbath" runs `sweeps` sweeps of the heat
    bath and then `overrelax` of reflections, for the Wilson action. ungated: a bundle without a
    fitting gate report is taken, and one on which a check fails at the start. action: wilson,
    symanzik, iwasaki, dbw2 or "c1=NUMBER"; the file's, else the bundle's own, or wilson for the
    others, if None. beta: the coupling, if the file does not state it. quenched: sample the gauge
    action alone although a file tells of quarks. accept: checks of a file that may fail, and
    "theory": an `action` against the file's. source: format to read files as, known by their bytes
    if None. tune: trajectories on a copy that scale all steps towards `target_acceptance`.
    md_length: scale them to this MD time of a trajectory instead. seed: drawn by the system, and
    recorded, if None. threads of torch and the kernels: left as they are if None. device: "cpu" or
    "cuda[:N]". command: how the run was started, for the record.
    Raises ConfigError for a value that cannot be.
    """

    kernel: str = "l2hmc"
    bundle: Path | str | None = None
    ungated: bool = False
    action: str | None = None
    beta: float | None = None
    quenched: bool = False
    accept: Sequence[str] = ()
    source: str | None = None
    integrator: str = "force_gradient"
    step_size: float = 0.25
    steps: int = 4
    sweeps: int = 1
    overrelax: int = 4
    tune: int = 20
    target_acceptance: float = 0.8
    md_length: float | None = None
    seed: int | None = None
    threads: int | None = None
    device: str = "cpu"
    command: str | None = None

    def __post_init__(self) -> None:
        _one_of("kernel", self.kernel, KERNELS)
        _number("beta", self.beta)
        for word in self.accept:
            _one_of("accept", word, ACCEPTABLE)
        _number("step_size", self.step_size, LONGEST_STEP)
        _whole("steps", self.steps, 1, MOST_STEPS)
        _whole("sweeps", self.sweeps, 1, MOST_SWEEPS)
        _whole("overrelax", self.overrelax, 0, MOST_SWEEPS)
        _whole("tune", self.tune, 0, MOST_UNRECORDED)
        _number("target_acceptance", self.target_acceptance, MOST_ACCEPTED)
        _number("md_length", self.md_length, LONGEST_LENGTH)
        self._check_length()
        _whole("seed", self.seed, 0, LARGEST_SEED)
        _whole("threads", self.threads, 1, MOST_THREADS)

    def _check_length(self) -> None:
        """Raise ConfigError for a length of the trajectory and another way to find its steps."""
        defaults = {one.name: one.default for one in fields(self)}
        for name in ("tune", "target_acceptance", "step_size"):
            value = getattr(self, name)
            if self.md_length is not None and value not in (defaults[name], 0):
                raise ConfigError(f"{name}: expected none with md_length, which fixes the steps, "
                                  f"found {value}")

    def drawn_seed(self) -> int:
        """The seed, from the system if none was given."""
        return secrets.randbits(32) if self.seed is None else self.seed

    def described(self) -> str:
        """What `command` says, or the options as they are written in Python, defaults left out."""
        if self.command is not None:
            return self.command
        given = [f"{field.name}={getattr(self, field.name)!r}" for field in fields(self)
                 if getattr(self, field.name) != field.default]
        return f"{type(self).__name__}({', '.join(given)})"


@dataclass(frozen=True, kw_only=True)
class SampleOptions(UpdateOptions):
    """A new stream of `trajectories` in the folder `out`, from `inputs` or a cold or hot start.

    inputs: a configuration, or several: one chain each. start: "cold" (unit links) or "hot"
    (Haar-random ones) on `lattice`, extents (X, Y, Z, T), at `beta`; with inputs, `lattice` is that
    of files which do not state it. chains: copies of one start that run side by side. thermalise:
    updates before the first recorded one, by the heat bath for the Wilson action, else trajectories
    accepted unless far off; with `start` 50 or 20, else 0, if None. first: number of the first
    recorded trajectory; that of the file, or 0, and one, if None. save_every: trajectories between
    save points; 1 up to 12^4 sites, else 10, if None. keep_every: between configurations; as
    save_every, if None. measure: ("flow",) measures every configuration that is kept along the
    Wilson flow up to `flow_time` in steps of `flow_step`. format: of the configurations; the
    input's, if None. check_reversibility: a trajectory forth and back after every K-th, 0 for
    never. max_seconds: save and stop before this much time has passed.
    Raises ConfigError for values that cannot be or contradict each other.
    """

    out: Path | str
    trajectories: int
    inputs: Path | str | Sequence[Path | str] = ()
    start: str | None = None
    lattice: tuple[int, int, int, int] | None = None
    chains: int | None = None
    thermalise: int | None = None
    first: int | None = None
    save_every: int | None = None
    keep_every: int | None = None
    measure: Sequence[str] = ()
    flow_time: float = 1.0
    flow_step: float = 0.02
    format: str | None = None
    check_reversibility: int = 0
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _whole("trajectories", self.trajectories, 1)
        _whole("chains", self.chains, 1, MOST_CHAINS)
        _whole("thermalise", self.thermalise, 0, MOST_UNRECORDED)
        _whole("first", self.first, 1, LARGEST_NUMBER)
        _whole("save_every", self.save_every, 1)
        _whole("keep_every", self.keep_every, 1)
        self._check_measure()
        _whole("check_reversibility", self.check_reversibility, 0)
        _number("max_seconds", self.max_seconds, math.inf)
        self._check_start()
        self._check_kernel()

    @property
    def paths(self) -> tuple[Path, ...]:
        """The inputs."""
        given = [self.inputs] if isinstance(self.inputs, str | Path) else self.inputs
        return tuple(Path(one) for one in given)

    @property
    def folder(self) -> Path:
        """Where the stream is recorded."""
        return Path(self.out)

    def _check_measure(self) -> None:
        for word in self.measure:
            _one_of("measure", word, MEASURABLE)
        _number("flow_time", self.flow_time, LONGEST_FLOW)
        _number("flow_step", self.flow_step, LONGEST_FLOW)
        defaults = {one.name: one.default for one in fields(self)}
        for name in ("flow_time", "flow_step"):
            if not self.measure and getattr(self, name) != defaults[name]:
                raise ConfigError(f"{name}: expected with measure 'flow' only, found "
                                  f"{getattr(self, name)}")

    def _check_start(self) -> None:
        if bool(self.paths) == (self.start is not None):
            raise ConfigError("sample: expected either inputs or a start, found "
                              f"{'both' if self.paths else 'neither'}")
        self._check_lattice()
        if self.start is None:
            if self.chains is not None and len(self.paths) not in (1, self.chains):
                raise ConfigError(f"chains: expected one input or {self.chains}, found "
                                  f"{len(self.paths)}")
            return
        _one_of("start", self.start, STARTS)
        if self.beta is None:
            raise ConfigError(f"beta: expected one with start {self.start!r}, found none")
        if self.lattice is None:
            raise ConfigError(f"lattice: expected (X, Y, Z, T) with start {self.start!r}, found "
                              "None")

    def _check_lattice(self) -> None:
        if self.lattice is None:
            return
        if len(self.lattice) != 4:
            raise ConfigError(f"lattice: expected (X, Y, Z, T), found {self.lattice}")
        for extent in self.lattice:
            _whole("lattice", extent, 1)

    def _check_kernel(self) -> None:
        defaults = {field.name: field.default for field in fields(self)}
        for name, kernels in BELONGS.items():
            value = getattr(self, name)
            if self.kernel not in kernels and value != defaults[name]:
                raise ConfigError(f"{name}: expected with kernel {' or '.join(map(repr, kernels))} "
                                  f"only, found {value!r} with {self.kernel!r}")


def _one_of(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigError(f"{name}: expected one of {', '.join(choices)}, found {shown(value)}")


def _whole(name: str, value: int | None, low: int, high: int | None = None) -> None:
    if value is None:
        return
    wrong = isinstance(value, bool) or not isinstance(value, int)
    if wrong or value < low or (high is not None and value > high):
        bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ConfigError(f"{name}: expected a whole number {bounds}, found {shown(value)}")


def _number(name: str, value: float | None, high: float | None = None) -> None:
    """A finite number; with `high` one above 0 and up to it."""
    if value is None:
        return
    wrong = isinstance(value, bool) or not isinstance(value, int | float)
    if wrong or not math.isfinite(value) or (high is not None and not 0 < value <= high):
        bounds = ("" if high is None else " above 0" if high == math.inf
                  else f" above 0 and up to {high:g}")
        raise ConfigError(f"{name}: expected a finite number{bounds}, found {shown(value)}")
