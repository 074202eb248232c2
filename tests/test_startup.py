"""A command imports what it uses, and no more: most of the time to the first answer is imports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.videos import write_square

from action_gru.backbone.runtimes import usual

HEAVY = {
    "torch", "torchvision", "cv2", "numpy", "ultralytics", "pydantic", "yaml", "matplotlib",
    "tensorboard", "torchmetrics", "accelerate", "safetensors", "av", "onnx",
    "onnxruntime", "openvino", "PIL",
}  # fmt: skip
UNUSED_BY_CLASSIFY = {
    "matplotlib", "tensorboard", "torchmetrics", "accelerate", "onnx",
    "onnxscript", "onnxruntime", "torchvision", "sympy",
}  # fmt: skip


def imported_by(arguments: list[str], cwd: Path) -> set[str]:
    """The top-level packages that a command leaves imported."""
    program = (
        "import json, sys\n"
        "from action_gru.cli import main\n"
        f"sys.argv = ['action-gru', *{arguments!r}]\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("command", [[], ["classify"], ["export"]])
def test_help_imports_nothing_heavy(command, tmp_path):
    found = imported_by([*command, "--help"], tmp_path)
    assert "typer" in found
    allowed = {"pydantic"} if command else set()  # typer itself takes it to read values
    assert found & HEAVY <= allowed


def test_classify_imports_only_what_it_uses(small_run, tmp_path):
    video = write_square(tmp_path / "clip.mp4", 12)
    found = imported_by(["classify", str(video), "-m", str(small_run.path), "-q"], tmp_path)
    by_openvino = usual(torch.device("cpu"), "fp32") == "openvino"
    assert {"torch", "cv2", "openvino" if by_openvino else "ultralytics"} <= found
    unused = UNUSED_BY_CLASSIFY | ({"ultralytics"} if by_openvino else set())
    assert found & unused == set()


def test_the_sequence_recognizer_imports_no_video(tmp_path):
    """Who reads sensors waits for neither YOLO nor decoding."""
    program = (
        "import json, sys\n"
        "from action_gru import SequenceRecognizer\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
        "print(json.dumps([name for name in sys.modules if name.startswith('action_gru.video')]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    packages, rooms = map(json.loads, done.stdout.splitlines())
    assert "torch" in packages
    assert not {"cv2", "ultralytics", "av", "matplotlib", "accelerate"} & set(packages)
    assert rooms == []
