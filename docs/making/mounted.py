"""Files of the repository that are pages of the site where they lie, and their links."""

import os.path
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Page of the site: file of the repository.
MOUNTED = {
    "how-to/streams-with-quarks.md": "examples/two_flavour/README.md",
    "measured/bundles-that-ship.md": "l2hmc_bridge/models/README.md",
    "measured/bundles-of-the-examples.md": "examples/models/README.md",
    "measured/speed.md": "benchmarks/README.md",
    "measured/efficiency.md": "benchmarks/efficiency.md",
    "measured/kernel-tables.md": "benchmarks/results/kernels.md",
    "measured/sweeps.md": "benchmarks/results/sweeps.md",
    "measured/kernel-tables-avx2.md": "benchmarks/results/kernels_avx2.md",
    "measured/gpu-model.md": "benchmarks/results/gpu_model.md",
    "measured/nested-steps.md": "benchmarks/results/nested.md",
    "measured/ranks.md": "benchmarks/ranks.md",
    "reference/observables.md": "l2hmc_bridge/observables/README.md",
    "project/architecture.md": "ARCHITECTURE.md",
    "project/contributing.md": "CONTRIBUTING.md",
    "project/changelog.md": "CHANGELOG.md",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^(\s*```).*?^\1", re.M | re.S)


def site_path(path: str) -> str | None:
    """Where a file of the repository stands in the site, or None."""
    for page, source in MOUNTED.items():
        if path == source:
            return page
    return path.removeprefix("docs/") if path.startswith("docs/") else None


def text_of(page: str) -> str:
    """The Markdown of a mounted page, its links those of the site.

    A link to a file that is no page becomes the file's path.
    """
    source = MOUNTED[page]
    folder = os.path.dirname(source)

    def relinked(match: re.Match[str]) -> str:
        mark, words, target, anchor = match.groups()
        if "://" in target:
            return match[0]
        path = os.path.normpath(os.path.join(folder, target))
        if not (ROOT / path).exists():
            raise FileNotFoundError(f"{source}: expected {target} to be a file, found none")
        there = site_path(path)
        if there is None:
            return f"`{path}`"
        return f"{mark}[{words}]({os.path.relpath(there, os.path.dirname(page))}{anchor or ''})"

    return outside_fences(lambda text: _LINK.sub(relinked, text), (ROOT / source).read_text())


def outside_fences(change, text: str) -> str:
    """`change` of what is no code block."""
    parts, at = [], 0
    for fence in _FENCE.finditer(text):
        parts += [change(text[at:fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, change(text[at:])])


def pages() -> list[Path]:
    """Every Markdown file that a reader of the site or of the repository sees."""
    own = sorted((ROOT / "docs").rglob("*.md"))
    front = ["README.md", "examples/README.md", "examples/data/README.md"]
    return own + [ROOT / path for path in (*front, *MOUNTED.values())]
