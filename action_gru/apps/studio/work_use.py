"""Tasks of Use, in either engine: a run as one file to hand on, and as files of other runtimes."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from action_gru.core.errors import DataError, is_full
from action_gru.core.progress import Reporter


def pack_model(tell: object, run: str, out: str) -> None:
    """Write one .safetensors that works alone."""
    from action_gru.training.library import pack_run

    pack_run(Path(run), Path(out))


def export_model(tell: object, run: str, format_: str, out: str) -> None:
    """Write the export of a run as a .zip; it appears whole or not at all."""
    from action_gru.apps.export import export_run

    place = Path(out)
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=place.parent) as name:
            folder, names = export_run(Path(run), format_, Path(name), (), Reporter(quiet=True))
            part = folder / place.name
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
                for one in names:
                    archive.write(folder / one, f"{place.stem}/{one}")
            part.replace(place)
    except OSError as error:
        mend = "free space on the disk" if is_full(error) else "check the project's folder"
        raise DataError(f"{place}: cannot be written ({error.strerror}); {mend}") from error


TASKS: dict[str, Callable[..., Any]] = {"pack_model": pack_model, "export_model": export_model}
