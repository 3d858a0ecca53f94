"""Builds the kernels in l2hmc_bridge/fast/cpu/kernels, per instruction set and precision.

Everything else is declared in pyproject.toml. All builds are optional and run side by side: without
a C++ compiler the install succeeds and the package computes with torch alone, slower.

pip builds what this machine can use, its best instruction set and the baseline; any other build
front end makes a wheel for other machines and builds them all. L2HMC_BRIDGE_KERNELS decides
otherwise: "native", "all", or names separated by commas.

The kernels are loaded by ctypes and know nothing of Python: their files have no ABI in their names,
and one wheel serves every version of Python.
"""

import copy
import os
import platform
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1 makes no wheels by itself, but builds in place
    bdist_wheel = object

SOURCES = Path("l2hmc_bridge", "fast", "cpu", "kernels")
X86 = {  # best first: what the compiler is told, what /proc/cpuinfo says of a processor that can
    "avx512": (["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"],
               {"avx512f", "avx512dq", "avx512bw", "avx512vl", "fma"}),
    "avx2": (["-mavx2", "-mfma"], {"avx2", "fma"}),
    "default": ([], set()),
}
LEVELS = X86 if platform.machine().lower() in ("x86_64", "amd64") else {"default": ([], set())}
LINUX = platform.system() == "Linux"
PRECISIONS = {"": [], "_single": ["-DSINGLE"]}
# Whoever installs a wheel may have an older C++ library.
PORTABLE = ["-static-libstdc++", "-Wl,--exclude-libs,ALL", "-Wl,--gc-sections"]
FLAGS = ["-std=c++17", "-O3", "-g0", "-fvisibility=hidden", "-Wno-psabi", "-pthread"]


def processor() -> set[str]:
    """Instruction sets of this machine; empty if the system does not list them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    listed = [line.split(":")[1].split() for line in lines if line.startswith("flags")]
    return set(listed[0]) if listed else set()


def for_others() -> bool:
    """Whether this builds a wheel for other machines: pip tracks its builds, others do not."""
    return "L2HMC_BRIDGE_KERNELS" not in os.environ and "PIP_BUILD_TRACKER" not in os.environ


def levels() -> list[str]:
    """Names in LEVELS to build."""
    asked = os.environ.get("L2HMC_BRIDGE_KERNELS") or ("all" if for_others() else "native")
    there = processor()
    if asked == "all" or (asked == "native" and not there):
        return list(LEVELS)
    if asked == "native":
        best = next(level for level, (_, needed) in LEVELS.items() if needed <= there)
        return list(dict.fromkeys([best, "default"]))
    return [level for level in LEVELS if level in asked.split(",")]


class BuildKernels(build_ext):
    """One folder of objects for each extension: they share one source file."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or True

    def get_ext_filename(self, fullname):
        suffix = ".pyd" if os.name == "nt" else ".so"
        return os.path.join(*fullname.split(".")) + suffix

    def build_extension(self, ext):
        alone = copy.copy(self)
        alone.build_temp = os.path.join(self.build_temp, ext.name)
        build_ext.build_extension(alone, ext)


class WheelForEveryPython(bdist_wheel):
    """py3-none-<platform>."""

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


setup(
    cmdclass={"build_ext": BuildKernels}
    | ({} if bdist_wheel is object else {"bdist_wheel": WheelForEveryPython}),
    ext_modules=[
        Extension(
            f"l2hmc_bridge.fast.cpu._kernels_{level}{suffix}",
            sources=[str(SOURCES / "exports.cpp")],
            depends=sorted(str(path) for path in SOURCES.glob("*.hpp")),
            extra_compile_args=FLAGS + LEVELS[level][0] + defines,
            extra_link_args=["-pthread", *(PORTABLE if for_others() and LINUX else [])],
            optional=True,
        )
        for suffix, defines in PRECISIONS.items()
        for level in levels()
    ],
)
