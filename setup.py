"""Builds the kernels in l2hmc_bridge/fast/kernels, once per instruction set and precision.

All builds are optional, and as many at a time as there are cores.

Everything else is declared in pyproject.toml. Without a C++ compiler the install succeeds and the
package computes with torch alone, slower.
"""

import copy
import os
import platform
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = Path("l2hmc_bridge", "fast", "kernels")
X86 = {
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"],
    "avx2": ["-mavx2", "-mfma"],
    "default": [],
}
LEVELS = X86 if platform.machine().lower() in ("x86_64", "amd64") else {"default": []}
PRECISIONS = {"": [], "_single": ["-DSINGLE"]}
FLAGS = ["-std=c++17", "-O3", "-g0", "-fvisibility=hidden", "-Wno-psabi", "-pthread"]


class BuildKernels(build_ext):
    """One folder of objects for each extension: they share one source file."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or True

    def build_extension(self, ext):
        alone = copy.copy(self)
        alone.build_temp = os.path.join(self.build_temp, ext.name)
        build_ext.build_extension(alone, ext)


setup(
    cmdclass={"build_ext": BuildKernels},
    ext_modules=[
        Extension(
            f"l2hmc_bridge.fast._kernels_{level}{suffix}",
            sources=[str(SOURCES / "exports.cpp")],
            depends=sorted(str(path) for path in SOURCES.glob("*.hpp")),
            extra_compile_args=FLAGS + options + defines,
            extra_link_args=["-pthread"],
            optional=True,
        )
        for suffix, defines in PRECISIONS.items()
        for level, options in LEVELS.items()
    ],
)
