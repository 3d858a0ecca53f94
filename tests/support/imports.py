"""Who imports whom, read from the files: modules by their full names, rooms by their folders."""

import ast
from pathlib import Path

from tests.support.places import ROOT

LIBRARY = ("l2hmc_bridge", "adapters", "cli")


def files(*folders: str) -> list[Path]:
    """Python files of these top folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module(path: Path) -> str:
    """Full name of the module in `path`, as it is imported."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[0] in ("adapters", "cli"):
        parts.insert(0, "l2hmc_bridge")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path, tree: ast.AST | None = None) -> set[str]:
    """Full names of everything that a file imports, functions and classes included."""
    own, found = module(path), set()
    package = own.split(".") if path.name == "__init__.py" else own.split(".")[:-1]
    for node in ast.walk(tree or ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) + 1 - node.level] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            parts = {f"{name}.{alias.name}" for alias in node.names}
            # `from room import module` is an import of the module alone
            found |= parts if all(map(_is_module, parts)) else {name, *parts}
    return found


def _is_module(name: str) -> bool:
    path = ROOT / "/".join(name.split("."))
    inside = ROOT / "/".join(name.split(".")[1:])
    return any(one.with_suffix(".py").is_file() or (one / "__init__.py").is_file()
               for one in (path, inside))


def at_import(path: Path) -> set[str]:
    """What a file imports when it is imported itself: no functions, nothing for type checkers."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        checked = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if checked or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            node.body = []
    return imported(path, tree)


def room(name: str) -> str:
    """The room of a module: "fields", "adapters.formats", "cli", "" for the top."""
    parts = name.split(".")[1:]
    depth = 2 if parts[:1] == ["adapters"] else 1
    return ".".join(parts[:depth])


def circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle of a graph, empty if there is none."""
    done: set[str] = set()
    for start in graph:
        path: list[str] = []
        found = _walk(start, graph, done, path)
        if found:
            return found
    return []


def _walk(name: str, graph: dict[str, set[str]], done: set[str], path: list[str]) -> list[str]:
    if name in path:
        return [*path[path.index(name):], name]
    if name in done:
        return []
    path.append(name)
    for other in sorted(graph.get(name, ())):
        found = _walk(other, graph, done, path)
        if found:
            return found
    path.pop()
    done.add(name)
    return []
