"""The notebooks of examples/ run from the first cell to the last, and show what they printed."""

import json
import re
import sys

import pytest
from helpers import ROOT

BOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
HERE = re.compile(r"/(?:work|tmp|home|root|usr|opt)/")  # a place of one machine


def outputs(book) -> list[dict]:
    return [o for cell in book["cells"] if cell["cell_type"] == "code" for o in cell["outputs"]]


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_what_it_printed_and_no_place_of_a_machine(path):
    text = path.read_text(encoding="utf-8")
    book = json.loads(text)
    found = outputs(book)
    assert sum("image/png" in one.get("data", {}) for one in found) >= 1
    assert [
        one for one in found if one["output_type"] == "error" or one.get("name") == "stderr"
    ] == []
    assert len(text) < 500_000
    words = [one for one in text.splitlines() if '"image/png"' not in one]
    assert HERE.findall("\n".join(words)) == []


@pytest.mark.slow
@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_an_empty_folder(path, tmp_path, monkeypatch):
    pytest.importorskip("nbclient", reason="the extra 'notebooks' is not installed")
    monkeypatch.setattr(sys, "path", [str(ROOT / "scripts"), *sys.path])
    import run_notebooks

    book = run_notebooks.execute(path, tmp_path)
    told = [[o["output_type"] for o in cell.get("outputs", [])] for cell in book.cells]
    committed = json.loads(path.read_text(encoding="utf-8"))
    assert told == [[o["output_type"] for o in c.get("outputs", [])] for c in committed["cells"]]
