"""A sampler as ONE safetensors file: weights, masks, action, provenance, proof; no pickle.

Tensors: the weights (`steps.kicks`, `kick_network.weight`, ...) and the fingerprint. Metadata:
`format`, `version`, `architecture`, `action`, `group`, `dtype`, `axes`, `provenance`,
`fingerprint`, `hash` = SHA-256 over tensors and metadata except `hash` and `gate`, and `gate`, the
report of the gate for that hash with a digest of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge import __version__, models
from l2hmc_bridge.bundle import architecture
from l2hmc_bridge.bundle.fingerprint import TOLERANCE, difference, fingerprint
from l2hmc_bridge.bundle.store import (
    FORMAT,
    VERSION,
    digest as digest,
    json_text,
    read_file,
    read_gate,
    write_file as write_file,
    write_gate as write_gate,
)
from l2hmc_bridge.errors import BridgeError, BundleError, LayoutError
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.storage import parsing
from l2hmc_bridge.storage.parsing import Entries
from l2hmc_bridge.systems import table as systems
from l2hmc_bridge.systems.actions import Action

LARGEST_BETA = 1e4


class Bundle(NamedTuple):
    """A loaded bundle: the kernel at the beta asked for, and what the file says of itself."""

    kernel: L2HMC
    hash: str
    gate: dict | None  # {"hash", "checks": [...], "passed", ...}
    meta: dict[str, Any]  # action, provenance, version, beta_range
    path: str


def save(path: Path, kernel: L2HMC, provenance: Mapping[str, Any],
         beta_range: tuple[float, float]) -> str:
    """Write `kernel` as a bundle without a gate report; returns its hash.

    The step sizes are stored as effective ones, `kernel.scale` worked in.
    """
    kernel = effective(kernel)
    action = kernel.action
    tensors = architecture.tensors(kernel)
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "architecture": json_text(architecture.describe(kernel)),
        "action": json_text({**systems.describe(action), "beta_range": list(beta_range)}),
        "group": action.group,
        "dtype": "float64",
        "axes": systems.system_of(action).axes,
        "provenance": json_text({**provenance, "package_version": __version__}),
    }
    beta = 0.5 * sum(beta_range)
    links, delta_h, log_det = fingerprint(_at(kernel, beta), seed=1)
    tensors["fingerprint.links"] = systems.stored(links)
    meta["fingerprint"] = json_text(
        {"seed": 1, "beta": beta, "delta_h": delta_h, "log_det": log_det}
    )
    meta["hash"] = digest(tensors, meta)
    meta["gate"] = ""
    write_file(path, tensors, meta)
    return meta["hash"]


def load(path: Path | str | None = None, beta: float | None = None,
         device: torch.device | None = None) -> Bundle:
    """Read, verify (version, keys, hash, fingerprint) and rebuild the kernel at `beta`.

    `path` may be the name of a bundle that ships; without it `wilson`, without `beta` the middle of
    the range it was trained on.
    Raises BundleError, ActionError for a beta that is none.
    """
    path = models.located(models.DEFAULT if path is None else path)
    tensors, meta = read_file(path)
    try:
        action_meta, kernel = rebuilt(path, meta, {k: v for k, v in tensors.items()
                                                   if not k.startswith("fingerprint.")})
        _check_fingerprint(path, kernel, meta["fingerprint"], tensors)
        gate = read_gate(path, meta)
        provenance = dict(table(path, meta, "provenance").values)
    except BundleError:
        raise
    except (BridgeError, ValueError, KeyError, TypeError, RuntimeError, MemoryError) as error:
        said = " ".join(str(error).split())[:300]
        raise BundleError(f"{path}: expected a complete bundle, found: {said}") from error
    if device is not None:
        for module in architecture.modules(kernel).values():
            module.to(device)
    if beta is not None:
        kernel = _at(kernel, beta)
    about = {"action": action_meta, "provenance": provenance, "version": meta["version"]}
    return Bundle(kernel, meta["hash"], gate, about, str(path))


def require_action(bundle: Bundle, action: Action) -> None:
    """Raise BundleError unless the bundle was made for this action (beta apart) and group."""
    theirs, ours = systems.describe(bundle.kernel.action), systems.describe(action)
    if theirs != ours:
        raise BundleError(
            f"{bundle.path}: expected a bundle for {action.group} {ours['name']}, "
            f"found {bundle.kernel.action.group} {theirs['name']}"
        )


def require_lattice(bundle: Bundle, lattice: Sequence[int]) -> Bundle:
    """The bundle; LayoutError unless its action and networks fit this lattice, time first."""
    require_fit(bundle.kernel, lattice, bundle.path)
    return bundle


def require_fit(kernel: L2HMC, lattice: Sequence[int], where: object) -> None:
    """LayoutError that names `where` unless action and networks fit this lattice, time first."""
    system = systems.system_of(kernel.action)
    if len(lattice) != system.dimensions:
        raise LayoutError(f"{where}: expected {system.dimensions} number(s) as the lattice of "
                          f"{kernel.action.group} (--lattice), found {len(lattice)}")
    try:
        kernel.init(system.cold((*lattice[1:], lattice[0]), 1))
    except LayoutError as error:
        raise LayoutError(f"{where}: {error}") from error


def rebuilt(
    path: Path, meta: Mapping[str, str], weights: Mapping[str, Tensor]
) -> tuple[dict[str, Any], L2HMC]:
    """(what is said of the action, the kernel with its weights at the middle of its betas).

    Raises BridgeError for what does not fit together.
    """
    given = table(path, meta, "action")
    low, high = _beta_range(given)
    action = systems.action(given.values, 0.5 * (low + high))
    system = systems.system_of(action)
    _same(path, "action", dict(given.values), {**systems.describe(action),
                                               "beta_range": [low, high]})
    for name, right in (("group", action.group), ("dtype", "float64"), ("axes", system.axes)):
        _same(path, name, meta[name], right)
    description = table(path, meta, "architecture").values
    with torch.device("meta"):  # no memory for what the file does not hold
        architecture.require_weights(architecture.build(description, action), weights)
    kernel = architecture.build(description, action)
    architecture.load_tensors(kernel, weights)
    return dict(given.values), kernel


def table(path: Path, meta: Mapping[str, str], name: str) -> Entries:
    """An entry of the metadata that is a table. Raises BundleError."""
    return parsing.json_table(meta[name], f"{path}: {name}", BundleError)


def _beta_range(given: Entries) -> tuple[float, float]:
    pair = given.listed("beta_range", 2, 2)
    low, high = pair
    if not all(map(parsing.finite, pair)) or not 0 <= low <= high <= LARGEST_BETA:
        given.refuse("beta_range", f"two rising numbers from 0 to {LARGEST_BETA:g}", pair)
    return low, high


def _same(path: Path, name: str, found: object, right: object) -> None:
    if found != right:
        raise BundleError(f"{path}: {name}: expected {parsing.shown(right)}, found "
                          f"{parsing.shown(found)}")


def _check_fingerprint(
    path: Path, kernel: L2HMC, text: str, tensors: Mapping[str, Tensor]
) -> None:
    stored = parsing.json_table(text, f"{path}: fingerprint", BundleError)
    seed, beta = stored.whole("seed"), stored.number("beta", 0, LARGEST_BETA)
    ours = fingerprint(_at(kernel, beta), seed)
    links = fingerprint_links(path, ours[0], tensors)
    apart = difference(ours, (systems.restored(links, kernel.action.group),
                              stored.number("delta_h"), stored.number("log_det")))
    if not apart < TOLERANCE:
        raise BundleError(
            f"{path}: expected the stored fingerprint within {TOLERANCE:g}, "
            f"found a difference of {apart:.3g}: this program computes another step"
        )


def fingerprint_links(
    path: Path | str, ours: Tensor, tensors: Mapping[str, Tensor]
) -> Tensor:
    """The stored links of a fingerprint. Raises BundleError unless they are like `ours`."""
    links, like = tensors["fingerprint.links"], systems.stored(ours)
    if (links.shape, links.dtype) != (like.shape, like.dtype):
        raise BundleError(f"{path}: expected fingerprint.links {list(like.shape)} in {like.dtype}, "
                          f"found {list(links.shape)} in {links.dtype}")
    return links


def effective(kernel: L2HMC) -> L2HMC:
    """The same kernel with `scale` worked into its steps.

    Networks see the scaled step as their step size, so nothing else changes.
    """
    if kernel.scale == 1.0:
        return kernel
    copy = architecture.build(architecture.describe(kernel), kernel.action)
    architecture.load_tensors(copy, architecture.tensors(kernel))
    with torch.no_grad():
        copy.steps.length.mul_(kernel.scale)
        copy.steps.displacements.mul_(kernel.scale**2)
    return copy


def _at(kernel: L2HMC, beta: float) -> L2HMC:
    return replace(kernel, action=kernel.action.at(beta))
