"""Every verb that reads configurations, on one file: what it said and how it ended."""

import shutil
from pathlib import Path
from typing import NamedTuple

import torch

from l2hmc_bridge.cli import main
from tests.support import dialects, samples

EXTENTS = (4, 2, 4, 2)  # t, x, y, z
XYZT = "2,4,2,4"
TRAINING = """
name = "test"
action = "{action}"
betas = [5.8]
validation_chains = 4
[loss]
energy_error = 1.0
[model]
integrator = "leapfrog"
step_size = 0.1
steps = 1
[[stage]]
lattice = [{xyzt}]
iterations = {iterations}
chains = 2
thermalisation = 1
"""


class Outcome(NamedTuple):
    """Exit status, standard output and error together, and the folder that was written."""

    status: int
    said: str
    out: Path


def run(verb: str, path: Path, capsys, *words: str, action: str = "wilson",
        xyzt: str = XYZT) -> Outcome:
    """Run a verb on the file at `path`; `words` are further options, xyzt what `train` trains on.
    """
    out = path.parent / f"{verb.split()[0]}_out"
    shutil.rmtree(out / "stream", ignore_errors=True)
    out.mkdir(exist_ok=True)
    capsys.readouterr()
    status = main([str(word) for word in (*_arguments(verb, path, out, action, xyzt), *words)])
    captured = capsys.readouterr()
    said = captured.out + captured.err
    if verb == "validate" and (out / "x.json").exists():  # whose table breaks sentences
        said = (out / "x.json").read_text() + captured.err
    return Outcome(status, " ".join(said.split()), out)


def _arguments(verb: str, path: Path, out: Path, action: str, xyzt: str) -> tuple:
    hmc = ("--kernel", "hmc", "--tune", 0, "--steps", 1, "--seed", 1)
    if verb == "train":
        config = out / "c.toml"
        config.write_text(TRAINING.format(action=action, xyzt=xyzt, iterations=1))
        return ("train", config, "--out", out / "x.safetensors", "--no-gate", "--force", "--in",
                path)
    return {
        "info": ("info", path),
        "convert": ("convert", path, out / "x.ildg", "--force"),
        "measure": ("measure", path, "--json", out / "x.json", "--force"),
        "validate": ("validate", path, "--json", out / "x.json", "--force"),
        "sample": ("sample", "--in", path, "--out", out / "stream", "-n", 1, *hmc),
        "sample --continue": ("sample", "--continue", path, *hmc),
    }[verb]


VERBS = ("info", "convert", "measure", "validate", "sample", "sample --continue", "train")


def ildg(path: Path, links: torch.Tensor, *records: bytes) -> Path:
    """Any links in an ILDG file with right checksums, behind further records."""
    data = samples.payload(links)
    return dialects.lime(
        path, *records,
        dialects.record("ildg-format", dialects.ildg_format(links), dialects.MB),
        dialects.record("ildg-binary-data", data),
        dialects.record("scidac-checksum", dialects.checksum(data, 576), dialects.ME))


def links() -> torch.Tensor:
    """A smooth field on EXTENTS."""
    return samples.smooth_links(extents=EXTENTS)
