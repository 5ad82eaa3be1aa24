"""The notebook, run as a reader runs it."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "docs" / "quickstart.ipynb"


def test_the_notebook_runs_from_top_to_bottom_and_its_policy_learns(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(cell.get("outputs", []) == [] for cell in notebook.cells)  # committed without results
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    said = "".join(output.get("text", "") for cell in code for output in cell.outputs)
    before, after = (float(word) for word in said.split() if word.replace(".", "").isdigit() and "." in word)
    assert after < before / 2
    assert code[-1].outputs[-1]["data"]["text/plain"] == "True"
    assert (tmp_path / "my-encoder" / "model.safetensors").is_file()
    pictures = [output for cell in code for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 1
