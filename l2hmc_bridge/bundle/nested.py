"""A nested step as one safetensors file: the inner kernel as in a plain bundle, and its levels.

Tensors: `inner.*` (weights), `levels.N.kicks`, `.drifts`, `.displacements`, `.repeats` from the
inside out, and the fingerprint. Metadata as in file.py and `levels` (names, and the names of the
terms of each), `host` (name, parameters). The terms themselves are the user's code: the file only
says which host they must come from, and never imports it. The host ANY stands for every one: its
one level kicks with all terms of whichever host it is put around. The fingerprint is that of the
levels around stand-in terms, so that it needs no host.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from l2hmc_bridge import __version__, models
from l2hmc_bridge.bundle import architecture, fingerprint as marks
from l2hmc_bridge.bundle.file import effective, fingerprint_links, rebuilt, table
from l2hmc_bridge.bundle.store import (
    NESTED,
    VERSION,
    digest,
    json_text,
    read_file,
    read_gate,
    write_file,
)
from l2hmc_bridge.errors import BridgeError, BundleError, ConfigError
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.sampling.integrators import Schedule
from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.stand_in import on_stand_ins, stand_in
from l2hmc_bridge.sampling.terms import Host
from l2hmc_bridge.storage import parsing
from l2hmc_bridge.storage.parsing import Entries
from l2hmc_bridge.systems import table as systems
from l2hmc_bridge.systems.groups import group_of

ANY = "any host"
MOST_LEVELS, MOST_TERMS, MOST_STEPS = 8, 64, 10_000


@dataclass(frozen=True)
class NestedBundle:
    """A loaded file: inner kernel, levels with the names of their terms, and their host by name."""

    inner: L2HMC
    levels: tuple[Level, ...]  # around stand-ins
    terms: tuple[tuple[str, ...], ...]  # names, level by level
    host: str
    parameters: Mapping[str, float]
    hash: str
    gate: dict | None
    meta: dict[str, Any]
    path: str

    @property
    def kernel(self) -> Nested:
        """The step around stand-ins, for a gate without the host."""
        return Nested(self.inner, self.levels)

    def on(self, host: Host, other_parameters: bool = False) -> Nested:
        """The step around the terms of `host`; all of them in one level of a bundle for ANY host.

        Raises BundleError, by name, for another host, a term it lacks or leaves over, or, unless
        `other_parameters`, for parameters that differ.
        """
        if self.host == ANY:
            return Nested(self.inner, (replace(self.levels[0], terms=tuple(host.terms)),))
        if host.name != self.host:
            raise BundleError(f"{self.path}: expected the host {self.host!r} it was trained on, "
                              f"found {host.name!r}")
        for name in sorted(set(self.parameters) | set(host.parameters)):
            ours, theirs = self.parameters.get(name), host.parameters.get(name)
            if ours != theirs and not other_parameters:
                raise BundleError(f"{self.path}: expected {self.host!r} with {name} = {ours}, "
                                  f"found {theirs}; other_parameters=True takes it all the same "
                                  "(exact, with another acceptance)")
        wanted = [name for level in self.terms for name in level]
        if sorted(wanted) != sorted(term.name for term in host.terms):
            raise BundleError(f"{self.path}: expected the terms {wanted} of {self.host!r}, found "
                              f"{[term.name for term in host.terms]}")
        levels = tuple(replace(level, terms=tuple(map(host.term, names)))
                       for level, names in zip(self.levels, self.terms, strict=True))
        return Nested(self.inner, levels)


def save(path: Path, kernel: Nested, host: Host, provenance: Mapping[str, Any]) -> str:
    """Write `kernel`, whose inner step is an L2HMC, without a gate report; returns the hash.

    Scales are worked into the steps. Raises ConfigError for an inner step of another kind, and
    for a host or a number of steps that `load` would refuse.
    """
    require_host(host)
    require_few_steps(kernel)
    if not isinstance(kernel.inner, L2HMC):
        raise ConfigError("nested bundle: expected an L2HMC as inner step (networks off: HMC), "
                          f"found {type(kernel.inner).__name__}")
    inner = effective(kernel.inner)
    kernel = _effective(replace(kernel, inner=inner))
    tensors = {f"inner.{k}": v for k, v in architecture.tensors(inner).items()}
    for number, level in enumerate(kernel.levels):
        for name, part in zip(Schedule._fields, level.plan, strict=True):
            tensors[f"levels.{number}.{name}"] = torch.tensor(part, dtype=torch.float64)
        tensors[f"levels.{number}.repeats"] = torch.tensor(level.counts)
    action = inner.action
    meta = {
        "format": NESTED, "version": VERSION,
        "architecture": json_text(architecture.describe(inner)),
        "action": json_text({**systems.describe(action), "beta_range": [action.beta] * 2}),
        "group": action.group, "dtype": "float64", "axes": systems.system_of(action).axes,
        "levels": json_text([{"name": level.name, "terms": [term.name for term in level.terms]}
                             for level in kernel.levels]),
        "host": json_text({"name": host.name, "parameters": dict(host.parameters)}),
        "provenance": json_text({**provenance, "package_version": __version__}),
    }
    links, delta_h, log_det = _fingerprint(kernel, inner, seed=1)
    tensors["fingerprint.links"] = systems.stored(links)
    meta["fingerprint"] = json_text({"seed": 1, "delta_h": delta_h, "log_det": log_det})
    meta["hash"] = digest(tensors, meta)
    meta["gate"] = ""
    write_file(path, tensors, meta)
    return meta["hash"]


def require_host(host: Host) -> None:
    """Raise ConfigError, by name, for a host that no file can hold: parameters must be numbers."""
    given = Entries({"name": host.name, "parameters": host.parameters}, f"host {host.name!r}",
                    ConfigError)
    given.text("name")
    _parameters(given.table("parameters"))


def require_few_steps(kernel: Nested) -> None:
    """Raise ConfigError for more steps of an L2HMC inside than `load` takes."""
    if not isinstance(kernel.inner, L2HMC):
        return
    steps = 2 * kernel.inner.layers * kernel.inner.repeats * math.prod(
        sum(level.counts) for level in kernel.levels)
    if steps > MOST_STEPS:
        raise ConfigError(f"levels: expected at most {MOST_STEPS} steps of the inner level in a "
                          f"trajectory, found {parsing.shown(steps)}")


def load(path: Path | str, beta: float | None = None) -> NestedBundle:
    """Read and verify (version, keys, hash, fingerprint); `on` puts it around a host.

    path: a file, or the name of a bundle that ships; beta: of the inner step's action, in place of
    the one it was trained at. Raises BundleError, ActionError for a beta that is none.
    """
    path = models.located(path)
    tensors, meta = read_file(path, NESTED)
    try:
        weights = {k.removeprefix("inner."): v for k, v in tensors.items()
                   if k.startswith("inner.")}
        about, inner = rebuilt(path, meta, weights)
        host = table(path, meta, "host")
        names, terms = _told(path, meta)
        found = NestedBundle(inner, _levels(tensors, names), terms, host.text("name"),
                             _parameters(host.table("parameters")), meta["hash"],
                             read_gate(path, meta),
                             {"action": about, "version": meta["version"],
                              "provenance": dict(table(path, meta, "provenance").values)},
                             str(path))
        require_few_steps(found.kernel)
        _check_fingerprint(found, table(path, meta, "fingerprint"), tensors)
    except BundleError:
        raise
    except (BridgeError, ValueError, KeyError, TypeError, RuntimeError, MemoryError) as error:
        said = " ".join(str(error).split())[:300]
        raise BundleError(f"{path}: expected a complete nested bundle, found: {said}") from error
    if found.host == ANY and len(found.levels) > 1:
        raise BundleError(f"{path}: expected one level for {ANY}, found {len(found.levels)}: no "
                          "terms of it are known by name")
    if beta is not None:
        found = replace(found, inner=replace(inner, action=inner.action.at(beta)))
    return found


def _told(path: Path, meta: Mapping[str, str]) -> tuple[list[str], tuple[tuple[str, ...], ...]]:
    """(names of the levels, names of the terms of each)."""
    levels = parsing.json_value(meta["levels"], f"{path}: levels", BundleError)
    given = Entries({"levels": levels}, path, BundleError)
    each = [Entries.of(one, f"{path}: levels", BundleError)
            for one in given.listed("levels", 1, MOST_LEVELS)]
    terms = [one.listed("terms", 1, MOST_TERMS) for one in each]
    if not all(isinstance(name, str) for names in terms for name in names):
        given.refuse("levels", "names of terms", levels)
    return [one.text("name") for one in each], tuple(tuple(names) for names in terms)


def _levels(tensors: Mapping[str, Tensor], names: Sequence[str]) -> tuple[Level, ...]:
    """The levels around stand-ins. Raises ConfigError."""
    levels = []
    for number, name in enumerate(names):
        parts = [tuple(tensors[f"levels.{number}.{part}"].tolist()) for part in Schedule._fields]
        repeats = tuple(tensors[f"levels.{number}.repeats"].tolist())
        levels.append(Level(name, (stand_in(name, number),), Schedule(*parts), repeats))
    return tuple(levels)


def _parameters(given: Entries) -> dict[str, float]:
    return {name: given.number(name) for name in given.values}


def _effective(kernel: Nested) -> Nested:
    """The same kernel with `scale` worked into its outermost level: what is inside follows."""
    *inside, outer = kernel.levels
    return Nested(kernel.inner, (*inside, replace(outer, plan=outer.plan.scaled(kernel.scale))))


@torch.no_grad()
def _fingerprint(kernel: Nested, inner: L2HMC, seed: int) -> tuple[Tensor, float, float]:
    """(U', dH, log|J|) of the whole proposal around stand-ins, on a seeded field."""
    step, kinetic = on_stand_ins(kernel), group_of(kernel.inner.action).kinetic
    links, momenta = marks.phase_point(inner, seed)
    start = step.at(links)
    end = step.trajectory(start, momenta, torch.Generator().manual_seed(seed))
    delta = step.action(end.links) - start.action + kinetic(end.momenta) - kinetic(momenta)
    return end.links, float(delta), float(end.log_det)


def _check_fingerprint(found: NestedBundle, stored: Entries, tensors: Mapping[str, Tensor]
                       ) -> None:
    ours = _fingerprint(found.kernel, found.inner, stored.whole("seed"))
    links = fingerprint_links(found.path, ours[0], tensors)
    apart = marks.difference(ours, (systems.restored(links, found.inner.action.group),
                                    stored.number("delta_h"), stored.number("log_det")))
    if not apart < marks.TOLERANCE:
        raise BundleError(f"{found.path}: expected the stored fingerprint within "
                          f"{marks.TOLERANCE:g}, found a difference of {apart:.3g}: this program "
                          "computes another step")
