"""A stream runs to its target, or to a reason to stop; then what is in its folder is summed up."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from l2hmc_bridge.stream.deadline import Deadline
from l2hmc_bridge.stream.progress import Progress
from l2hmc_bridge.stream.run import Stream


class Recorded(NamedTuple):
    """What is in the folder now."""

    folder: Path
    trajectories: int
    target: int
    stopped: str | None  # the reason, if fewer than `target` are done
    summary: Mapping[str, Any]  # as summary.json has it


def record(made: Stream, progress: Progress, deadline: Deadline) -> Recorded:
    """Run to the target or a reason to stop; then history and summary."""
    deadline.restart()
    with progress.phase("sample", made.target, made.count) as shown:
        why = made.advance(deadline.why, shown.recorded)
    made.save_history()
    return Recorded(made.folder, made.count, made.target, why, made.save_summary())


def set_threads(count: int | None) -> None:
    """Threads of torch and the kernels, if anybody says."""
    if count is not None:
        torch.set_num_threads(count)
