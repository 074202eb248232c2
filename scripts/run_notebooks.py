"""Executes the notebooks of examples/, each in an empty folder, and keeps their outputs.

    python scripts/run_notebooks.py [examples/own_clips.ipynb ...]

Needs the extra `notebooks`. The kernel is this Python.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
BOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
LONGEST_S = 600


class _ThisPython(AsyncKernelManager):
    """Starts the interpreter that runs this, whatever kernels are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        launch = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=launch, display_name="Python 3", language="python")


def execute(path: Path, folder: Path) -> Any:
    """The notebook with the outputs of a run in folder; raises CellExecutionError."""
    text = path.read_text(encoding="utf-8")
    book = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("MPLBACKEND", None)  # pictures are drawn into the notebook
    place = {"metadata": {"path": str(folder)}}
    # A kernel that nbclient makes, it ends.
    making: Any = {"kernel_manager_class": _ThisPython}
    client = NotebookClient(book, timeout=LONGEST_S, resources=place, **making)
    client.execute(env=environment)
    return _cleaned(book)


def _cleaned(book: Any) -> Any:
    """Without times, and without stderr: warnings about this machine's packages."""
    for cell in book.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
    book.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return book


def main(names: Sequence[str]) -> None:
    for path in map(Path, names) if names else BOOKS:
        with tempfile.TemporaryDirectory() as folder:
            book = execute(path, Path(folder))
        path.write_text(json.dumps(book, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{path}: {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main(sys.argv[1:])
