"""Checkpoints of l2hmc-qcd (github.com/saforem2/l2hmc-qcd, commit 1b951ef), read weights-only.

`trainer.save_ckpt` (src/l2hmc/trainers/pytorch/trainer.py) writes `ckpt-ERA-EPOCH-STEP-DATE.tar`
with torch.save: era, epoch, gstep, xeps and veps (lists of numpy numbers), model_state_dict and
optimizer_state_dict; beside it lies the state dict alone, `model-....pth`. Either is read. In the
state dict (dynamics/pytorch/dynamics.py, network/pytorch/network.py) are, for n layers,

    xeps.N, veps.N                 step sizes as trained; eps/(1 + eps) is what acts
    vnet.N.NAME, or vnet.NAME      the kicks, one network per layer or one for all
    xnet.N.first.NAME, xnet.N.second.NAME; xnet.N.NAME; or xnet.NAME      the drifts
    networks.xnet..., networks.vnet...                                    the same once more

NAME: input_layer.{xlayer,vlayer}, hidden_layers.N, transl, {scale,transf}.layer (weight and bias of
each), {scale,transf}.coeff, batch_norm, input_layer.conv_stack.layers.N. What is not there: masks,
group, lattice, beta, activation, weights of s, t and q, merge_directions, use_ncp.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from l2hmc_bridge.errors import FormatError

Weights = dict[str, Tensor]  # NAME -> float64
KEYS = ("model_state_dict", "xeps", "veps")
STEPS = re.compile(r"(xeps|veps)\.(\d+)")
PLACES = (  # where networks can be, the most common first; each ends before NAME
    re.compile(r"xnet\.(?P<layer>\d+)\.(?P<half>first|second)\."),
    re.compile(r"[xv]net\.(?P<layer>\d+)\."),
    re.compile(r"[xv]net\."),
)
NEEDED = ("input_layer.vlayer.weight", "transl.bias", "scale.coeff", "transf.coeff")
SHARED = -1  # the layer of a network that serves all


class Checkpoint(NamedTuple):
    """The numbers of a checkpoint, float64 and checked for being finite; nothing converted."""

    path: str
    xeps: Tensor  # [n]
    veps: Tensor  # [n]
    kicks: list[Weights]  # one, or n
    drifts: list[Weights]  # one, n, or 2 n: first and second of each layer in turn
    counters: dict[str, int]  # era, epoch, gstep, those that are there

    @property
    def layers(self) -> int:
        """Leapfrog layers of one direction, n."""
        return len(self.xeps)

    @property
    def links(self) -> int:
        """Links of the lattice, 2 Nt Nx."""
        return len(self.kicks[0]["transl.bias"])

    @property
    def split(self) -> bool:
        """Whether each half of each drift has a network of its own."""
        return len(self.drifts) == 2 * self.layers


def read(path: str | Path) -> Checkpoint:
    """Read and check a checkpoint.

    Raises FormatError for a file that holds anything but numbers, for names that are missing or
    unknown, networks that are not alike, numbers that are not finite, and for SU(3), by name.
    """
    content = _load(path)
    if not isinstance(content, Mapping):
        raise FormatError(f"{path}: expected a dictionary, found {type(content).__name__}")
    alone = "model_state_dict" not in content and "xeps.0" in content
    missing = [] if alone else [key for key in KEYS if key not in content]
    if missing:
        raise FormatError(f"{path}: expected the keys {', '.join(KEYS)} of l2hmc-qcd's save_ckpt, "
                          f"found none called {', '.join(missing)}; found {_some(content)}")
    state = _state(path, content if alone else content["model_state_dict"])
    steps = {name: _steps(path, name, state) for name in ("xeps", "veps")}
    if not alone:
        for name, values in steps.items():
            _compare(path, name, values, content[name])
    if len(steps["xeps"]) != len(steps["veps"]):
        raise FormatError(f"{path}: expected as many xeps as veps, found {len(steps['xeps'])} and "
                          f"{len(steps['veps'])}")
    layers = len(steps["xeps"])
    counters = {key: int(content[key]) for key in ("era", "epoch", "gstep")
                if isinstance(content.get(key), int)}
    networks = {part: _networks(path, part, state, layers) for part in ("vnet", "xnet")}
    found = Checkpoint(str(path), steps["xeps"], steps["veps"], networks["vnet"],
                       networks["xnet"], counters)
    _check_outputs(found)
    return found


def _load(path: str | Path) -> Any:
    """Tensors, numpy numbers and plain containers of a torch file, on the CPU; nothing else."""
    if not Path(path).is_file():
        raise FormatError(f"{path}: expected a checkpoint, found no file")
    # Before, numpy's functions have no names but those of today.
    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 7):
        raise FormatError(f"{path}: expected torch 2.7 or later to load it safely, found "
                          f"{torch.__version__}")
    rebuild = np.empty(0).__reduce__()[0]
    numbers: list[Any] = [
        (rebuild, "numpy.core.multiarray._reconstruct"), (np.ndarray, "numpy.ndarray"),
        (rebuild, "numpy._core.multiarray._reconstruct"), (np.dtype, "numpy.dtype"),
        *(type(np.dtype(name)) for name in ("f4", "f8")),
    ]
    try:
        with torch.serialization.safe_globals(numbers):
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # torch names no common class for what can be wrong with a file
        reason = str(error).replace("\n", " ")
        refused = re.search(r"(?:GLOBAL|allow(?:ed|list)?) ([\w.]+)", reason)
        what = f"an object of {refused[1]}, not loaded" if refused else reason[:160]
        raise FormatError(f"{path}: expected a torch file of tensors and numbers only, found "
                          f"{what or type(error).__name__}") from error


def _state(path, state: Any) -> Weights:
    """The state dict in float64 without the copies under `networks.`, which must be the same."""
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise FormatError(f"{path}: expected model_state_dict to hold tensors by name, found "
                          f"{type(state).__name__}")
    for name, value in state.items():
        if value.is_complex() or value.layout != torch.strided or value.is_quantized:
            raise FormatError(f"{path}: {name}: expected real numbers, found {value.dtype}")
        if not bool(value.double().isfinite().all()):
            raise FormatError(f"{path}: {name}: expected finite numbers, found NaN or infinity")
    kept = {}
    for name, value in state.items():
        short = name.removeprefix("networks.")
        if short != name and short in state and not torch.equal(state[short], value):
            raise FormatError(f"{path}: {name}: expected the same numbers as {short}, found others")
        if not re.match(r"[xv](net|eps)\.", short):
            raise FormatError(f"{path}: expected names that begin with xnet, vnet, xeps, veps or "
                              f"networks, found {name}")
        kept[short] = value.double()
    return kept


def _steps(path, kind: str, state: Weights) -> Tensor:
    """xeps or veps of the state dict, [n], all positive: what acts is sigmoid(log eps)."""
    found = {int(match[2]): value for name, value in state.items()
             if (match := STEPS.fullmatch(name)) and match[1] == kind}
    if not found or sorted(found) != list(range(len(found))):
        raise FormatError(f"{path}: expected {kind}.0, {kind}.1, ..., found {sorted(found)}")
    if any(value.numel() != 1 for value in found.values()):
        raise FormatError(f"{path}: {kind}: expected one number a layer, found more")
    values = torch.stack([found[n].reshape(()) for n in range(len(found))])
    if not bool((values > 0).all()):
        raise FormatError(f"{path}: {kind}: expected positive step sizes, found {values.tolist()}")
    return values


def _compare(path, kind: str, values: Tensor, listed: Any) -> None:
    """The list of step sizes beside the state dict must hold the same numbers."""
    try:
        same = np.asarray(listed, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        same = np.empty(0)
    if not np.array_equal(same, values.numpy()):
        raise FormatError(f"{path}: {kind}: expected the step sizes of model_state_dict, "
                          f"{values.tolist()}, found {same.tolist()}")


def _networks(path, part: str, state: Weights, layers: int) -> list[Weights]:
    """The networks of `xnet` or `vnet` in order; all of one make, none missing."""
    found: dict[tuple[int, int], Weights] = {}
    for name, value in state.items():
        if not name.startswith(f"{part}."):
            continue
        place = next(match for one in PLACES if (match := one.match(name)))
        groups = place.groupdict()
        index = (int(groups.get("layer", SHARED)), int(groups.get("half") == "second"))
        found.setdefault(index, {})[name[place.end():]] = value
    halves = 2 if any(second for _, second in found) else 1
    expected = {(layer, half) for layer in range(layers) for half in range(halves)}
    if not found:
        raise FormatError(f"{path}: expected the networks {part}, found none: plain HMC needs no "
                          "import")
    if set(found) not in (expected, {(SHARED, 0)}):
        raise FormatError(f"{path}: {part}: expected one network, or {halves} for each of {layers} "
                          f"layers, found {sorted(found)}")
    ordered = [found[index] for index in sorted(found)]
    first = {name: value.shape for name, value in ordered[0].items()}
    for index, one in zip(sorted(found), ordered, strict=True):
        for name in sorted(set(first) | set(one)):
            if name not in first or name not in one or one[name].shape != first[name]:
                raise FormatError(f"{path}: {part} {index}: expected the networks of all layers to "
                                  f"be alike, found another {name}")
    return ordered


def _check_outputs(found: Checkpoint) -> None:
    """What the rest relies on is there; SU(3), nine entries out and eight in, is refused."""
    for part, one in (("vnet", found.kicks[0]), ("xnet", found.drifts[0])):
        if missing := [name for name in NEEDED if name not in one]:
            raise FormatError(f"{found.path}: {part}: expected {missing[0]}, found none")
    seen = found.kicks[0]["input_layer.vlayer.weight"].shape[-1]
    if 8 * found.links == 9 * seen:
        raise FormatError(
            f"{found.path}: expected a U(1) checkpoint, found one of SU(3): its drift masks matrix "
            "elements, which leaves the group and has neither this inverse nor this Jacobian, and "
            "its kick scales nine complex entries of a momentum of eight components; no exact step "
            "computes it (train one here: l2hmc-bridge train)")
    for part, one in (("vnet", found.kicks[0]), ("xnet", found.drifts[0])):
        for name in NEEDED[1:]:
            if one[name].numel() != found.links:
                raise FormatError(f"{found.path}: {part}: {name}: expected {found.links} numbers, "
                                  f"found {one[name].numel()}")


def _some(content: Mapping) -> str:
    return ", ".join(sorted(map(str, content))[:6]) or "nothing"
