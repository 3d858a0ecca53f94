"""The house: imports run one way, files stay small, the library never prints, seeds or exits."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "l2hmc_bridge"

# Each layer may import from itself and from those before it.
LAYERS = (
    ("errors", "atomic", "models", "axes"),
    ("layout", "check"),
    ("configuration", "su3", "u1", "u1_exact", "vectors"),
    ("loops",),
    ("fast",),
    ("actions", "mixtures", "groups", "integrators"),
    ("flow", "topology"),
    ("observables", "scales", "measurement"),
    ("markov",),
    ("parallel",),
    ("host_action",),
    ("hmc", "networks", "dense", "elementwise", "layered"),
    ("l2hmc", "points", "compiled"),
    ("systems", "fingerprint", "along"),
    ("architecture", "laws", "losses", "training_config",
     "training_checks"),
    ("bundle", "statistics"),
    ("probes", "drift", "interleaving"),
    ("gate_exact", "gate_dense"),
    ("gate",),
    ("efficiency", "gauss_newton", "precision"),
    ("training_start",),
    ("training",),
    ("training_checkpoint", "training_history", "training_outcome"),
    ("series", "references"),
    ("analysis", "validation"),
    ("comparison", "plots"),
    ("report",),
    ("provenance", "lock", "tuning"),
    ("checkpoint", "baseline"),
    ("records",),
    ("summary", "stream"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def modules():
    return sorted(p for p in CORE.rglob("*.py") if p.name != "__init__.py" or p.parent != CORE)


def imported(path: Path) -> set[str]:
    """Names of l2hmc_bridge modules that a file imports, relative imports worked out."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name.startswith("l2hmc_bridge")}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            if node.module == "l2hmc_bridge":
                found |= {f"l2hmc_bridge.{a.name}" for a in node.names}
            elif (node.module or "").startswith("l2hmc_bridge."):
                found.add(node.module)
    return {name.split(".")[1] for name in found if "." in name} - {"__version__"}


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(CORE)))
def test_core_imports_run_one_way(path):
    own = path.relative_to(CORE).parts[0].removesuffix(".py")
    assert own in LEVEL, f"{own} has no place in the order of imports: give it one in LAYERS"
    for name in imported(path):
        assert name not in ("adapters", "cli"), f"{own} imports {name}"
        assert LEVEL[name] <= LEVEL[own], f"{own} imports {name}, which comes after it"


@pytest.mark.parametrize("path", sorted((ROOT / "adapters").rglob("*.py")), ids=lambda p: p.name)
def test_adapters_do_not_import_the_command_line(path):
    assert "cli" not in imported(path)


def library_files():
    return [p for folder in (CORE, ROOT / "adapters") for p in folder.rglob("*.py")]


def test_library_never_prints_exits_asserts_or_unpickles():
    pattern = re.compile(
        r"^\s*(print\(|sys\.exit|exit\(|assert )|\bpickle\.\w|allow_pickle=True|\beval\(|\bexec\(|"
        r"(?<!\.)manual_seed\(|torch\.manual_seed|np\.random\.(seed|rand|normal)|warnings\.warn\("
    )
    for path in library_files():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert not pattern.search(line.split("#")[0]), f"{path.name}:{number}: {line}"


def test_files_and_functions_stay_readable():
    for path in [*library_files(), *(ROOT / "cli").rglob("*.py")]:
        text = path.read_text()
        assert len(text.splitlines()) <= 300, f"{path.name} has two things in it"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno <= 60, f"{path.name}: {node.name} is long"


def test_every_subpackage_is_declared():
    text = (ROOT / "pyproject.toml").read_text()
    for folder in (CORE, ROOT / "adapters", ROOT / "cli"):
        for init in folder.rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT).parts
            name = ".".join(parts if parts[0] == "l2hmc_bridge" else ("l2hmc_bridge", *parts))
            assert f'"{name}"' in text, f"{name} is not in [tool.setuptools] packages"


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
