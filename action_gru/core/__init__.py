"""What every room may use: errors, files, paths, messages, retries. Knows no room above it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def exported_from(package: str, **modules: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package (PEP 562) that imports each name when it is first used.

    modules: the exports of each module, as exported_from(__name__, manifest="Clip read_manifest").
    No name may be a module's too: importing that module would replace it.
    """
    # A wrong path is refused before torch is imported, which takes seconds.
    homes = {name: module for module, names in modules.items() for name in names.split()}

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, found)
        return found

    return find
