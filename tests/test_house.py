"""The house: rooms import one way, files stay small, the library never prints, seeds or exits."""

import ast
import re
import runpy
import subprocess
import sys

import pytest

from tests.support import imports
from tests.support.places import ROOT

# Each room may import from itself and from the rooms before it; see ARCHITECTURE.md.
CORE = ("errors", "models", "storage", "fields", "fast", "systems", "observables", "analysis",
        "sampling", "networks", "l2hmc", "bundle", "gate", "training", "recorded",
        "stream", "ranks")
ADAPTERS = ("format", "payload", "formats", "theory", "files", "hosts", "streams", "logs",
            "records", "l2hmc_qcd", "public")
ROOMS = ("__version__", *CORE, *(f"adapters.{name}" for name in ADAPTERS), "cli")
APART = {("gate", "training"), ("training", "gate")}  # neither knows the other
MODULES = 16  # in a folder
LINES = 250  # of a file
FUNCTION = 40  # lines of a function
LIBRARY = imports.files(*imports.LIBRARY)
CODE = [*LIBRARY, *imports.files("benchmarks")]


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_one_way(path):
    own = imports.room(imports.module(path))
    if own in ("", "adapters"):
        return  # the top opens rooms when it is asked to, see tests/test_public_face.py
    assert own in ROOMS, f"{own} has no place in the order of rooms: give it one in ROOMS"
    for name in imports.imported(path):
        if not name.startswith("l2hmc_bridge."):
            continue
        other = imports.room(name)
        assert other in ROOMS, f"{own} imports {name}: no room"
        assert ROOMS.index(other) <= ROOMS.index(own), f"{own} imports {other}, a later room"
        assert (own, other) not in APART, f"{own} imports {other}"


def test_no_circle_anywhere():
    paths = [*CODE, *imports.files("tests")]
    names = {imports.module(path) for path in paths}
    graph = {imports.module(path): (imports.imported(path) & names) - {imports.module(path)}
             for path in paths}
    # A lazy import of a room's own parts (PEP 562) is no circle.
    for package in ("l2hmc_bridge", "l2hmc_bridge.cli"):
        graph[package] = imports.at_import(ROOT / _init(package)) & names
    assert imports.circle(graph) == []


def test_a_circle_would_be_found():
    assert imports.circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert imports.circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def _init(package: str) -> str:
    return {"l2hmc_bridge": "l2hmc_bridge/__init__.py",
            "l2hmc_bridge.cli": "cli/__init__.py"}[package]


def test_every_folder_has_one_purpose_and_few_modules():
    for init in (path for path in CODE if path.name == "__init__.py"):
        purpose = ast.get_docstring(ast.parse(init.read_text()))
        assert purpose, f"{init} does not say what its folder is for"
        modules = [path for path in init.parent.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= MODULES, f"{init.parent} has {len(modules)} modules"
    folders = {path.parent for path in CODE}
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_library_never_prints_exits_asserts_or_unpickles():
    pattern = re.compile(
        r"^\s*(print\(|sys\.exit|exit\(|assert )|\bpickle\.\w|allow_pickle=True|\beval\(|\bexec\(|"
        r"(?<!\.)manual_seed\(|torch\.manual_seed|np\.random\.(seed|rand|normal)|warnings\.warn\("
    )
    for path in (path for path in LIBRARY if "cli" not in path.relative_to(ROOT).parts[:1]):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert not pattern.search(line.split("#")[0]), f"{path.name}:{number}: {line}"


def test_files_and_functions_stay_readable():
    for path in CODE:
        text = path.read_text()
        assert len(text.splitlines()) <= LINES, f"{path} has two things in it"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < FUNCTION, f"{path}: {node.name} is long"


def test_the_picture_of_the_house_shows_every_room():
    scope = runpy.run_path(str(ROOT / "docs" / "rooms.py"))
    shown = {room for floor in scope["FLOORS"] for room in floor}
    assert shown == set(ROOMS) - {"__version__"}
    level = {room: n for n, floor in enumerate(scope["FLOORS"]) for room in floor}
    assert all(level[own] >= level[other] for own, other in scope["imported"]())


def test_the_bounds_that_contributing_states_are_these():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert f"files up to {LINES} lines, functions up to {FUNCTION}" in text
    assert f"at most {MODULES} modules in a folder" in text


def test_every_subpackage_is_declared():
    text = (ROOT / "pyproject.toml").read_text()
    for init in (path for path in LIBRARY if path.name == "__init__.py"):
        assert f'"{imports.module(init)}"' in text, f"{init} is not in [tool.setuptools] packages"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_and_version_import_neither_torch_nor_numba(arguments):
    code = (
        "import sys\nfrom l2hmc_bridge.cli import main\n"
        f"main({arguments})\n"
        "heavy = {'torch', 'numba', 'numpy', 'h5py', 'matplotlib'} & set(sys.modules)\n"
        "raise SystemExit(f'imports {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "l2hmc-bridge" in done.stdout
