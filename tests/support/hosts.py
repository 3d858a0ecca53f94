"""The last configuration of each host code, with its side files, as the code leaves them.

The side files mirror: Chroma mainprogs/main/hmc.cc saveState (91c587d), openQCD
modules/random/ranlux.c export_ranlux and the lines of main/ym1.c (OpenQCD-AVX512 d5f87b3), Grid
qcd/hmc/checkpointers/BaseCheckpointer.h (7b7c1bf), QEX src/examples `.{traj:05}.lime`,
tmLQCD src/bin/hmc_tm.c (its counter).
"""

import struct
from pathlib import Path
from typing import Any, NamedTuple

import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.fields.configuration import Configuration
from tests.support.fields import rough_links

LATTICE = (4, 2, 6, 2)  # t, x, y, z


class Host(NamedTuple):
    """One code: names with {} for the number, the first number, format and writer's options."""

    name: str
    first: int
    format: str
    options: dict[str, Any] = {}
    sides: tuple[str, ...] = ()  # names of what is written anew for every number
    meta: dict[str, Any] = {}


HOSTS = {
    "grid": Host("ckpoint_lat.{}", 120, "nersc", sides=("ckpoint_rng.{}",)),
    "grid cfg": Host("cfg.{}", 9, "nersc", {"rows": 2}, ("rng.{}",)),
    "grid ildg": Host("ckpoint_EODWF_lat.{}", 7, "ildg", sides=("ckpoint_EODWF_rng.{}",)),
    "gpt": Host("ckpoint_lat.{}", 99, "nersc"),
    "chroma": Host("run_cfg_{}.lime", 120, "ildg", {"precision": 32}, ("run_restart_{}.xml",),
                   {"lfn": "lfn://test/run_cfg_120.lime"}),
    "qex": Host("config.{:05d}.lime", 120, "scidac"),
    "pyquda": Host("cfg_{}.npy", 120, "npy"),
    "pyquda 32": Host("cfg_{}.npy", 7, "npy", {"precision": 32}),
    "openqcd": Host("Snoopy137n{}", 8, "openqcd"),
    "hirep": Host("run_2x6x2x4nc3b5.700000an1.000000n{}", 8, "hirep"),
    "milc": Host("l26f0b570.{}", 400, "milc"),
    "tmlqcd": Host("conf.{:04d}", 12, "ildg"),
    "columbia": Host("lat.{}", 10, "nersc", {"rows": 2, "precision": 32}, ("rng.{}",)),
}
RESTART = """<?xml version="1.0"?>
<Params>
  <MCControl>
    <Cfg>
      <cfg_type>SZINQIO</cfg_type>
      <cfg_file>./run_cfg_{number}.lime</cfg_file>
      <parallel_io>false</parallel_io>
    </Cfg>
    <RNG><Seed><elem>11</elem><elem>22</elem><elem>33</elem><elem>44</elem></Seed></RNG>
    <StartUpdateNum>{number}</StartUpdateNum>
    <NWarmUpUpdates>100</NWarmUpUpdates>
    <NProductionUpdates>{production}</NProductionUpdates>
    <NUpdatesThisRun>10</NUpdatesThisRun>
    <SaveInterval>1</SaveInterval>
    <SavePrefix>./run</SavePrefix>
    <SaveVolfmt>SINGLEFILE</SaveVolfmt>
  </MCControl>
  <HMCTrj><nrow>2 6 2 4</nrow></HMCTrj>
</Params>
"""


def leave(folder: Path, kind: str, seed: int = 1) -> Path:
    """The last configuration of this host in `folder`, its side files beside it."""
    host = HOSTS[kind]
    links = rough_links(torch.Generator().manual_seed(seed), LATTICE, width=0.45)
    path = folder / host.name.format(host.first)
    configuration = Configuration(links, {"trajectory": host.first, **host.meta})
    files.write(path, configuration, host.format, **host.options)
    for side in host.sides:
        text = "state of the generators\n"
        if side.endswith(".xml"):
            text = RESTART.format(number=host.first, production=1000)
        (folder / side.format(host.first)).write_text(text)
    if kind == "tmlqcd":
        (folder / "nstore_counter").write_text(f"{host.first + 1} 61 {path.name}\n")
    if kind == "openqcd":
        _openqcd_sides(folder, host.first)
    return path


def _openqcd_sides(folder: Path, number: int) -> None:
    nt, nx, ny, nz = LATTICE
    head = struct.pack("<9i", number, 2, 1, 1, 1, nt // 2, nx, ny, nz)
    (folder / "Snoopy137.rng").write_bytes(head + bytes(range(200)))
    (folder / "Snoopy137.log").write_text(
        f"New run, start from random configuration\n\nTrajectory no {4 * number}\n"
        f"dH = +1.1e-03, iac = 1\nConfiguration no {number} exported\n\n"
    )
