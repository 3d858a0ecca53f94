"""The history of a training run as HDF5: one column per number, one row per iteration."""

import io
import json
import math
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np

from l2hmc_bridge.storage.atomic import replacing
from l2hmc_bridge.training.loop import Progress, Trainer

COLUMNS = {
    "iteration": "number of the iteration, from 0",
    "loss": "the weighted sum of losses of the batch",
    "acceptance": "mean of min(1, exp(-dH + log|J|))",
    "rms_log_ratio": "root mean square of -dH + log|J|",
    "gradient_norm": "before clipping; 0 for gauss_newton",
    "beta": "coupling of the iteration, annealing included",
    "seconds": "wall-clock time",
    "charge_change": "E[A |Q' - Q|], whole charges of U(1); NaN elsewhere",
    "step_size": "mean drift step in MD time; NaN for gauss_newton",
    "observable": "mean over the chains after the iteration: plaquette, of vectors |x|^2",
}


def write(path: Path, trainer: Trainer) -> None:
    """Write or replace `path`: a dataset for each of COLUMNS, the configuration as attribute."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["format"] = "l2hmc-bridge training history"
        file.attrs["config"] = json.dumps(trainer.config.as_dict(), sort_keys=True)
        for column in fields(Progress):
            values = [getattr(row, column.name) for row in trainer.history]
            numbers = np.array([math.nan if value is None else value for value in values])
            file.create_dataset(column.name, data=numbers)
            file[column.name].attrs["meaning"] = COLUMNS[column.name]
    with replacing(Path(path), force=True) as target:
        target.write(buffer.getvalue())
