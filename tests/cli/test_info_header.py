"""`info --header` starts without torch, for every format: a header is answered at once."""

import json
import subprocess
import sys

import pytest

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.formats.hdf5 import ensemble
from tests.conftest import REFERENCE
from tests.support import dialects, samples
from tests.support.places import ROOT
from tests.support.samples import CASES

MILC = ROOT / "examples" / "data" / "milc_l4x6x8x10_b6.0.ildg"
EXTENTS = (6, 4, 2, 8)  # t, x, y, z: T is not 4, so an array's shape tells its layout
LATTICE = {"x": 4, "y": 2, "z": 8, "t": 6}
HEAVY = ("torch", "numba", "h5py", "numpy")
NEEDED = {"npy": {"numpy"}, "hdf5": {"numpy", "h5py"}, "lyncs": {"numpy", "h5py"}}
HEADERLESS = ("kyu", "jlqcd", "raw")
CODE = f"""
import sys
from l2hmc_bridge.cli import main
status = main(sys.argv[1:])
print("imported:", *[name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
sys.exit(status)
"""


def start(*arguments):
    """(exit status, output, errors, which heavy modules were imported) of a fresh process."""
    done = subprocess.run([sys.executable, "-c", CODE, *map(str, arguments)], cwd=ROOT, text=True,
                          capture_output=True)
    errors, mark, imported = done.stderr.rpartition("imported:")
    assert mark, done.stderr
    return done.returncode, done.stdout, errors, set(imported.split())


def written(name, folder):
    """(file, arguments that name its format) of a case, or of a headerless format."""
    field = samples.configuration(extents=EXTENTS)
    if name in HEADERLESS:
        path = folder / f"sample.{name}"
        path.write_bytes(dialects.headerless(field.links)[name])
        return path, ["--format", name, "--lattice", "4,2,8,6"]
    if CASES[name].format == "lyncs":
        pytest.importorskip("lyncs_io")
        return samples.written(CASES[name], folder, field), ["--format", "lyncs"]
    path = samples.written(CASES[name], folder, field)
    return path, ["--lattice", "4,2,8,6"] if "lattice" in CASES[name].reading else []


def test_every_format_is_tried():
    assert {CASES[name].format for name in CASES} | set(HEADERLESS) == set(files.FORMATS)


@pytest.mark.parametrize("name", [*CASES, *HEADERLESS])
def test_no_format_needs_torch_for_its_header(name, tmp_path):
    path, named = written(name, tmp_path)
    status, out, errors, imported = start("info", "--header", "--json", *named, path)
    form = name if name in HEADERLESS else CASES[name].format
    assert status == 0 and errors == ""
    (report,) = json.loads(out)
    assert (report["format"], report["lattice"], report["status"]) == (
        form, LATTICE, "warn" if form == "lyncs" else "pass")
    assert imported <= NEEDED.get(form, set())


@pytest.mark.parametrize("name", [*CASES, *HEADERLESS])
def test_nor_does_a_damaged_file(name, tmp_path):
    path, named = written(name, tmp_path)
    path.write_bytes(path.read_bytes()[:-1000])
    status, out, errors, imported = start("info", "--header", *named, path)
    form = name if name in HEADERLESS else CASES[name].format
    assert status == 1 and out == ""
    assert errors.startswith(f"l2hmc-bridge: {path}: ") and errors.count("\n") == 1
    assert imported <= NEEDED.get(form, set())


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_the_example_beside_files_that_are_none(as_json, tmp_path):
    (tmp_path / "text").write_text("no gauge field, but longer than any magic number is")
    bad = [tmp_path / "none", tmp_path / "text", tmp_path]
    status, out, errors, imported = start("info", "--header", *as_json, MILC, *bad)
    assert status == 1 and "4" in out and imported == set()
    if as_json:
        good, *reports = json.loads(out)
        assert good["status"] == "pass" and len(reports) == 3
        assert all("expected" in report["error"] for report in reports)
    else:
        assert f"{MILC}: ildg (QIO), 4x6x8x10" in out and errors.count("\n") == 3


def test_nor_does_an_ensemble_of_several(tmp_path):
    path = tmp_path / "e.h5"
    with ensemble.create(path) as writer:
        for number in range(3):
            writer.append(samples.configuration(number))
    status, out, _, imported = start("info", "--header", "--json", path)
    assert [report["metadata"]["index"] for report in json.loads(out)] == [0, 1, 2]
    assert status == 0 and imported == {"numpy", "h5py"}


def test_nor_does_any_file_of_another_code():
    found = sorted((REFERENCE / "files").glob("*"))
    if not found:
        pytest.skip("no reference files (set L2HMC_BRIDGE_REFERENCE)")
    status, out, _, imported = start("info", "--header", "--json", *found)
    reports = json.loads(out)
    assert len(reports) == len(found) and imported <= {"numpy"}
    assert status == 0 and all("error" not in report for report in reports)


@pytest.mark.slow
def test_the_links_do_and_this_would_be_seen():
    status, out, _, imported = start("info", "--json", MILC)
    assert status == 0 and "unitarity" in out and imported >= {"torch", "numpy"}


def test_the_table_of_formats_alone_imports_nothing_heavy():
    code = ("import sys, l2hmc_bridge.adapters.files.table; "
            f"sys.exit(' '.join(set({HEAVY}) & set(sys.modules)) or 0)")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
