"""A sampler as ONE safetensors file: weights, masks, action, provenance, proof; no pickle.

Tensors: the weights (`steps.kicks`, `kick_network.weight`, ...) and the fingerprint. Metadata:
`format`, `version`, `architecture`, `action`, `group`, `dtype`, `axes`, `provenance`,
`fingerprint`, `hash` = SHA-256 over tensors and metadata except `hash` and `gate`, and `gate`, the
report of the gate for that hash with a digest of its own.
"""

import json
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
from l2hmc_bridge.systems import table as systems
from l2hmc_bridge.systems.actions import Action


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

    Without `path` the bundle that ships, without `beta` the middle of the range it was trained on.
    Raises BundleError.
    """
    path = models.default() if path is None else Path(path)
    tensors, meta = read_file(path)
    try:
        action_meta = json.loads(meta["action"])
        low, high = action_meta["beta_range"]
        action = systems.action(action_meta, 0.5 * (low + high))
        if meta["group"] != action.group:
            raise BundleError(f"{path}: expected group {action.group}, found {meta['group']}")
        kernel = architecture.build(json.loads(meta["architecture"]), action)
        weights = {k: v for k, v in tensors.items() if not k.startswith("fingerprint.")}
        architecture.load_tensors(kernel, weights)
        _check_fingerprint(path, kernel, json.loads(meta["fingerprint"]), tensors)
        gate = read_gate(path, meta)
        provenance = json.loads(meta["provenance"])
    except BundleError:
        raise
    except (BridgeError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path}: expected a complete bundle, found: {error}") from error
    if device is not None:
        for module in architecture.modules(kernel).values():
            module.to(device)
    if beta is not None:
        kernel = _at(kernel, beta)
    about = {"action": action_meta, "provenance": provenance, "version": meta["version"]}
    return Bundle(kernel, meta["hash"], gate, about, str(path))


def require_gate(bundle: Bundle) -> None:
    """Raise BundleError unless a stored gate report fits the hash and passed."""
    if bundle.gate is None:
        raise BundleError(
            f"{bundle.path}: expected a gate report, found none (`l2hmc-bridge gate "
            f"{bundle.path} --write` makes one; --ungated does without)"
        )
    if bundle.gate.get("hash") != bundle.hash or not bundle.gate.get("passed"):
        found = "one that failed" if not bundle.gate.get("passed") else "one for another hash"
        raise BundleError(
            f"{bundle.path}: expected a gate report that passed for hash {bundle.hash[:12]}, "
            f"found {found} (`l2hmc-bridge gate {bundle.path} --write` makes one; --ungated does "
            "without)"
        )


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


def _check_fingerprint(path, kernel: L2HMC, stored: Mapping, tensors: Mapping[str, Tensor]):
    expected = systems.restored(tensors["fingerprint.links"], kernel.action.group)
    apart = difference(fingerprint(_at(kernel, stored["beta"]), stored["seed"]),
                       (expected, stored["delta_h"], stored["log_det"]))
    if not apart < TOLERANCE:
        raise BundleError(
            f"{path}: expected the stored fingerprint within {TOLERANCE:g}, "
            f"found a difference of {apart:.3g}: this program computes another step"
        )


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
