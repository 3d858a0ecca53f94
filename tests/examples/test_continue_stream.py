"""examples/continue_stream.py: a host and L2HMC in turn on one stream of files."""

import importlib.util
import json
import sys

import pytest

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.records import host_log
from tests.support.hosts import HOSTS, leave
from tests.support.places import ROOT

# A host that, as Grid does, starts only where both files of the number are there.
HOST = """
import shutil, sys
number, path = int(sys.argv[1]), sys.argv[2]
for name in (path, path.replace("lat", "rng")):
    stem = name.rpartition(".")[0]
    shutil.copy(f"{stem}.{number}", f"{stem}.{number + 2}")
"""


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("example", ROOT / "examples/continue_stream.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rounds_of_host_and_l2hmc(example, tmp_path, capsys):
    path = leave(tmp_path, "grid")
    (tmp_path / "host.py").write_text(HOST)
    command = f"{sys.executable} {tmp_path / 'host.py'} {{number}} {{path}}"
    words = [str(path), "--rounds", "2", "--host", command, "--beta", "5.7", "--tune", "2"]
    assert example.main(words) == 0
    numbers = [120, 121, 123, 124, 126]
    for prefix in ("ckpoint_lat", "ckpoint_rng"):
        found = sorted(int(one.suffix[1:]) for one in tmp_path.glob(f"{prefix}.*"))
        assert found == numbers
    entries = [json.loads(line) for line in (tmp_path / host_log.NAME).read_text().splitlines()]
    assert [(one["from"], one["to"]) for one in entries] == [
        ("ckpoint_lat.120", "ckpoint_lat.121"), ("ckpoint_lat.123", "ckpoint_lat.124")]
    assert f"last configuration: {tmp_path / 'ckpoint_lat.126'}" in capsys.readouterr().out


@pytest.mark.parametrize("kind", HOSTS)
def test_every_scheme_without_a_host(example, kind, tmp_path):
    """Two updates, then the same command from the first file goes on from the last one."""
    path, host = leave(tmp_path, kind), HOSTS[kind]
    words = ["--beta", "5.7", "--tune", "1", "--kernel", "hmc", "--steps", "1"]
    assert example.main([str(path), "--rounds", "2", *words]) == 0
    assert example.main([str(path)]) == 0
    last = tmp_path / host.name.format(host.first + 3)
    assert files.read(last).meta["format"] == host.format
    assert len((tmp_path / host_log.NAME).read_text().splitlines()) == 3


def test_an_error_of_sample_ends_it(example, tmp_path, capsys):
    path = leave(tmp_path, "grid")
    (tmp_path / "ckpoint_rng.121").write_bytes(b"theirs")
    assert example.main([str(path), "--rounds", "3", "--beta", "5.7"]) == 1
    assert "ckpoint_rng.121: expected ckpoint_lat.120 to be the last" in capsys.readouterr().err


def test_a_host_that_leaves_nothing_ends_it(example, tmp_path, capsys):
    path = leave(tmp_path, "gpt")
    words = ["--kernel", "hmc", "--steps", "1", "--beta", "5.7", "--tune", "1"]
    command = f'{sys.executable} -c "" {{number}}'
    assert example.main([str(path), "--rounds", "3", "--host", command, *words]) == 1
    assert "ckpoint_lat.100: expected a later one" in capsys.readouterr().err
    assert not (tmp_path / "ckpoint_lat.101").exists()


def test_the_page_tells_every_scheme():
    text = (ROOT / "docs" / "how-to" / "streams-by-files.md").read_text()
    for name in ("ckpoint_lat.N", "ckpoint_rng.N", "PREFIX_cfg_N.lime", "PREFIX_restart_N.xml",
                 "NAMEnN", "PREFIX.NNNNN.lime", "cfg_N.npy", "NAME.N", host_log.NAME):
        assert name in text, name
