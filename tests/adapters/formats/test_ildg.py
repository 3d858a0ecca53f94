"""Dialects of LIME files, and what is wrong with some of them."""

import pytest
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.format.checks import status_of
from l2hmc_bridge.adapters.payload.quality import measure
from l2hmc_bridge.errors import FormatError, VerificationError
from tests.support import dialects, samples
from tests.support.dialects import MB, ME, checksum, ildg_format, lime, private, record

LINKS = samples.random_links()
DATA = samples.payload(LINKS)
SUMS = checksum(DATA, 576)
DATA32 = samples.payload(LINKS, ">c8")


def read(path):
    found = files.read(path)
    assert (found.links - LINKS).abs().max() < 1e-7
    return found.meta


def test_tmlqcd(tmp_path):
    info = ("plaquette = -0.001\n trajectory nr = 42\n beta = 3.900000, kappa = 0.16, mu = 0.1\n"
            " time = 1\n hmcversion = 5.2.0\n")
    value = measure(LINKS).plaquette
    path = lime(
        tmp_path / "conf.0042",
        record("xlf-info", info.replace("-0.001", f"{value:.12f}"), MB | ME),
        record("ildg-format", ildg_format(LINKS), MB), record("ildg-binary-data", DATA),
        record("scidac-checksum", SUMS, ME),
    )
    meta = read(path)
    assert (meta["dialect"], meta["beta"], meta["trajectory"]) == ("tmLQCD", 3.9, 42)
    assert meta["info"]["kappa"] == "0.16" and status_of(meta) == "pass"
    assert "plaquette" in {item["name"] for item in meta["checks"]}
    wrong = lime(path, record("xlf-info", info, MB | ME),
                 record("ildg-format", ildg_format(LINKS), MB), record("ildg-binary-data", DATA))
    with pytest.raises(VerificationError, match="plaquette"):
        files.read(wrong)


def test_simulateqcd(tmp_path):
    both = MB | ME
    path = lime(
        tmp_path / "l.ildg",
        record("ildg-format", "\n" + ildg_format(LINKS, 32) + "\n", both),
        record("ildg-binary-data", DATA32, both),
        record("ildg-data-lfn", "lfn://sim/x", both),
        record("scidac-checksum", checksum(DATA32, 288), both),
    )
    meta = read(path)
    assert meta["dialect"] == "SIMULATeQCD" and meta["lfn"] == "lfn://sim/x"
    assert status_of(meta) == "pass" and meta["precision"] == 32


@pytest.mark.parametrize("good", [True, False])
def test_bqcd(tmp_path, good):
    cksum = dialects.posix_cksum(DATA) + (not good)
    value = measure(LINKS).plaquette
    path = lime(
        tmp_path / "b.lime", record("ildg-format", ildg_format(LINKS), MB),
        record("ildg-binary-data", DATA), record("ildg-data-lfn", "lfn://qcdsf/b"),
        record("bqcd-plaquette", f"{value:.10f}\n"), record("bqcd-cksum", f"{cksum}\n", ME),
    )
    if good:
        meta = read(path)
        assert meta["dialect"] == "BQCD" and status_of(meta) == "pass"
    else:
        with pytest.raises(VerificationError, match="posix_cksum: expected"):
            files.read(path)


def test_gpt_flags_and_own_tag(tmp_path):
    path = lime(
        tmp_path / "g.lime", record("ildg-format", ildg_format(LINKS), 0xFFFF),
        record("ildg-binary-data", DATA, 0xFFFF), record("scidac-checksum", SUMS, 0xFFFF),
        record("gpt-format", "{}", 0xFFFF),
    )
    assert read(path)["dialect"] == "GPT"


def test_payload_only_needs_the_lattice(tmp_path):
    for data, bits in ((DATA, 64), (DATA32, 32)):
        path = lime(tmp_path / "p.ildg", record("ildg-binary-data", data, MB | ME))
        with pytest.raises(FormatError, match="--lattice"):
            files.read(path)
        found = files.read(path, lattice=dialects.xyzt(LINKS))
        assert (found.links - LINKS).abs().max() < 1e-7
        assert found.meta["precision"] == bits and found.meta["dialect"] == "payload only"
        assert any("no checksum" in text for text in found.meta["warnings"])
    with pytest.raises(FormatError, match="expected .* bytes for SU.3."):
        files.read(path, lattice=(4, 4, 4, 4))


def test_scidac_and_its_multi_message_form(tmp_path):
    other = bytes(range(64))
    head = record("scidac-private-file-xml", dialects.FILE.format(*dialects.xyzt(LINKS)), MB)
    path = lime(
        tmp_path / "s.scidac", head, record("scidac-file-xml", "Dummy user file XML", ME),
        record("scidac-private-record-xml", private(64, 1, 1), MB),
        record("scidac-binary-data", other), record("scidac-checksum", checksum(other, 64), ME),
        record("scidac-private-record-xml", private(), MB), record("scidac-record-xml", "gauge"),
        record("scidac-binary-data", DATA), record("scidac-checksum", SUMS, ME),
    )
    meta = read(path)
    assert (meta["format"], meta["dialect"], status_of(meta)) == ("scidac", "QIO", "pass")


def test_two_gauge_fields_are_refused(tmp_path):
    message = [record("ildg-format", ildg_format(LINKS), MB), record("ildg-binary-data", DATA, ME)]
    with pytest.raises(FormatError, match="expected one gauge field, found 2"):
        files.read(lime(tmp_path / "two.lime", *message, *message))


