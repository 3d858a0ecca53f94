"""One configuration that MILC wrote in three formats, kept with the tests."""

import shutil
from pathlib import Path

import pytest
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.files.ensemble import open_ensemble
from tests.support.places import ROOT

NAME = "milc_l4x6x8x10_b6.0"
PLAQUETTE, TRACE = 0.5962355196784479, -0.0010006910932731747
GOLDEN = [0.6560114026069641 - 0.03727519139647484j, 0.4402274191379547 - 0.30749204754829407j,
          -0.4476531445980072 + 0.28198352456092834j]


def path_of(kind: str) -> Path:
    folder = "examples/data" if kind == "ildg" else "tests/data"
    return ROOT / folder / f"{NAME}.{kind}"


@pytest.mark.parametrize("kind", ["ildg", "milc", "nersc"])
def test_every_format_gives_the_same_configuration(kind):
    found = files.read(path_of(kind))
    meta, rows = found.meta, 2 if kind == "nersc" else 3
    tight = rows == 3
    assert meta["lattice"] == (4, 6, 8, 10) and meta["precision"] == 32
    assert meta["plaquette"] == pytest.approx(PLAQUETTE, abs=1e-13 if tight else 1e-9)
    assert meta["link_trace"] == pytest.approx(TRACE, abs=1e-14 if tight else 1e-10)
    # U_x at t=3, z=2, y=1, x=0: tells U from its complex conjugate and one axis from another
    assert found.links[0, 1, 3, 0, 1, 2, 0].tolist() == pytest.approx(GOLDEN, abs=1e-15)
    reference = files.read(path_of("ildg")).links
    assert torch.equal(found.links[..., :rows, :], reference[..., :rows, :])
    assert (found.links - reference).abs().max() < 2e-7
    assert meta["beta"] == (None if kind == "milc" else 6.0)
    open_order = [text for text in meta["warnings"] if "checksum decides" in text]
    assert len(open_order) == len(meta["warnings"]) == (kind == "nersc")


def test_relabelled_axes_do_not_pass(tmp_path):
    """Swapping x and z in both site and direction is seen by the golden link."""
    links = files.read(path_of("ildg")).links
    wrong = links[:, [0, 3, 2, 1]].transpose(3, 5)
    assert (wrong[0, 1, 3, 0, 1, 2] - links[0, 1, 3, 0, 1, 2]).abs().max() > 0.1


def test_the_three_as_one_ensemble(tmp_path):
    for kind in ("ildg", "milc", "nersc"):
        shutil.copy(path_of(kind), tmp_path / f"cfg_{len(kind)}.{kind}")
    kinds = [one.meta["format"] for one in open_ensemble(tmp_path)]
    assert sorted(kinds) == ["ildg", "milc", "nersc"]
