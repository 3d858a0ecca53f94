"""Every real file of other codes gives what the manifest says of it, the bad ones included."""

import json

import pytest

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.format.checks import status_of
from l2hmc_bridge.errors import VerificationError
from tests.conftest import REFERENCE, reference_file

MANIFEST = REFERENCE / "manifest.json"
FILES = json.loads(MANIFEST.read_text())["files"] if MANIFEST.exists() else {"manifest.json": {}}


@pytest.mark.parametrize("name", FILES)
def test_reference_file(name):
    path, known = reference_file(name), FILES[name]
    found = files.inspect(path)
    meta = found.meta
    assert list(meta["lattice"]) == known["lattice_xyzt"]
    numbers = {"plaquette": 1e-13, "plaquette_spatial": 1e-13, "plaquette_temporal": 1e-13,
               "link_trace": 1e-14}
    for key, tolerance in numbers.items():
        assert meta[key] == pytest.approx(known[key], abs=tolerance)
    assert meta["unitarity"] == pytest.approx(known["unitarity_defect"], rel=1e-6, abs=1e-14)
    assert meta["determinant"] == pytest.approx(known["determinant_defect"], rel=1e-6, abs=1e-14)
    t = min(3, meta["lattice"][3] - 1)
    row = found.links[0, 1, t, 0, 1, 2, 0]
    golden = [complex(*entry) for entry in known["link_t3_z2_y1_x0_mu_x_row0"]]
    assert row.tolist() == pytest.approx(golden, abs=1e-15)


@pytest.mark.parametrize("name", FILES)
def test_verdict_on_reference_file(name):
    path, expected = reference_file(name), FILES[name]["expected"]
    meta = files.inspect(path).meta
    if expected.startswith("refuse"):
        failed = {item["name"] for item in meta["checks"] if item["status"] == "fail"}
        assert failed == {"checksum", "unitarity", "determinant"}
        with pytest.raises(VerificationError, match=f"{path}: checksum: expected .* found"):
            files.read(path)
        return
    assert status_of(meta) == ("warn" if "warn" in expected else "pass")
    assert files.read(path).links.shape[0] == 1
    if "single-precision" in expected or "warn as above" in expected:
        assert any("single-precision links" in sentence for sentence in meta["warnings"])
    for words in ("byte order", "broken XML", "no checksum"):
        if words in expected:
            assert any(words in sentence for sentence in meta["warnings"])
    if "header order" in expected:
        assert any("plaquette decided" in sentence for sentence in meta["warnings"])


KNOWN = {
    "milc_l4x6x8x10_b6.0.ildg": {"beta": 6.0, "lfn": "lfn://l2hmc-ref/milc_l4x6x8x10_b6.0.ildg"},
    "milc_l4x6x8x10_b6.0.nersc": {"beta": 6.0, "trajectory": 0, "byte_order": "big"},
    "milc_l4x6x8x10_b6.0.scidac": {"beta": 6.0, "format": "scidac", "dialect": "QIO"},
    "grid_l4x6x8x10.ildg": {"trajectory": 120, "dialect": "Grid", "ensemble_id": "reference"},
    "lat.sample.l4444.ildg": {"beta": None, "trajectory": None},  # beta11 of an improved action
    "lat.sample.inst": {"dialect": "v1-4"},
    "glu_lat.400.nersc": {"trajectory": 400, "ensemble_id": "4x4x4x8x4_rjt"},
    "unity.lime": {"beta": 0.0, "trajectory": 0, "dialect": "tmLQCD"},
    "pyquda_l4x6x8x10.openqcd": {"dialect": "PyQUDA"},
}


@pytest.mark.parametrize("name", KNOWN)
def test_metadata_of_reference_file(name):
    meta = files.inspect(reference_file(name)).meta
    for key, value in KNOWN[name].items():
        assert meta[key] == value, key
