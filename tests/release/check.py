"""What `make dist` built, installed into an empty environment and tried without a compiler.

    python tests/release/check.py dist

The wheel: its commands, its kernels of every instruction set, and part of the suite from a folder
that holds no package. The source distribution: it installs without a compiler, and torch computes.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "release"
LEVELS = ("avx512", "avx2", "default")
SUITE = ("tests/fast/test_table.py", "tests/cli/test_info.py", "tests/cli/test_doctor.py",
         "tests/examples/test_main_job.py")


def run(*words: str | Path, folder: Path = WORK, **environment: str) -> str:
    """Standard output of a command that sees the new environment and no compiler."""
    path = str(WORK / "empty" / "bin")
    for compiler in ("gcc", "g++", "cc", "c++", "clang", "clang++"):
        assert shutil.which(compiler, path=path) is None, compiler
    kept = {key: value for key, value in os.environ.items()
            if key not in ("PYTHONPATH", "L2HMC_BRIDGE_KERNELS", "CC", "CXX")}
    done = subprocess.run([str(word) for word in words], cwd=folder, text=True,
                          stdout=subprocess.PIPE, env={**kept, "PATH": path, **environment})
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}: exit status {done.returncode}\n"
                         f"{done.stdout}")
    return done.stdout


def one(folder: Path, pattern: str) -> Path:
    """The only file of that name; SystemExit otherwise."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"{folder}: expected one {pattern}, found {len(found)} (`make dist`)")
    return found[0]


def check_wheel(wheel: Path) -> None:
    """Its name and what is in it."""
    assert "-py3-none-manylinux_" in wheel.name, wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    for level in LEVELS if wheel.name.endswith("x86_64.whl") else ("default",):
        for suffix in ("", "_single"):
            assert f"l2hmc_bridge/fast/cpu/_kernels_{level}{suffix}.so" in names, level
    for name in ("py.typed", "models/wilson.safetensors", "models/quarks.safetensors",
                 "adapters/__init__.py", "cli/__init__.py"):
        assert f"l2hmc_bridge/{name}" in names, name
    assert any(name.endswith("licenses/LICENSE") for name in names)


def check_source(source: Path) -> None:
    """The source distribution is the repository, without what was built."""
    names = [name.partition("/")[2] for name in tarfile.open(source).getnames()]
    for name in ("CITATION.cff", "CHANGELOG.md", "Makefile", "constraints.txt", "mkdocs.yml",
                 "tests/conftest.py", "docs/index.md", "examples/train/wilson.toml",
                 "l2hmc_bridge/fast/cpu/kernels/exports.cpp"):
        assert name in names, name
    assert not [name for name in names if name.endswith((".so", ".pyc"))]


def try_wheel(wheel: Path, python: Path) -> None:
    """The commands of a new user, then tests, all on what is installed."""
    run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel, "pytest",
        "hypothesis")
    command = python.parent / "l2hmc-bridge"
    version = run(command, "--version").strip()
    print(version)
    if wheel.name.endswith("x86_64.whl"):
        assert "compiled kernels: avx2, avx512, default" in version
    place = run(python, "-c", "import l2hmc_bridge; print(l2hmc_bridge.__file__)")
    assert str(WORK / "empty") in place, place
    print(run(command, "doctor", "--seconds", "2"))
    configuration = ROOT / "examples" / "data" / "milc_l4x6x8x10_b6.0.ildg"
    run(command, "info", configuration)
    run(command, "sample", "--in", configuration, "--out", WORK / "stream", "-n", "5", "--seed",
        "1")
    run(command, "sample", "--in", WORK / "stream", "--resume", "-n", "5")
    run(command, "analyze", WORK / "stream", "--report", WORK / "report.html")
    away = WORK / "away"
    for name in ("tests", "examples"):
        shutil.copytree(ROOT / name, away / name)
    shutil.copy(ROOT / "pyproject.toml", away)
    print(run(python, "-m", "pytest", "-p", "no:cacheprovider", "-m", "not slow", *SUITE,
              folder=away))


def try_source(source: Path, python: Path) -> None:
    """Without a compiler it installs, says so and computes."""
    run(python, "-m", "pip", "install", "-q", "--no-deps", "--target", WORK / "plain", source,
        CC="false", CXX="false")
    place = {"PYTHONPATH": str(WORK / "plain")}
    said = run(python, "-m", "l2hmc_bridge.cli", "--version", **place)
    assert "compiled kernels: none" in said, said
    run(python, "-m", "l2hmc_bridge.cli", "sample", "--start", "cold", "--lattice", "4,4,4,4",
        "--beta", "6.0", "--kernel", "hmc", "--tune", "2", "--thermalise", "2", "-n", "2", "--out",
        WORK / "torch", **place)


def main() -> None:
    """Check both files of the folder that is named."""
    folder = Path(sys.argv[1]).resolve()
    wheel, source = one(folder, "*.whl"), one(folder, "*.tar.gz")
    check_wheel(wheel)
    check_source(source)
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    venv.create(WORK / "empty", with_pip=True)
    python = WORK / "empty" / "bin" / "python"
    try_wheel(wheel, python)
    try_source(source, python)
    print(f"{wheel.name}, {source.name}: installed and tried without a compiler")


if __name__ == "__main__":
    main()
