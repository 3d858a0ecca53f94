"""What is no SU(3) configuration, in every verb: one line says what it is, and nothing is written.
"""

import struct

import numpy as np
import pytest

from tests.support import dialects, samples
from tests.support.verbs import VERBS, ildg, links, run

EXTENTS = (4, 2, 4, 2)
SITES = 64
FLOATS = np.random.default_rng(3)


def scidac(datatype: str, colors: int = 3, typesize: int = 144):
    """A SciDAC file with another kind of field in it."""
    private = (f"<scidacRecord><version>1.1</version><recordtype>0</recordtype><datatype>{datatype}"
               f"</datatype><precision>D</precision><colors>{colors}</colors><typesize>{typesize}"
               "</typesize><datacount>4</datacount></scidacRecord>")
    return (dialects.record("scidac-private-file-xml", dialects.FILE.format(2, 4, 2, 4),
                            dialects.MB),
            dialects.record("scidac-private-record-xml", private, dialects.MB),
            dialects.record("scidac-binary-data", bytes(SITES * 4 * typesize), dialects.ME))


def tmlqcd_propagator():
    return (dialects.record("propagator-type", "DiracFermion_Sink", dialects.MB | dialects.ME),
            dialects.record("etmc-propagator-format", "<etmcFormat></etmcFormat>", dialects.MB),
            dialects.record("scidac-binary-data", bytes(SITES * 192), dialects.ME))


def swapped(path):
    """An ILDG file whose payload is in the other byte order, checksum and all."""
    data = samples.payload(links(), "<c16")
    return dialects.lime(
        path, dialects.record("ildg-format", dialects.ildg_format(links()), dialects.MB),
        dialects.record("ildg-binary-data", data),
        dialects.record("scidac-checksum", dialects.checksum(data, 576), dialects.ME))


def su2_called_su3(path):
    """SU(2) links behind a header that says SU(3) (Grid#376)."""
    path = dialects.nersc(path, links())
    head, _, data = path.read_bytes().partition(b"END_HEADER\n")
    path.write_bytes(head + b"END_HEADER\n" + data[:len(data) * 4 // 9])
    return path


def bytes_of(data: bytes):
    def write(path):
        path.write_bytes(data)
        return path
    return write


def hirep(colours: int, scalars: int = 0) -> bytes:
    data = FLOATS.normal(size=SITES * (4 * colours**2 * 2 + scalars)).astype(">f8").tobytes()
    return struct.pack(">5id", colours, 4, 2, 4, 2, 0.5) + data


CASES = {
    "a propagator of Chroma": (lambda path: dialects.lime(path, *scidac(
        "QDP_D3_DiracPropagator", typesize=2304)), "holds a propagator"),
    "a color vector": (lambda path: dialects.lime(path, *scidac(
        "QDP_D3_ColorVector", typesize=48)), "holds a color vector"),
    "four colours": (lambda path: dialects.lime(path, *scidac(
        "QDP_D4_ColorMatrix", 4, 256)), "(holds SU(4))"),
    "a propagator of tmLQCD": (lambda path: dialects.lime(path, *tmlqcd_propagator()),
                               "propagator"),
    "the other byte order": (swapped, "has it, found little endian numbers"),
    "SU(2)": (su2_called_su3, "holds SU(2)"),
    "a propagator of MILC": (bytes_of(struct.pack("<4I", 12781, 2, 4, 2) + bytes(64)),
                             "found a Wilson propagator of MILC"),
    "the same, big endian": (bytes_of(struct.pack(">4I", 23209, 2, 4, 2) + bytes(64)),
                             "found a staggered propagator of MILC"),
    "a vector of Fermilab": (bytes_of(struct.pack(">4I", 0x71626434, 0, 4, 6) + bytes(64)),
                             "found a propagator or vector in Fermilab's format"),
    "HiRep": (bytes_of(hirep(2)), "found a configuration of HiRep for 2 colours"),
    "HiRep with scalars": (bytes_of(hirep(3, 2)), "with the scalars of a four-fermion term"),
    "Git LFS": (bytes_of(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"),
                "found a pointer of Git LFS"),
    "gzip": (bytes_of(b"\x1f\x8b\x08" + bytes(100)), "found a file compressed by gzip"),
    "Julia": (bytes_of(b"HDF5-based Julia Data Format, version 0.1.1" + bytes(600)),
              "found a JLD2 file"),
}
# What `sample --continue` says is that of its own reader: the file's name comes first.
NAMES = {verb: "cfg_7.lime" for verb in VERBS} | {"sample --continue": "ckpoint_lat.7"}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("case", CASES)
def test_what_is_no_configuration_is_said_in_words(case, verb, tmp_path, capsys):
    write, told = CASES[case]
    result = run(verb, write(tmp_path / NAMES[verb]), capsys)
    assert told in result.said, result.said
    assert result.status == 1
    assert "Traceback" not in result.said
    written = [path.name for path in result.out.rglob("*") if path.is_file()]
    assert set(written) <= {"c.toml", "x.json"}


def test_a_good_file_is_not_called_foreign(tmp_path, capsys):
    assert run("measure", ildg(tmp_path / "cfg_7.ildg", links()), capsys).status == 0
