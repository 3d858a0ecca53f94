"""Called by MkDocs (mkdocs.yml): mounted and made pages, notebooks, formulas as MathML."""

import re
import sys
from html import unescape
from pathlib import Path

import nbformat
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from docs.making import commands, mounted, pictures  # noqa: E402

PACKAGE = mounted.ROOT / "build" / "api" / "l2hmc_bridge"
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\s*\\([\[(])(.*?)\\[\])]\s*</\1>', re.S)


def on_startup(**_) -> None:
    """Lay the package out as an install does, before anyone asks where its docstrings are."""
    PACKAGE.mkdir(parents=True, exist_ok=True)
    root = mounted.ROOT
    for path in (*(root / "l2hmc_bridge").iterdir(), root / "adapters", root / "cli"):
        link = PACKAGE / path.name
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(path)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Pages that lie elsewhere or are made here, and pictures from the JSON of real runs."""
    for page in mounted.MOUNTED:
        files.append(File.generated(config, page, content=mounted.text_of(page)))
    files.append(File.generated(config, "reference/command-line.md", content=commands.page()))
    for name, content in pictures.made().items():
        files.append(File.generated(config, f"pictures/{name}", content=content))
    for notebook in sorted((mounted.ROOT / "docs" / "notebooks").glob("*.ipynb")):
        text, outputs = rendered(notebook)
        files.append(File.generated(config, f"notebooks/{notebook.stem}.md", content=text))
        for name, data in outputs.items():
            files.append(File.generated(config, f"notebooks/{name}", content=data))
    return files


def rendered(notebook: Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, with the pictures it made."""
    exporter = MarkdownExporter()
    resources = {"unique_key": notebook.stem, "output_files_dir": f"{notebook.stem}-files"}
    text, found = exporter.from_notebook_node(nbformat.read(notebook, 4), resources)
    title, _, rest = text.partition("\n")
    link = f"The notebook: [{notebook.name}]({notebook.name}), executed by the project's tests."
    return f"{title}\n\n{link}\n{rest}", found["outputs"]


def on_page_content(html: str, **_) -> str:
    """Formulas as MathML: no script, no download."""
    def formula(match: re.Match[str]) -> str:
        block = match[2] == "["
        made = convert(unescape(match[3]).strip(), display="block" if block else "inline")
        return f'<div class="formula">{made}</div>' if block else made

    return _FORMULA.sub(formula, html)
