"""The gate on a bundle: every row, and the report that the bundle stores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from l2hmc_bridge.analysis.check import Check, all_passed
from l2hmc_bridge.bundle import file as bundle, nested as nested_bundle
from l2hmc_bridge.bundle.file import Bundle
from l2hmc_bridge.gate import engines, exact, expected, nested, rows
from l2hmc_bridge.gate.rows import Progress
from l2hmc_bridge.systems.table import system_of

SMALL = (4, 4, 4, 4)  # where covariant SU(3) networks, which fit any lattice, are proved


def check_bundle(path: Path | str, lattice: Sequence[int] | None = None,
                 beta: float | None = None, trajectories: int | None = None, seed: int = 1,
                 progress: Progress = lambda name: None) -> tuple[list[Check], dict[str, Any]]:
    """Load (version, hash, fingerprint), run every row, return them with the report.

    path: a file, or the name of a bundle that ships.
    lattice: (Nt, Nx, Ny, Nz), (Nt, Nx) or (n,); that of `lattice_for` if None. trajectories: of
    each chain; 150 on SU(3), 1000 elsewhere, where they cost little, if None. Raises BundleError,
    LayoutError.
    """
    loaded = bundle.load(path, beta)
    lattice = tuple(lattice) if lattice is not None else lattice_for(loaded)
    kernel = bundle.require_lattice(loaded, lattice).kernel
    known = rows.answers_known(kernel)
    trajectories = trajectories or (1000 if known else 150)
    checks = [Check("hash and fingerprint reproduced", 0.0, 0.0, bundle.TOLERANCE,
                    "stored in the bundle")]
    checks += rows.run(kernel, lattice, trajectories, seed, progress)
    settings = {"lattice_txyz": list(lattice), "beta": kernel.action.beta,
                "trajectories": trajectories, "seed": seed,
                "chains": exact.CHAINS if known else rows.CHAINS,
                "engine": engines.serving(kernel, lattice)}
    return checks, report(loaded.hash, checks, settings)


def check_nested(path: Path | str, lattice: Sequence[int] | None = None,
                 beta: float | None = None, trajectories: int | None = None, seed: int = 1,
                 progress: Progress = lambda name: None) -> tuple[list[Check], dict[str, Any]]:
    """The same for a nested bundle, on stand-ins for its host's terms; BundleError, LayoutError."""
    loaded = nested_bundle.load(path, beta)
    lattice = tuple(lattice or SMALL)
    bundle.require_fit(loaded.inner, lattice, loaded.path)
    nt, nx, ny, nz = lattice
    trajectories = trajectories or 150
    checks = [Check("hash and fingerprint reproduced", 0.0, 0.0, bundle.TOLERANCE,
                    "stored in the bundle")]
    checks += nested.run(loaded.kernel, (nt, nx, ny, nz), trajectories, seed, progress)
    settings = {"lattice_txyz": list(lattice), "beta": loaded.inner.action.beta,
                "trajectories": trajectories, "seed": seed, "chains": nested.CHAINS,
                "engine": f"{engines.serving(loaded.inner, lattice)}, stand-ins as host"}
    return checks, report(loaded.hash, checks, settings)


def lattice_for(loaded: Bundle) -> tuple[int, ...]:
    """The lattice to prove a bundle on, time first.

    The one its networks fit if they fit one; 4^4 for SU(3), else that of its last training stage.
    """
    kernel = loaded.kernel
    system = system_of(kernel.action)
    if system.fixed(kernel.action):
        return system.fixed(kernel.action)
    for network in (kernel.kick_network, kernel.drift_network):
        if network is not None and network.fits is not None:
            return network.fits[1:]
    stages = loaded.meta["provenance"].get("config", {}).get("stages", [])
    if not rows.answers_known(kernel) or not stages:
        return SMALL[:system.dimensions]
    trained = tuple(int(extent) for extent in stages[-1]["lattice"])
    return trained[-1], *trained[:-1]


def report(path_hash: str, checks: list[Check], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What `bundle.write_gate` stores: the hash, every row, the settings, passed or not."""
    return {
        "version": expected.VERSION,
        "hash": path_hash,
        "passed": all_passed(checks),
        "checks": [check.as_dict() for check in checks],
        "settings": dict(settings),
    }
