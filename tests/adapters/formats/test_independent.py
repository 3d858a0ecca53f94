"""What we write, read back by other readers: one written for this suite, and lyncs_io."""

import numpy as np
import pytest
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.fields.configuration import Configuration
from tests.support import independent, samples
from tests.support.samples import EXTENTS, META


@pytest.fixture(params=[64, 32])
def precision(request):
    return request.param


def rounded(links: torch.Tensor, precision: int) -> np.ndarray:
    return links[0].numpy().astype("c16" if precision == 64 else "c8").astype("c16")


def test_ildg_by_a_second_reader(tmp_path, precision):
    given = samples.configuration()
    path = tmp_path / "cfg.ildg"
    files.write(path, given, precision=precision)
    found = independent.read_ildg(path)
    assert np.array_equal(found["links"], rounded(given.links, precision))
    assert found["stored"] == found["computed"]
    assert found["lfn"] == META["lfn"]
    for name, law in (("plaquette", independent.plaquette), ("link_trace", independent.link_trace)):
        digits = found[name].lstrip("-0.").replace(".", "")
        assert "." in found[name] and "e" not in found[name] and len(digits) >= 12
        assert float(found[name]) == pytest.approx(law(found["links"]), abs=1e-12)


def test_ildg_records_stand_as_qio_writes_them(tmp_path):
    path = tmp_path / "cfg.ildg"
    files.write(path, samples.configuration())
    records = independent.lime_records(path)
    names = [name for name, _, _ in records]
    assert names == [
        "scidac-private-file-xml", "scidac-file-xml", "scidac-private-record-xml",
        "scidac-record-xml", "ildg-format", "ildg-data-lfn", "ildg-binary-data", "scidac-checksum",
    ]
    flags = [flags for _, flags, _ in records]
    begin, end = 0x8000, 0x4000
    assert flags == [begin, end, begin, 0, 0, 0, 0, end]
    for name, _, data in records:
        if name.endswith("xml") or name in ("ildg-format", "scidac-checksum"):
            assert data.startswith(b"<?xml") and data.endswith(b">") and b"\0" not in data
    form = dict((name, data) for name, _, data in records)["ildg-format"].decode()
    assert 'xmlns="http://www.lqcd.org/ildg"' in form and "\n" not in form


@pytest.mark.parametrize("rows", [3, 2])
def test_nersc_by_a_second_reader(tmp_path, precision, rows):
    given = samples.configuration()
    path = tmp_path / "cfg.nersc"
    files.write(path, given, precision=precision, rows=rows)
    found = independent.read_nersc(path)
    expected = rounded(given.links, precision)
    assert np.array_equal(found["links"][..., :rows, :], expected[..., :rows, :])
    assert np.abs(found["links"] - expected).max() < (4e-15 if precision == 64 else 4e-7)
    assert found["stored"] == found["computed"]
    keys = found["keys"]
    assert float(keys["PLAQUETTE"]) == pytest.approx(
        independent.plaquette(found["links"]), abs=1e-12
    )
    assert float(keys["LINK_TRACE"]) == pytest.approx(
        independent.link_trace(found["links"]), abs=1e-12
    )


def test_nersc_header_obeys_every_reader(tmp_path):
    path = tmp_path / "cfg.nersc"
    hostile = dict(META, ensemble_id="a = b\nEND_HEADER", ensemble_label="x" * 500, trajectory=0,
                   info={"äöü": "ß", "long": "y" * 300})
    files.write(path, samples.configuration()._replace(meta=hostile))
    found = independent.read_nersc(path)
    for key in ("HDR_VERSION", "DATATYPE", "STORAGE_FORMAT", "LINK_TRACE", "PLAQUETTE", "CHECKSUM",
                "ENSEMBLE_ID", "ENSEMBLE_LABEL", "SEQUENCE_NUMBER", "CREATOR", "CREATOR_HARDWARE",
                "CREATION_DATE", "ARCHIVE_DATE", "FLOATING_POINT",
                *(f"BOUNDARY_{i}" for i in range(1, 5))):
        assert found["keys"][key]
    assert all(len(line) < 128 and line.count("=") == 1 for line in found["lines"][1:-1])
    assert int(found["keys"]["SEQUENCE_NUMBER"]) >= 1
    assert files.read(path).meta["trajectory"] == 0


def test_lyncs_io_reads_our_ildg(tmp_path, precision):
    lyncs_io = pytest.importorskip("lyncs_io", reason="the extra lyncs is not installed")
    given = samples.configuration()
    path = tmp_path / "cfg.lime"
    files.write(path, given, precision=precision)
    array = lyncs_io.load(str(path), format="lime")
    nt, nx, ny, nz = EXTENTS
    assert array.shape == (nt, nz, ny, nx, 4, 3, 3)
    ours = rounded(given.links, precision)
    for mu, theirs in enumerate((3, 0, 1, 2)):
        assert np.array_equal(array[:, :, :, :, theirs].transpose(0, 3, 2, 1, 4, 5), ours[mu])


def test_lyncs_adapter_reads_what_lyncs_reads(tmp_path):
    pytest.importorskip("lyncs_io", reason="the extra lyncs is not installed")
    given = samples.configuration()
    files.write(tmp_path / "cfg.lime", given)
    back = files.read(tmp_path / "cfg.lime", "lyncs")
    assert torch.equal(back.links, given.links)
    for kind in ("npy", "h5"):
        path = tmp_path / f"cfg.{kind}"
        files.write(path, given, "lyncs")
        for reading in ({"format": "lyncs"}, {}):
            back = files.read(path, layout="lyncs", **reading)
            assert torch.equal(back.links, given.links)


def test_axes_of_a_plain_array_are_decided_by_evidence(tmp_path):
    pytest.importorskip("lyncs_io", reason="the extra lyncs is not installed")
    for extents in ((4, 6, 2, 8), (8, 4, 6, 2), (4, 4, 4, 4)):  # t = 4, x = 4, both
        smooth = Configuration(samples.smooth_links(extents=extents), {})
        rough = Configuration(samples.random_links(extents=extents), {})
        for writer in ("npy", "lyncs"):
            path = tmp_path / "cfg.npy"
            files.write(path, smooth, writer, force=True)
            back = files.read(path)
            assert torch.equal(back.links, smooth.links)
            both = extents[1 if writer == "npy" else 0] == 4  # x = 4, or t = 4
            told = [text for text in back.meta["warnings"] if "plaquette decided" in text]
            assert len(told) == both
            files.write(path, rough, writer, force=True)
            told = [text for text in files.read(path).meta["warnings"] if "nothing" in text]
            assert len(told) == both
