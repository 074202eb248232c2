"""What a path is that a user gave: an address, a run, a config, a table, a video. Opens no file.

Whoever wanted something else says so in a sentence that names the mend.
"""

from __future__ import annotations

import re
from pathlib import Path

from action_gru.core.paths.names import VIDEO_SUFFIXES

BEST = "best.safetensors"
_ENDINGS = {
    **dict.fromkeys(VIDEO_SUFFIXES, "a video"),
    **dict.fromkeys((".yaml", ".yml"), "a config"),
    **dict.fromkeys((".csv", ".tsv", ".parquet"), "a table"),
    ".safetensors": "a checkpoint",
}
# A path object has one slash left of the two: http:/host. One letter is a drive of Windows.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_HOST = re.compile(r"([^:]+):/+(?:.*@)?([^/?#]*).*", re.DOTALL)
_OVERRIDE = re.compile(r"[a-z_]+(\.[a-z_]+)+=")
_SWAPPED = "were two arguments swapped?"
_RUN = "give the folder that 'action-gru train' printed as its last line"
# By what is needed: the words for it, and the mend by what was given instead.
_MENDS = {
    "a video": {
        "an address": "download it first, or watch it live with 'action-gru webcam --source'",
        "a folder": "name one file of it; 'action-gru classify' takes whole folders",
        "a run folder": _SWAPPED,
        "a folder of runs": _SWAPPED,
        "a config": _SWAPPED,
        "a checkpoint": _SWAPPED,
        "a table": "name one of the videos that it lists",
    },
    "a run": {
        "an address": "download the whole run folder first and give its path",
        "a folder of runs": "name one of them",
        "a config": "train with it first: 'action-gru train CONFIG' prints the run folder",
        "a table": _RUN,
        "a video": _SWAPPED,
        "a checkpoint": "give the run folder that it lies in",
    },
    "a config": {
        "an address": "download it first and give its path",
        "a run folder": "give the config.yaml in it, or go on with 'action-gru resume RUN'",
        "a folder of runs": "give the config.yaml of one of them",
        "a folder": "give a YAML file; configs/template.yaml is one to start from",
        "a table": "write a config, and lay the table over it: data.manifest=CSV",
        "a video": "give a YAML file; configs/template.yaml is one to start from",
        "a checkpoint": "give the config.yaml beside it",
        "an override": "the config comes first, then a.b=value",
    },
    "a manifest": {
        "an address": "download it first, with its clips",
        "a folder": "write a manifest of it: 'action-gru prepare folder DIR'",
        "a run folder": "give the CSV that 'action-gru prepare' wrote",
        "a folder of runs": "give the CSV that 'action-gru prepare' wrote",
        "a config": _SWAPPED,
        "a video": "give the CSV that 'action-gru prepare' wrote",
        "a checkpoint": _SWAPPED,
    },
}  # fmt: skip


def is_override(text: str) -> bool:
    """Whether a word is `a.b=value`, and no file that is called so."""
    try:
        return bool(_OVERRIDE.match(text)) and not Path(text).exists()
    except (OSError, ValueError):  # too long for a name, or no text
        return True


def kind_of(path: Path) -> str | None:
    """In words, by its form, its ending or what lies in the folder; None where nothing tells."""
    if _ADDRESS.match(str(path)):
        return "an address"
    if path.is_dir():
        return _folder_kind(path)
    if is_override(str(path)):
        return "an override"
    return _ENDINGS.get(path.suffix.lower()) if path.is_file() else None


def _folder_kind(folder: Path) -> str:
    if (folder / BEST).is_file() or (folder / "config.yaml").is_file():
        return "a run folder"
    return "a folder of runs" if next(folder.glob(f"*/{BEST}"), None) else "a folder"


def instead_of(wanted: str, path: Path) -> str | None:
    """Why a path cannot be what is wanted, with the mend; None where nothing speaks against it.

    wanted: one of the keys above, such as 'a run'.
    """
    found = kind_of(path)
    mend = _MENDS[wanted].get(found or "")
    # Of an address no more than the host is shown: the rest may hold a password.
    shown = _HOST.sub(r"\1://\2", str(path)) if found == "an address" else path
    return f"{shown} is {found}, and {wanted} is needed: {mend}" if mend else None


def missing(what: str, path: Path) -> str:
    """The sentence for a file that is not there."""
    return f"no {what} at {path} (looked up as {path.absolute()})"
