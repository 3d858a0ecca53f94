"""Builds the kernels in l2hmc_bridge/fast/kernels, once per instruction set; all are optional.

Everything else is declared in pyproject.toml. Without a C++ compiler the install succeeds and the
package computes with torch alone, slower.
"""

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
FLAGS = ["-std=c++17", "-O3", "-g0", "-fvisibility=hidden", "-Wno-psabi", "-pthread"]


class BuildKernels(build_ext):
    """One folder of objects for each extension: they share one source file."""

    def build_extension(self, ext):
        shared = self.build_temp
        self.build_temp = os.path.join(shared, ext.name)
        try:
            super().build_extension(ext)
        finally:
            self.build_temp = shared


setup(
    cmdclass={"build_ext": BuildKernels},
    ext_modules=[
        Extension(
            f"l2hmc_bridge.fast._kernels_{level}",
            sources=[str(SOURCES / "exports.cpp")],
            depends=sorted(str(path) for path in SOURCES.glob("*.hpp")),
            extra_compile_args=FLAGS + options,
            extra_link_args=["-pthread"],
            optional=True,
        )
        for level, options in LEVELS.items()
    ],
)
