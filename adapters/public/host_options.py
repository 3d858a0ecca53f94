"""What `sample --continue` can be told, and what it remembers of the last call on a stream."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.stream.options import UpdateOptions

# What a call without these options takes from the last one on the same stream: name in the record.
KEPT = {"kind": "kernel", "bundle": "bundle", "action": "action", "beta": "beta",
        "quenched": "quenched", "integrator": "integrator", "step_size": "step_size",
        "steps": "steps", "sweeps": "sweeps", "overrelax": "overrelax", "seed": "seed"}


@dataclass(frozen=True, kw_only=True)
class ContinueOptions(UpdateOptions):
    """`trajectories` from `path`, the last configuration of a host's stream.

    side_files: folders of the host's side files, if not beside it. without_rng: go on although
    Grid's generators are not there, without which Grid does not start again. given: names of the
    options that are as they are on purpose; the others are those of the last call on the same
    stream. If None, those that differ from their defaults. Raises ConfigError.
    """

    path: Path
    trajectories: int = 1
    side_files: tuple[Path, ...] = ()
    without_rng: bool = False
    given: frozenset[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trajectories < 1:
            raise ConfigError(f"trajectories: expected at least 1, found {self.trajectories}")

    def after(self, before: Mapping[str, Any] | None) -> "ContinueOptions":
        """The same with those of the last call on this stream, `before`, where none are given."""
        stored = {} if before is None else before["options"]
        return replace(self, given=self.fixed, **{
            name: stored[key] for key, name in KEPT.items()
            if key in stored and name not in self.fixed})

    @property
    def tunes(self) -> bool:
        """Whether this call is told how the steps are to be found."""
        return bool(self.fixed & {"tune", "md_length", "target_acceptance"})

    @property
    def fixed(self) -> frozenset[str]:
        """`given`, or what differs from its default."""
        if self.given is not None:
            return self.given
        return frozenset(field.name for field in fields(self)
                         if getattr(self, field.name) != field.default)
