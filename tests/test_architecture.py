"""The house of docs/architecture.md: a module imports only from lower floors."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "action_gru"


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


FLOORS = {
    "core": 0,
    "demo": 1,
    "model": 1,
    "timeline": 1,
    "video": 1,
    "backbone": 2,
    "views": 2,
    "config": 3,
    "dataset": 3,
    "detection": 3,
    "prepare": 4,
    "report": 4,
    "features": 5,
    "training": 6,
    "series": 8,
    "streaming": 7,
    "evaluation": 8,
    "recognizer": 9,
    "apps": 10,
    "cli": 11,
}
MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = {module_of(path) for path in MODULES}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports_of(path: Path) -> set[str]:
    """Every module of the package that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= below & NAMES or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith("action_gru.")}


def own_room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_lower_floors(path):
    own = own_room(path)
    if own in ("__init__", "__main__"):
        return
    for module in imports_of(path):
        other = room(module)
        assert other == own or FLOORS[other] < FLOORS[own], f"{own} imports {module}"


def test_no_two_files_import_each_other():
    graph = {module_of(path): imports_of(path) & NAMES for path in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_there_are_at_most_twenty_rooms():
    assert len(FLOORS) <= 20


def test_every_room_has_a_floor_and_every_floor_a_room():
    rooms = {own_room(path) for path in MODULES} - {"__init__", "__main__"}
    assert rooms == set(FLOORS)


def test_only_what_runs_networks_sees_ultralytics():
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            alias.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        } | {
            (node.module or "").split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
        }
        assert "ultralytics" not in names or own_room(path) in ("backbone", "detection"), path


def test_measured_sequences_see_neither_video_nor_networks_for_pictures():
    for path in MODULES:
        if own_room(path) == "series":
            assert not {room(module) for module in imports_of(path)} & {"video", "backbone"}, path


def test_below_the_builders_of_features_nothing_sees_a_config():
    below = {"video", "views", "backbone", "detection", "model", "dataset", "core", "features"}
    seen = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if own_room(path) in below and "config" in map(room, imports_of(path))
    }
    assert seen == {"features/source.py"}


def test_nothing_imports_the_leaves_but_the_command_line():
    for path in MODULES:
        if own_room(path) not in ("apps", "cli", "__main__"):
            assert not any(room(module) in ("apps", "cli") for module in imports_of(path)), path


def test_the_architecture_page_names_every_room():
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    for name in FLOORS:
        kind = "/" if (PACKAGE / name).is_dir() else ".py"
        assert f"`{name}{kind}`" in page, name


def test_no_file_is_far_past_three_hundred_lines():
    long = {
        str(path): count
        for path in MODULES
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 350
    }
    assert long == {}
