"""The masks of an l2hmc-qcd run: drawn again from its seed, read, or seen in what training left.

dynamics/pytorch/dynamics.py (commit 1b951ef) draws them when the model is built: per layer, the
first half of numpy.random.permutation(2 Nt Nx) are the links that stand first. The generator is
numpy's global one, seeded with seed (rank + 1) (local_rank + 1) by setup_torch, and nothing else is
drawn before. They are not saved. But where each half of a drift has a network of its own, training
leaves a trace: the coefficients of s and q start at 0, and those of links that stand get no
gradient, so they stay exactly 0. With one process that gives every mask back; with several (each
has masks of its own, the gradients are summed) or restarts it still contradicts a wrong seed.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from l2hmc_bridge.adapters.l2hmc_qcd.checkpoint import Checkpoint
from l2hmc_bridge.errors import ConfigError, FormatError


class Masks(NamedTuple):
    """Which links stand first in each layer, bool [n, 2 Nt Nx], and where that is known from."""

    frozen: Tensor
    source: str
    confirmed: int  # of n * 2 Nt Nx, those that the weights bear out


def drawn(seed: int, rank: int, local_rank: int, layers: int, links: int) -> Tensor:
    """The masks of a run with this seed on this rank; ConfigError for what numpy takes as none."""
    word = seed * (rank + 1) * (local_rank + 1)
    if not 0 <= word < 2**32:
        raise ConfigError(f"--seed: expected seed (rank + 1) (local rank + 1) below 2^32, as numpy "
                          f"takes it, found {word}")
    generator = np.random.RandomState(word)
    frozen = torch.zeros(layers, links, dtype=torch.bool)
    for mask in frozen:
        mask[torch.from_numpy(generator.permutation(np.arange(links))[:links // 2])] = True
    return frozen


def read(path: str | Path, layers: int, links: int) -> Tensor:
    """Masks of 0 and 1 from an .npy file, [n, 2 Nt Nx] or [n, 1, 2 Nt Nx]; FormatError otherwise.

    `numpy.save("masks.npy", numpy.stack([m.numpy() for m in dynamics.masks]))` writes it.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FormatError(f"{path}: expected masks as an .npy file, found: {error}") from error
    if not isinstance(array, np.ndarray) or array.size != layers * links or len(array) != layers:
        found = list(getattr(array, "shape", ())) or "several arrays"
        raise FormatError(f"{path}: expected masks [{layers}, {links}], found {found}")
    if not np.isin(array, (0, 1)).all():
        raise FormatError(f"{path}: expected masks of 0 and 1, found other numbers")
    return torch.from_numpy(array.reshape(layers, links) == 1)


def traces(checkpoint: Checkpoint) -> tuple[Tensor, Tensor]:
    """(known, frozen), bool [n, 2 Nt Nx]: links that just one of the two networks never moved."""
    shape = (checkpoint.layers, checkpoint.links)
    if not checkpoint.split:
        return torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    still = torch.stack([((drift["scale.coeff"] == 0) & (drift["transf.coeff"] == 0)).reshape(-1)
                         for drift in checkpoint.drifts])
    first, second = still[0::2], still[1::2]
    return first ^ second, first


def settle(checkpoint: Checkpoint, given: Tensor | None, source: str) -> Masks:
    """`given` if the weights do not contradict it, or what they say if that is all.

    Raises ConfigError for a contradiction, and where there is nothing to go by.
    """
    known, frozen = traces(checkpoint)
    confirmed = int(known.sum())
    if given is not None:
        wrong = int((known & (given != frozen)).sum())
        if wrong:
            raise ConfigError(
                f"{checkpoint.path}: expected masks that the weights were trained with, found "
                f"{wrong} of {confirmed} links against {source}: another seed, rank or order of "
                "construction")
        return Masks(given, source, confirmed)
    if not bool(known.all()):
        raise ConfigError(
            f"{checkpoint.path}: expected --seed (and --rank) or --masks: l2hmc-qcd does not save "
            f"its masks, and these weights tell only {confirmed} of {known.numel()} of their bits")
    return Masks(frozen, "what training left in the weights", confirmed)
