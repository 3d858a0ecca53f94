"""The notebooks run from top to bottom in time, and what is stored in them was run."""

import json
import time

import pytest

from tests.support.places import ROOT

FOLDER = ROOT / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SECONDS = 120  # alone on two cores; other tests run beside it here


def test_there_are_three():
    assert len(NOTEBOOKS) >= 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the packages that run notebooks
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(path, 4)
    start = time.process_time(), time.perf_counter()
    nbclient.NotebookClient(notebook, timeout=3 * SECONDS, kernel_name="python3",
                            resources={"metadata": {"path": str(FOLDER)}}).execute()
    assert time.perf_counter() - start[1] < 3 * SECONDS
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_stored_was_run(path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert any("image/png" in output.get("data", {}) for output in outputs) or "gate" in path.stem
    assert not [output for output in outputs if output["output_type"] == "error"]
    said = json.dumps([output for output in outputs if "image/png" not in output.get("data", {})])
    assert str(ROOT) not in said and "\\u001b" not in said and "Warning" not in said
