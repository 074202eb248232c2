"""The Dockerfiles and compose.yaml, without Docker.

`make test-container` runs each line of Dockerfile: a Debian of debootstrap stands in for the base
image, with its own Python. TORCH_INDEX of the environment replaces the file's own index of torch.
"""

import difflib
import os
import re
import shutil
import subprocess
import time

import pytest
import typer
import yaml
from helpers import ROOT
from helpers.dockerfile import Stage, build, end, read_lines, taken

from action_gru.cli.commands import app

FILES = [ROOT / "Dockerfile", ROOT / "Dockerfile.gpu"]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = {name: one for name, one in COMPOSE["services"].items() if one["image"] == "action-gru"}
STARTS_WITHIN_S = 120
FETCH = """
from action_gru.backbone.weight_files import find_weights
print(find_weights("yolo26n-cls.pt", True))
"""


def parsed(words: list[str]) -> dict:
    """The parameters that a command line gives its command. Raises where it is none."""
    command = typer.main.get_command(app).commands[words[0]]
    return dict(command.make_context(words[0], list(words[1:])).params)


def by_default(text: str) -> str:
    """As Compose reads it where no variable is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_is_copied_is_there_and_not_ignored(file):
    copied = [
        line.rest.split()[:-1] for line in read_lines(file.read_text()) if line.word == "COPY"
    ]
    names = {name for words in copied if not words[0].startswith("--") for name in words}
    assert names == set(taken(ROOT))


def test_the_file_for_gpus_differs_in_torch_and_the_driver_alone():
    lines = [[f"{one.word} {one.rest}" for one in read_lines(file.read_text())] for file in FILES]
    changed = [
        line[2:] for line in difflib.ndiff(*lines) if line[0] in "+-" and "TORCH_INDEX=" not in line
    ]
    without, with_driver = changed
    assert with_driver.startswith(without + " ")
    assert set(with_driver.removeprefix(without).split()) == {
        "NVIDIA_VISIBLE_DEVICES=all",
        "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video",
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_container_runs_as_no_root_and_starts_a_command_that_exists(file):
    last = {line.word: line for line in read_lines(file.read_text())}
    assert last["USER"].rest == "action-gru"
    assert last["ENTRYPOINT"].words() == ["action-gru"]
    assert parsed(last["CMD"].words())["host"] == "0.0.0.0"
    port = parsed(last["CMD"].words())["port"]
    assert f"127.0.0.1:{port}/health" in last["HEALTHCHECK"].rest
    assert str(port) == last["EXPOSE"].rest


def test_each_service_of_ours_is_confined_and_its_command_exists():
    assert set(OURS) == {"trainer", "watcher", "server"}
    for service in OURS.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    for name in ("watcher", "server"):
        assert parsed([by_default(word) for word in OURS[name]["command"]])
    script = OURS["trainer"]["entrypoint"][-1]
    assert parsed(script.partition("exec action-gru ")[2].split())["quiet"] is True


def test_the_watcher_sees_the_camera_and_tells_the_broker():
    words = parsed([by_default(word) for word in OURS["watcher"]["command"]])
    (source,) = words["source"]
    publishing = COMPOSE["services"]["camera"]["environment"]["MTX_PATHS_STAGE_RUNONINIT"]
    assert source == publishing.split()[-1].replace("127.0.0.1", "camera")
    assert list(words["to"]) == ["mqtt://broker/action_gru"]
    for service in COMPOSE["services"].values():
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"])
        names = {volume.partition(":")[0] for volume in service.get("volumes", ())}
        assert names <= set(COMPOSE["volumes"])
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")


built_lines = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif("CONTAINER" not in os.environ, reason="of `make test-container` alone"),
]


@pytest.fixture(scope="module")
def image() -> Stage:
    """The image that the lines of Dockerfile make, in a folder."""
    if os.geteuid() or not shutil.which("debootstrap"):
        pytest.skip("a root of its own needs root's rights and debootstrap")
    place = ROOT / os.environ["CONTAINER"]
    base = place / "base"
    if not (base / "usr/bin/python3").exists():
        packages = "--include=python3,python3-venv,ca-certificates"
        made = ["debootstrap", "--variant=minbase", packages, "bookworm", str(base)]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
    index = os.environ.get("TORCH_INDEX")
    began = time.monotonic()
    stage, told = build(ROOT / "Dockerfile", base, place, {"TORCH_INDEX": index} if index else {})
    print("\n".join(told), f"built in {time.monotonic() - began:.0f} s", sep="\n")
    return stage


class TestTheImage:
    """What Docker would start, in a chroot with mounts and process ids of its own."""

    pytestmark = built_lines

    def test_it_holds_no_cuda_and_is_as_small_as_the_page_says(self, image):
        packages = image.run("python", "-m", "pip", "list", "--format=freeze").lower()
        assert "torch==" in packages
        assert not re.search("nvidia-(?!ml-py)|cuda-toolkit|triton|ray=|playwright", packages)
        own = sum(
            path.lstat().st_blocks * 512
            for path in (image.root / "opt/action-gru").rglob("*")
            if not path.is_dir()
        )
        print(f"/opt/action-gru: {own / 1e6:.0f} MB")
        assert own < 2.0e9

    def test_it_runs_as_a_user_without_rights_in_a_root_that_cannot_be_written(self, image):
        assert image.run("id", "-u").strip() == "10001"
        with pytest.raises(RuntimeError, match="Read-only file system"):
            image.run("touch", "/opt/action-gru/x", read_only=True, user="root")
        assert "fights" in image.run(*image.entrypoint, "models", read_only=True)

    def test_another_user_may_run_it_with_a_folder_of_their_own(self, image):
        (image.root / "data").chmod(0o777)
        said = image.run(
            *image.entrypoint, "config", "configs/people.yaml", read_only=True, user="4321"
        )
        assert "motion" in said

    def test_the_first_run_fetches_weights_into_the_home(self, image, shared_weights):
        shutil.copy(shared_weights, image.root / "srv" / "yolo26n-cls.pt")
        said = image.run(
            "python", "-c", FETCH, read_only=True, ACTION_GRU_WEIGHTS_URL="file:///srv"
        )
        assert said.split()[-1] == "/home/action-gru/.cache/action_gru/weights/yolo26n-cls.pt"

    def test_it_serves_and_is_healthy_and_ends_when_told(self, image, shared_weights):
        self.test_the_first_run_fetches_weights_into_the_home(image, shared_weights)
        with pytest.raises(RuntimeError, match="no key is set"):
            image.run(*image.entrypoint, *image.cmd, read_only=True)
        assert not _ends_well(image)
        key = "of-this-test-alone"
        started = image.start(*image.entrypoint, *image.cmd, read_only=True, ACTION_GRU_KEY=key)
        try:
            healthy, until = False, time.monotonic() + STARTS_WITHIN_S
            while not healthy and started.poll() is None and time.monotonic() < until:
                time.sleep(1)
                healthy = _ends_well(image)
            assert healthy, started.poll()
        finally:
            said = end(started, STARTS_WITHIN_S)
        assert "Traceback" not in said


def _ends_well(image: Stage) -> bool:
    try:
        image.run(*image.health)
    except RuntimeError:
        return False
    return True
