"""Reading stays within 1.5 times the field it returns, whatever the file."""

import subprocess
import sys
from pathlib import Path

import pytest

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.fields.configuration import Configuration
from tests.support import samples
from tests.support.places import ROOT

STATUS = Path("/proc/self/status")
SCRIPT = """
import sys
from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.payload import dispatch
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))
small, large, slices = sys.argv[1:]
dispatch.COMPILED_FROM = 0
files.read(small)
before = peak()
options = {"slices": (3, 5)} if slices == "part" else {}
links = files.read(large, **options).links
print((peak() - before) / (links.numel() * 16))
"""


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("format, part", [("ildg", "all"), ("nersc", "all"), ("ildg", "part")])
def test_peak_memory_of_a_verified_read(tmp_path, format, part):
    small, large = tmp_path / f"small.{format}", tmp_path / f"large.{format}"
    files.write(small, samples.configuration())
    links = samples.random_links(extents=(16, 16, 16, 16))  # 38 MB
    files.write(large, Configuration(links, {}))
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(small), str(large), part], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Two time slices are 5 MB: the blocks in flight and the interpreter's own growth show there.
    assert float(done.stdout) <= (1.5 if part == "all" else 3.0)