def test_trailing_newline_and_missing_padding(tmp_path):
    whole = b"".join([record("ildg-format", ildg_format(LINKS), MB),
                      record("ildg-binary-data", DATA), record("scidac-checksum", SUMS, ME)])
    assert any("padding" in text for text in read(lime(tmp_path / "a", whole, b"\n"))["warnings"])
    cut = whole[: len(whole) - (-len(SUMS) % 8)]
    assert any("padding" in text for text in read(lime(tmp_path / "b", cut))["warnings"])


@pytest.mark.parametrize("texts, missing", [
    (("<suma>{0}</suma><sumb>{1}</sumb>",), False),
    (("<suma> {0} </suma>\n<sumb>{1}\0</sumb>",), False),
    (("",), True),
])
def test_forms_of_the_checksum(tmp_path, texts, missing):
    import re

    found = re.findall(r"<sum.>([0-9a-f]+)<", SUMS)
    text = "<scidacChecksum>" + texts[0].format(*found).replace("\0", "") + "</scidacChecksum>\0"
    path = lime(tmp_path / "c", record("ildg-format", ildg_format(LINKS), MB),
                record("ildg-binary-data", DATA), record("scidac-checksum", text, ME))
    assert status_of(read(path)) == ("warn" if missing else "pass")


WRONG = {
    "field": ildg_format(LINKS, field="su2gauge"),
    "precision": ildg_format(LINKS, 128),
    "lattice": ildg_format(LINKS).replace("<lx>", "<lx>1"),
    "<lx>.*integer": ildg_format(LINKS).replace("<lx>", "<lx>x"),
    "one <lx>": ildg_format(LINKS).replace("<lx>", "<lx>7</lx><lx>"),
    "four integer extents": "<ildgFormat><lx>4</lx></ildgFormat>",
    "DOCTYPE": '<!DOCTYPE x [<!ENTITY a "b">]>' + ildg_format(LINKS),
    "64 levels": "<a>" * 100 + "</a>" * 100,
    "extents from 1": ildg_format(LINKS).replace("<lx>6", "<lx>-6"),
    "expected .* bytes": ildg_format(LINKS, 32),
}


@pytest.mark.parametrize("told", WRONG)
def test_wrong_xml_is_refused(tmp_path, told):
    file_xml = dialects.FILE.format(*dialects.xyzt(LINKS))
    path = lime(
        tmp_path / "w.ildg",
        b"" if "extents from" in told else record("scidac-private-file-xml", file_xml, MB),
        record("ildg-format", WRONG[told]), record("ildg-binary-data", DATA, ME),
    )
    with pytest.raises(FormatError, match=f"w.ildg: .*{told}") as caught:
        files.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("tag, value", [
    ("spacetime", "5"), ("volfmt", "1"), ("recordtype", "1"), ("colors", "2"), ("datacount", "8"),
    ("typesize", "64"),
])
def test_other_fields_are_refused(tmp_path, tag, value):
    import re

    texts = [re.sub(f"<{tag}>[^<]*<", f"<{tag}>{value}<", text)
             for text in (dialects.FILE.format(*dialects.xyzt(LINKS)), private())]
    path = lime(
        tmp_path / "w.scidac", record("scidac-private-file-xml", texts[0], MB | ME),
        record("scidac-private-record-xml", texts[1], MB), record("scidac-binary-data", DATA, ME),
    )
    with pytest.raises(FormatError, match=f"<{tag}>: expected .*, found '{value}'"):
        files.read(path)


def test_broken_container(tmp_path):
    whole = record("ildg-format", ildg_format(LINKS), MB) + record("ildg-binary-data", DATA, ME)
    damages = {
        "LIME version 1": whole[:5] + b"\7" + whole[6:],
        "LIME magic": whole + b"x" * 200,
        "truncated": whole[:-8],
        "expected 9223372036854775808 bytes": whole[:8] + b"\x80" + bytes(7) + whole[16:],
        "found only: ildg-format": record("ildg-format", ildg_format(LINKS), MB | ME),
    }
    for told, raw in damages.items():
        with pytest.raises(FormatError, match=told):
            files.read(lime(tmp_path / "d", raw))


def test_pickles_are_never_opened(tmp_path):
    import pickle

    marker = tmp_path / "owned"

    class Evil:
        def __reduce__(self):
            return open, (str(marker), "w")

    path = lime(
        tmp_path / "evil.lime", record("lyncs-io-info", pickle.dumps(Evil()), MB),
        record("ildg-format", ildg_format(LINKS)), record("ildg-binary-data", DATA, ME),
    )
    assert read(path)["dialect"] == "lyncs"
    with pytest.raises(FormatError, match="pickle.*--trust"):
        files.read(path, "lyncs")
    with pytest.raises(FormatError, match="unpickle"):
        renamed = path.with_suffix(".pkl")
        renamed.write_bytes(pickle.dumps(Evil()))
        files.read(renamed, "lyncs")
    assert not marker.exists()


def test_trust_opens_what_lyncs_wrote(tmp_path):
    lyncs_io = pytest.importorskip("lyncs_io", reason="the extra lyncs is not installed")
    import numpy as np

    nt, nx, ny, nz = LINKS.shape[2:6]
    array = np.frombuffer(DATA, ">c16").reshape(nt, nz, ny, nx, 4, 3, 3).astype("<c16")
    path = tmp_path / "theirs.lime"
    lyncs_io.save(array, str(path), format="lime")
    with pytest.raises(FormatError, match="--trust"):
        files.read(path, "lyncs")
    assert torch.equal(files.read(path, "lyncs", trust=True).links, LINKS)
