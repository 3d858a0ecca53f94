"""The verb info: tables, JSON, exit statuses, and one line for every bad file."""

import json
import re
import subprocess
import sys
import time

import pytest

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.formats.hdf5 import ensemble
from l2hmc_bridge.cli import main
from tests.support import samples
from tests.support.places import ROOT

MILC = ROOT / "examples" / "data" / "milc_l4x6x8x10_b6.0.ildg"


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "cfg_120.ildg"
    files.write(path, samples.configuration())
    return path


def test_table(written, capsys):
    assert main(["info", str(written)]) == 0
    told = capsys.readouterr().out
    assert f"{written}: ildg (QIO), 6x2x8x4 (x,y,z,t), 64 bits: pass" in told
    for name in ("payload_size", "checksum", "plaquette", "link_trace", "unitarity", "determinant",
                 "beta", "trajectory", "lfn", "lfn://test/cfg_120"):
        assert name in told


def test_json(written, capsys):
    assert main(["info", "--json", str(MILC), str(written)]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["path"] == str(MILC) and first["status"] == "pass"
    assert first["lattice"] == {"x": 4, "y": 6, "z": 8, "t": 10}
    assert (first["format"], first["dialect"], first["precision"]) == ("ildg", "QIO", 32)
    assert first["metadata"]["beta"] == 6.0 and second["metadata"]["trajectory"] == 120
    for item in first["checks"]:
        assert set(item) == {"name", "value", "expected", "tolerance", "status"}
        assert item["status"] == "pass"
    by_name = {item["name"]: item for item in first["checks"]}
    assert by_name["plaquette"]["expected"] == 0.5962355
    assert by_name["plaquette"]["value"] == pytest.approx(0.5962355196784479, abs=1e-13)


def test_records(written, capsys):
    assert main(["info", "--records", str(written)]) == 0
    told = capsys.readouterr().out
    assert "ildg-binary-data" in told and "scidac-private-record-xml" in told


def test_header_reads_no_links(written, capsys):
    raw = bytearray(written.read_bytes())
    raw[len(raw) // 2] ^= 1
    written.write_bytes(raw)
    assert main(["info", "--header", "--json", str(written)]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert [item["name"] for item in report["checks"]] == ["payload_size"]


def test_failed_check(written, capsys):
    raw = bytearray(written.read_bytes())
    raw[len(raw) // 2] ^= 1
    written.write_bytes(raw)
    assert main(["info", "--json", str(written)]) == 1
    (report,) = json.loads(capsys.readouterr().out)
    assert report["status"] == "fail"
    failed = {item["name"] for item in report["checks"] if item["status"] == "fail"}
    assert "checksum" in failed
    assert main(["info", str(written)]) == 1
    assert "fail" in capsys.readouterr().out


def test_nan_in_the_links_is_valid_json(written, capsys):
    raw = bytearray(written.read_bytes())
    at = len(raw) // 2 // 8 * 8
    raw[at : at + 8] = b"\x7f\xf8" + bytes(6)
    written.write_bytes(raw)
    assert main(["info", "--json", str(written)]) == 1
    text = capsys.readouterr().out
    (report,) = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert any(item["value"] == "nan" for item in report["checks"])


BAD = {
    "missing": None,
    "empty": b"",
    "magic": b"not a gauge file at all, but long enough to be one" * 30,
    "folder": "folder",
}


@pytest.mark.parametrize("kind", BAD)
def test_unreadable_file_is_one_line(tmp_path, capfd, kind):
    path = tmp_path / "bad.ildg"
    if BAD[kind] == "folder":
        path.mkdir()
    elif BAD[kind] is not None:
        path.write_bytes(BAD[kind])
    assert main(["info", str(path)]) == 1
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith(f"l2hmc-bridge: {path}: expected ") and "found" in err
    assert main(["info", "--json", str(path)]) == 1
    (report,) = json.loads(capfd.readouterr().out)
    assert report["status"] == "fail" and report["error"].startswith(str(path))


def test_one_bad_file_does_not_hide_the_others(written, tmp_path, capsys):
    assert main(["info", str(tmp_path / "none"), str(written)]) == 1
    told = capsys.readouterr()
    assert str(written) in told.out and str(tmp_path / "none") in told.err


def test_every_configuration_of_an_ensemble(tmp_path, capsys):
    path = tmp_path / "e.h5"
    with ensemble.create(path) as writer:
        for number in range(3):
            meta = dict(samples.META, trajectory=number)
            writer.append(samples.configuration(number)._replace(meta=meta))
    assert main(["info", "--json", str(path)]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert [one["metadata"]["trajectory"] for one in reports] == [0, 1, 2]
    assert [one["metadata"]["index"] for one in reports] == [0, 1, 2]
    assert main(["info", str(path)]) == 0
    assert f"{path}[2]: hdf5 (l2hmc-bridge)" in capsys.readouterr().out


def test_wrong_usage(capsys, written):
    for arguments in (["info"], ["info", "--nope", "x"], ["nope"],
                      ["info", "--lattice", "4,4", str(written)]):
        assert main(arguments) == 2
        assert capsys.readouterr().err
    assert main(["info", "--format", "nope", str(written)]) == 1


def test_markup_in_a_file_is_text(tmp_path, capsys):
    meta = dict(samples.META, ensemble_label="[red]bold[/red] \x1b[31m")
    path = tmp_path / "a.nersc"
    files.write(path, samples.configuration()._replace(meta=meta))
    assert main(["info", str(path)]) == 0
    told = capsys.readouterr().out
    assert "[red]bold[/red]" in told
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"ENSEMBLE_LABEL = [red]", b"ENSEMBLE_LABEL = \x1b[31m\7"))
    assert main(["info", str(path)]) == 0
    told = capsys.readouterr().out
    assert "\\x1b[31m\\x07" in told and "\x1b" not in told and "\7" not in told


def test_help_and_version_start_without_torch(tmp_path):
    code = ("import sys; from l2hmc_bridge.cli import main; status = main(sys.argv[1:]); "
            "heavy = {'torch', 'numba', 'numpy', 'h5py'} & set(sys.modules); "
            "sys.exit(f'imported {heavy}' if heavy else status)")
    for argument in ("--help", "--version"):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code, argument], cwd=ROOT, text=True,
                              capture_output=True)
        assert done.returncode == 0, done.stderr
        assert time.perf_counter() - start < 5  # a loaded machine; alone it takes 0.1 s
    form = r"l2hmc-bridge, version \S+ \(Python \S+, \w+ \w+, compiled kernels: .+\)\n"
    assert re.fullmatch(form, done.stdout)


@pytest.mark.slow
def test_python_warnings_are_not_shown(written):
    code = ("import warnings; from l2hmc_bridge import cli\n"
            "from l2hmc_bridge.adapters.files import table as files\n"
            "old = files.inspect\n"
            "def loud(*a, **k): warnings.warn('raw text'); return old(*a, **k)\n"
            f"files.inspect = loud; raise SystemExit(cli.main(['info', {str(written)!r}]))")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0 and "raw text" not in done.stderr + done.stdout
