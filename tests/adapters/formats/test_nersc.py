"""Dialects of the NERSC header: byte order by evidence, tolerances from the printed digits."""

import pytest
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.format.checks import printed_unit, status_of
from l2hmc_bridge.errors import FormatError, VerificationError
from tests.support import dialects, samples

LINKS = samples.random_links()
# FLOATING_POINT, what the payload is, whether the header leaves the byte order open
ORDERS = [
    ("IEEE32BIG", ">c8", False), ("IEEE64BIG", ">c16", False),
    ("IEEE32LITTLE", "<c8", False), ("IEEE64LITTLE", "<c16", False),
    ("IEEE32", ">c8", True), ("IEEE32", "<c8", True),
    ("IEEE64", ">c16", True), ("IEEE64", "<c16", True),
    (None, ">c8", True), (None, "<c8", True), (None, ">c16", True),
]


@pytest.mark.parametrize("rows", [2, 3])
@pytest.mark.parametrize("floating, dtype, open_order", ORDERS)
def test_byte_order(tmp_path, floating, dtype, open_order, rows):
    path = dialects.nersc(tmp_path / "cfg", LINKS, floating, rows, dtype)
    found = files.read(path)
    single = dtype.endswith("8")
    assert (found.links - LINKS).abs().max() < (5e-7 if single else 4e-15)
    assert found.meta["precision"] == (32 if single else 64)
    assert found.meta["byte_order"] == ("big" if dtype[0] == ">" else "little")
    assert status_of(found.meta) == ("warn" if open_order else "pass")
    assert [("checksum decides" in text) for text in found.meta["warnings"]] == [True] * open_order


def test_open_order_that_fits_neither_way_is_refused(tmp_path):
    path = dialects.nersc(tmp_path / "cfg", LINKS, "IEEE32", 2, "<c8", CHECKSUM="deadbeef")
    with pytest.raises(VerificationError, match="cfg: checksum: expected deadbeef, found"):
        files.read(path)


def test_a_stated_order_is_not_second_guessed(tmp_path):
    path = dialects.nersc(tmp_path / "cfg", LINKS, "IEEE64LITTLE", 3, ">c16")
    with pytest.raises(VerificationError, match="checksum"):
        files.read(path)


def test_bytes_that_are_signalling_nans_in_either_order(tmp_path):
    path = dialects.nersc(tmp_path / "cfg", LINKS, "IEEE32BIG", 3, ">c8")
    raw = path.read_bytes()
    begin = raw.index(b"END_HEADER\n") + len("END_HEADER\n")
    signals = bytes.fromhex("7f800001 0100807f")  # a float32 each, big and little endian
    path.write_bytes(raw[:begin] + signals + raw[begin + len(signals):])
    with pytest.raises(VerificationError, match="checksum"):
        files.read(path)


def test_zero_is_a_checksum_and_absence_a_warning(tmp_path):
    zero = dialects.nersc(tmp_path / "zero", LINKS, CHECKSUM="0")
    with pytest.raises(VerificationError, match="checksum: expected 00000000"):
        files.read(zero)
    absent = dialects.nersc(tmp_path / "absent", LINKS, CHECKSUM=None)
    assert any("no checksum" in text for text in files.read(absent).meta["warnings"])


def test_padding_of_grid_and_gpt(tmp_path):
    path = dialects.nersc(tmp_path / "cfg", LINKS)
    text = path.read_bytes()
    text = text.replace(b"CHECKSUM = ", b"CHECKSUM =   ").replace(b"PLAQUETTE = ", b"PLAQUETTE  = ")
    path.write_bytes(text.replace(b"BEGIN_HEADER\n", b"BEGIN_HEADER\nSCIDAC_CHECKSUMA =      0\n"))
    assert torch.equal(files.read(path).links, LINKS)


def test_crlf_header(tmp_path):
    path = dialects.nersc(tmp_path / "cfg", LINKS)
    head, data = path.read_bytes().split(b"END_HEADER\n", 1)
    path.write_bytes(head.replace(b"\n", b"\r\n") + b"END_HEADER\r\n" + data)
    assert torch.equal(files.read(path).links, LINKS)


UNITS = {"0.5962355196": 1e-10, "-0.00100069": 1e-8, "5.962355e-01": 1e-7, "1.": 1e-5, "1": 1e-5,
         " 0.6 ": 1e-1, "2.5E-3": 1e-4}


@pytest.mark.parametrize("text", UNITS)
def test_printed_unit(text):
    assert printed_unit(text) == pytest.approx(UNITS[text])


@pytest.mark.parametrize("name", ["PLAQUETTE", "LINK_TRACE"])
def test_tolerance_is_one_printed_digit(tmp_path, name):
    path = dialects.nersc(tmp_path / "cfg", LINKS)
    meta = files.read(path).meta
    value = meta["plaquette" if name == "PLAQUETTE" else "link_trace"]
    for digits in (6, 10):
        good, bad = value + 0.4 * 10**-digits, value + 2.1 * 10**-digits
        files.read(dialects.nersc(path, LINKS, **{name: f"{good:.{digits}f}"}))
        with pytest.raises(VerificationError, match="plaquette|link_trace"):
            files.read(dialects.nersc(path, LINKS, **{name: f"{bad:.{digits}f}"}))


@pytest.mark.parametrize("text", ["nan", "inf", "", "about 0.6", "1e999"])
def test_plaquette_that_is_no_number_fails(tmp_path, text):
    path = dialects.nersc(tmp_path / "cfg", LINKS, PLAQUETTE=text)
    with pytest.raises(VerificationError, match="plaquette"):
        files.read(path)


WRONG = {
    "DIMENSION_1": ("-4", "0", "5", "9223372036854775808", "4.0", "٤", None),
    "DATATYPE": ("4D_SU2_GAUGE", "5D_SU3_GAUGE", "", None),
    "DIMENSION_5": ("16",),
    "FLOATING_POINT": ("IEEE128BIG", "IEEE32BIG"),
    "CHECKSUM": ("xyz", "-1", "1ffffffff"),
}


@pytest.mark.parametrize("key, value", [(key, value) for key in WRONG for value in WRONG[key]])
def test_wrong_headers_are_refused(tmp_path, key, value):
    path = dialects.nersc(tmp_path / "cfg", LINKS, **{key: value})
    with pytest.raises(FormatError, match=r"cfg: .*expected .*found") as caught:
        files.read(path)
    assert "\n" not in str(caught.value)


def test_contradicting_keys_are_refused(tmp_path):
    path = dialects.nersc(tmp_path / "cfg", LINKS)
    text = path.read_bytes()
    path.write_bytes(text.replace(b"END_HEADER", b"DIMENSION_1 = 5\nEND_HEADER"))
    with pytest.raises(FormatError, match="DIMENSION_1: expected one value"):
        files.read(path)


def test_header_without_end(tmp_path):
    path = tmp_path / "cfg"
    path.write_bytes(b"BEGIN_HEADER\nDIMENSION_1 = 4\n" + bytes(1000))
    with pytest.raises(FormatError, match="END_HEADER"):
        files.read(path)
