import ctypes
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.videos import noise_pictures
from torch.nn.functional import cosine_similarity

from action_gru.backbone import Backbone, FeatureSpec, exported
from action_gru.backbone.embedding import pick_precision
from action_gru.backbone.exported import (
    check_cosine,
    export_network,
    lowest_cosine,
    network_key,
    parity_pictures,
)
from action_gru.backbone.graphs import GRAPHS
from action_gru.backbone.network import NetworkSource
from action_gru.backbone.runtimes import (
    RUNTIMES,
    Runtime,
    TorchRunner,
    import_quietly,
    networks_folder,
    usual,
)
from action_gru.config import build_config
from action_gru.core.errors import BackboneError, CacheError, MissingExtraError
from action_gru.core.progress import Reporter
from action_gru.demo import DEMO_CONFIG
from action_gru.demo.dataset import write_demo_dataset
from action_gru.evaluation.evaluate import evaluate
from action_gru.training import RunFolder, train

SIDE = 64
CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory) -> Path:
    """One folder for the module's exports, which take seconds."""
    folder = tmp_path_factory.mktemp("home")
    before = os.environ.get("ACTION_GRU_HOME")
    os.environ["ACTION_GRU_HOME"] = str(folder)
    yield folder
    os.environ.pop("ACTION_GRU_HOME")
    if before is not None:
        os.environ["ACTION_GRU_HOME"] = before


def build(runtime: str, precision: str = "fp32", **options) -> Backbone:
    return Backbone(
        "builtin", image_size=SIDE, precision=precision, device="cpu", runtime=runtime, **options
    )


def weighed(count: int) -> list[np.ndarray]:
    """Pictures with a fourth channel, which weighs the area."""
    corner = np.zeros((SIDE, SIDE, 1), np.uint8)
    corner[: SIDE // 2, : SIDE // 3] = 200
    return [np.dstack([image, corner]) for image in noise_pictures(count, SIDE)]


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_runtime_gives_what_torch_gives(runtime, count):
    ours, theirs = build(runtime), build("torch")
    for images in (noise_pictures(count, SIDE), weighed(count)):
        made, wanted = ours(images), theirs(images)
        assert made.shape == (count, 1280)
        assert cosine_similarity(made, wanted).min() > 0.99999
        torch.testing.assert_close(made, wanted, atol=1e-3, rtol=1e-3)
    # The weight counts: without it the vector is another.
    assert cosine_similarity(ours(weighed(1)), ours(noise_pictures(1, SIDE))).item() < 0.9999


@pytest.mark.parametrize(("precision", "asked"), [("fp32", "f32"), ("bf16", "bf16")])
def test_openvino_is_asked_for_the_precision(monkeypatch, precision, asked):
    """It rounds where it says so: without units for bf16 it computes in fp32, and says that."""
    core = import_quietly("openvino").Core
    compile_model, asks, says = core.compile_model, [], []

    def spy(self, model, device, properties):
        compiled = compile_model(self, model, device, properties)
        asks.append(properties["INFERENCE_PRECISION_HINT"])
        says.append(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
        return compiled

    monkeypatch.setattr(core, "compile_model", spy)
    made = build("openvino", precision)(noise_pictures(2, SIDE))
    cosine = cosine_similarity(made, build("torch")(noise_pictures(2, SIDE))).min()
    assert set(asks) == {asked}
    assert says[-1] in {"f32", asked}
    assert cosine > 0.99
    assert (cosine < 1 - 1e-6) == (says[-1] == "bf16")


@pytest.mark.slow
def test_another_layer_can_be_run(home):
    options = {"layer": 9, "precision": "fp32", "image_size": SIDE, "device": "cpu"}
    made = Backbone("builtin", runtime="openvino", **options)(noise_pictures(2, SIDE))
    wanted = Backbone("builtin", **options)(noise_pictures(2, SIDE))
    torch.testing.assert_close(made, wanted, atol=1e-3, rtol=1e-3)


def test_a_network_is_exported_once_and_checked_once(home, monkeypatch):
    build("onnx")
    files = {path: path.stat().st_mtime_ns for path in networks_folder().iterdir()}
    note = json.loads(next(path for path in files if path.suffix == ".json").read_text())
    assert all(0.999 <= cosine < 1.0001 for cosine in note["checked"].values())
    assert any("onnx " in runtime for runtime in note["checked"])

    def refuse(*arguments):
        raise AssertionError("the weights were loaded again")

    monkeypatch.setattr("action_gru.backbone.network.load_network", refuse)
    assert build("onnx").dim == 1280
    assert {path: path.stat().st_mtime_ns for path in networks_folder().iterdir()} == files


def graph_of(network, side, form) -> dict[str, bytes]:
    return {end: b"the whole of " + end.encode() for end in exported.SUFFIXES[form]}


@pytest.mark.parametrize(("form", "damaged"), [("onnx", ".onnx"), ("openvino", ".bin")])
def test_a_damaged_export_is_made_again(tmp_path, monkeypatch, form, damaged):
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path))
    monkeypatch.setattr("action_gru.backbone.exported.network_graph", graph_of)
    source = NetworkSource("builtin", "embedding", download=False)
    made = export_network(source, SIDE, form)
    made.path.with_suffix(damaged).write_bytes(b"the who")
    assert export_network(source, SIDE, form) == made
    assert made.files() == graph_of(None, SIDE, form)
    found = sorted(path.suffix for path in (tmp_path / "networks").iterdir())
    assert found == sorted([".json", *exported.SUFFIXES[form]])


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("action_gru.backbone.exported.network_graph", graph_of)
    (tmp_path / "networks").write_text("a file where the folder should be")
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path))
    with pytest.raises(CacheError, match=r"cannot be written.*set ACTION_GRU_HOME"):
        export_network(NetworkSource("builtin", "embedding", download=False), SIDE, "onnx")


def test_a_runtime_that_strays_is_refused_and_nothing_is_noted(home, monkeypatch):
    """Negative features: the cosine is -1."""
    monkeypatch.setattr(
        "action_gru.backbone.runtimes.OpenVinoRunner.__call__",
        lambda self, pixels, weight: -np.ones((len(pixels), 1280), np.float32),
    )
    for note in networks_folder().glob("*.json"):
        document = json.loads(note.read_text())
        note.write_text(json.dumps(document | {"checked": {}}))
    with pytest.raises(BackboneError, match=r"openvino .* does not agree with torch fp32.*0\.999"):
        build("openvino")
    notes = [json.loads(path.read_text()) for path in networks_folder().glob("*.json")]
    assert all(note["checked"] == {} for note in notes)


@pytest.mark.parametrize(("cosine", "passes"), [(0.9991, True), (0.9989, False), (np.nan, False)])
def test_the_lowest_cosine_decides(cosine, passes):
    if passes:
        check_cosine(cosine, "onnx")
    else:
        with pytest.raises(BackboneError, match=r"set features.precision=fp32, or"):
            check_cosine(cosine, "onnx")


def test_the_lowest_cosine_is_that_of_the_worst_picture():
    network = NetworkSource("builtin", "embedding", download=False).network
    exact = TorchRunner(network, "fp32", CPU, None)
    assert lowest_cosine(exact, network, SIDE) > 0.99999
    worst = parity_pictures(SIDE)[0][7]

    def turned(pixels, weight):
        made = exact(pixels, weight)
        made[(pixels == worst).all((1, 2, 3))] *= -1
        return made

    assert lowest_cosine(turned, network, SIDE) < -0.99999


def test_the_fingerprint_names_the_runtime_and_old_features_stay_valid():
    parts = ("rgb", "a.pt", "0" * 64, "embedding", 224, "squash", "fp32", 1280)
    spec = FeatureSpec(*parts)
    assert spec.fingerprint == "6f9a84c8d5de3d3a46aa167ac30faac8"  # as before there were runtimes
    other = FeatureSpec(*parts, runtime="openvino")
    assert other.fingerprint != spec.fingerprint
    assert other.differences(spec) == []  # it rounds only: a model of one runs on the other
    assert build("onnx").spec("rgb").runtime == "onnx"


@pytest.mark.parametrize(
    ("runtime", "absent", "said"),
    [
        ("onnx", "onnxruntime", r"features.runtime=onnx needs the package 'onnxruntime'"),
        ("onnx", "onnxscript", r"needs the package 'onnxscript'.*action-gru\[onnx\]"),
        ("openvino", "openvino", r"needs the package 'openvino'.*action-gru\[openvino\]"),
        ("tensorrt", "tensorrt", r"needs the package 'tensorrt'.*action-gru\[tensorrt\]"),
    ],
)
def test_a_missing_package_names_the_extra(monkeypatch, runtime, absent, said):
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == absent else there("json")
    )
    with pytest.raises(MissingExtraError, match=said):
        build(runtime)


def test_what_a_runtime_cannot_do_is_named(monkeypatch):
    with pytest.raises(BackboneError, match=r"onnx computes in fp32, not in bf16; set"):
        build("onnx", "bf16")
    with pytest.raises(BackboneError, match=r"openvino runs on cpu here, and features.device is"):
        RUNTIMES["openvino"].check(torch.device("cuda"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    with pytest.raises(BackboneError, match=r"tensorrt runs on cuda here, and features.device is"):
        RUNTIMES["tensorrt"].check(CPU)


def test_onnx_runtime_without_a_gpu_provider_is_named():
    if "CUDAExecutionProvider" in __import__("onnxruntime").get_available_providers():
        pytest.skip("this ONNX Runtime has the provider")
    with pytest.raises(BackboneError, match=r"needs ONNX Runtime's CUDAExecutionProvider"):
        RUNTIMES["onnx"].open(Path("none.onnx"), "fp32", torch.device("cuda:0"), 1)


def test_threads_with_a_share_of_torch_each_run_a_request_of_their_own():
    backbone, images, made = build("openvino", threads=2), noise_pictures(2, SIDE), {}

    def embed(share):
        torch.set_num_threads(share)
        made[share] = backbone(images)

    for share in (1, 2):
        thread = threading.Thread(target=embed, args=[share])
        thread.start()
        thread.join()
    torch.testing.assert_close(made[1], made[2])
    shapes = (("pixels", (2, SIDE, SIDE, 3)), ("weight", (2, SIDE, SIDE)))
    requests, compiled = backbone._run._requests, backbone._run._requests.cache_info().currsize
    assert [requests(shapes, streams).qsize() for streams in (1, 2)] == [1, 2]
    assert requests.cache_info().currsize == compiled  # both had been used


def test_openvino_is_compiled_once_for_some_numbers_of_pictures():
    backbone, images = build("openvino"), noise_pictures(8, SIDE)
    before = backbone._run._requests.cache_info().currsize  # to compare it with torch
    made = [backbone(images[:count]) for count in (8, 5, 7)]
    for some in made[1:]:
        torch.testing.assert_close(some, made[0][: len(some)], rtol=0, atol=0)
    assert backbone._run._requests.cache_info().currsize == before + 1


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_threads_that_are_the_first_to_show_it_an_array_all_get_an_answer(runtime, home):
    """OpenVINO's binding stands still for ever where two threads show it its first one."""
    build(runtime)  # a network that is not checked any more shows it none before
    program = (
        "import sys, threading, torch\n"
        "from action_gru.backbone import Backbone\n"
        "from helpers.videos import noise_pictures\n"
        f"backbone = Backbone('builtin', image_size={SIDE}, device='cpu', runtime='{runtime}')\n"
        "def embed():\n"
        "    torch.set_num_threads(1)\n"
        "    barrier.wait()\n"
        f"    backbone(noise_pictures(1, {SIDE}))\n"
        "    answered.append(1)\n"
        "answered, barrier = [], threading.Barrier(4)\n"
        "sys.setswitchinterval(1e-6)\n"
        "threads = [threading.Thread(target=embed) for _ in range(4)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "print(len(answered))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"ACTION_GRU_HOME": str(home), "PYTHONPATH": str(Path(__file__).parent)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr


def test_threads_reach_the_runtime(monkeypatch):
    seen = {}
    original = RUNTIMES["openvino"].open

    def spy(path, precision, device, threads):
        seen["threads"] = threads
        return original(path, precision, device, threads)

    monkeypatch.setitem(RUNTIMES, "openvino", replace(RUNTIMES["openvino"], open=spy))
    build("openvino", threads=1)
    assert seen == {"threads": 1}
    before = torch.get_num_threads()
    build("torch", threads=before + 1)
    assert torch.get_num_threads() == before + 1
    torch.set_num_threads(before)


@pytest.mark.skipif(os.getenv("ATEN_CPU_CAPABILITY") != "avx2", reason="of `make test-avx2` alone")
def test_what_is_held_to_avx2_is_held(capfd):
    assert torch.backends.cpu.get_cpu_capability() == "AVX2"
    assert pick_precision("auto", CPU) == "fp32"
    core = import_quietly("openvino").Core()
    assert "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
        torch.nn.Conv2d(64, 64, 3)(torch.ones(2, 64, 32, 32))
    ctypes.CDLL(None).fflush(None)  # oneDNN writes by C's own buffer
    told = capfd.readouterr().out
    assert "exec,cpu,convolution" in told
    assert "avx512" not in told


@pytest.mark.parametrize(
    ("installed", "machine", "device", "precision", "wanted"),
    [
        ({"openvino", "onnx"}, "x86_64", "cpu", "fp32", "openvino"),
        ({"openvino", "onnx"}, "AMD64", "cpu", "bf16", "openvino"),
        ({"onnx"}, "x86_64", "cpu", "fp32", "onnx"),
        ({"onnx"}, "x86_64", "cpu", "bf16", "torch"),  # it has fp32 alone, and is slower
        (set(), "x86_64", "cpu", "fp32", "torch"),
        ({"openvino", "onnx"}, "aarch64", "cpu", "fp32", "torch"),
        ({"openvino", "onnx"}, "x86_64", "cuda", "fp32", "torch"),
    ],
)
def test_auto_is_a_rule(monkeypatch, installed, machine, device, precision, wanted):
    there = lambda self: None if self.name in installed else self.name  # noqa: E731
    monkeypatch.setattr(Runtime, "missing", there)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert usual(torch.device(device), precision) == wanted


def test_auto_says_in_the_features_what_it_took(home, monkeypatch):
    wanted = usual(CPU, "fp32")
    made = build("auto")
    assert (made.runtime, made.note) == (wanted, None)
    assert made.spec("rgb").fingerprint == build(wanted).spec("rgb").fingerprint


def test_auto_tells_where_it_must_stay_with_torch(tmp_path, monkeypatch):
    """A home that may not be written, no graph of a network: what torch alone ran still runs."""
    (tmp_path / "networks").write_text("a file where the folder should be")
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path))
    monkeypatch.setattr("action_gru.backbone.embedding.usual", lambda *_: "openvino")
    monkeypatch.setattr("action_gru.backbone.exported.network_graph", graph_of)
    made = build("auto")
    assert (made.runtime, made.spec("rgb").runtime) == ("torch", "torch")
    assert "auto takes torch, not openvino: " in made.note
    assert "set ACTION_GRU_HOME" in made.note


@pytest.mark.slow
def test_no_runtime_reports_to_its_makers(home, tmp_path):
    """openvino reports its import to a server, unless it is kept from it."""
    program = (
        "import socket\n"
        "def refuse(*a, **k): print('a socket was opened', a, flush=True)\n"
        "socket.socket.connect = refuse\n"
        "socket.getaddrinfo = refuse\n"
        "from action_gru.backbone import Backbone\n"
        "for runtime in ('openvino', 'onnx'):\n"
        f"    Backbone('builtin', image_size={SIDE}, device='cpu', runtime=runtime)\n"
        "import threading, sys\n"
        "names = [thread.name for thread in threading.enumerate()]\n"
        "assert not any(name.startswith('ThreadPool') for name in names), names\n"
        "assert 'openvino_telemetry' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False,
        env=os.environ | {"HOME": str(tmp_path), "ACTION_GRU_HOME": str(home)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert not (tmp_path / "intel").exists()  # where it keeps whom it reports


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory) -> RunFolder:
    """A model of the demo's clips, fewer than `make demo` draws."""
    folder = tmp_path_factory.mktemp("demo")
    manifest = write_demo_dataset(folder / "data", clips_per_class=7, long_videos=0)
    places = [f"run.folder={folder}", f"features.cache_dir={folder}", f"data.manifest={manifest}"]
    plain = ["features.precision=fp32", "training.mean_pooled_baseline=false"]
    return train(build_config(DEMO_CONFIG, [*places, *plain]), Reporter(quiet=True))


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_every_runtime_names_the_demo_clips_as_torch_does(demo_run, runtime):
    def labels(name: str) -> list[str]:
        found = []
        for split in ("train", "test"):
            overrides = [f"features.runtime={name}"]
            report, _ = evaluate(demo_run, Reporter(quiet=True), split, overrides=overrides)
            found += [clip.prediction.label for clip in report.predictions]
        return found

    named = labels(runtime)
    assert len(named) >= 40
    assert len(set(named)) >= 6
    assert named == labels("torch")


class Branching(torch.nn.Module):
    """What it computes depends on the values: no graph can say that."""

    def forward(self, values):
        return values if values.sum() > 0 else -values


def test_an_exporter_that_gives_up_is_named():
    with pytest.raises(BackboneError, match=r"cannot export this network to ONNX .*try other"):
        GRAPHS["onnx"](Branching(), (torch.ones(2),), (["values"], ["made"]), ({},))


class Faulty(torch.nn.Module):
    def forward(self, values):
        raise ValueError("of no shape that I know")


def test_a_network_that_cannot_be_traced_is_named():
    with pytest.raises(BackboneError, match=r"to OpenVINO \(of no shape that I know\); try other"):
        GRAPHS["openvino"](Faulty(), (torch.ones(2),), (["values"], ["made"]), ({},))


def external(location: str) -> bytes:
    """A network whose weights are to be read from another file."""
    import onnx

    weights = onnx.TensorProto(name="w", data_type=1, dims=[4], data_location=1)
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        weights.external_data.add(key=key, value=value)
    output = onnx.helper.make_tensor_value_info("y", 1, [4])
    node = onnx.helper.make_node("Identity", ["w"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [], [output], [weights])
    opset = [onnx.helper.make_opsetid("", 18)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


@pytest.mark.parametrize("content", ["../secret.bin", "/etc/passwd", None])
def test_a_kept_network_reads_no_other_file(tmp_path, monkeypatch, content):
    pytest.importorskip("onnx")
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path))
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    source = NetworkSource("builtin", "embedding", False)
    path = networks_folder() / f"{network_key(source, SIDE, 'onnx')}.onnx"
    path.parent.mkdir()
    data = b"no network" if content is None else external(content)
    path.write_bytes(data)
    known = {"content_sha256": "0" * 64, "image_size": SIDE, "dim": 1280, "checked": {}}
    known["sha256"] = hashlib.sha256(data).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(known))
    with pytest.raises(BackboneError, match="onnx cannot read the exported network"):
        build("onnx")


@pytest.mark.parametrize("note", [{"image_size": "64"}, {"checked": [1]}, {"dim": None}, {"x": 1}])
def test_a_note_of_other_kinds_counts_as_absent(tmp_path, monkeypatch, note):
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path))
    path = tmp_path / "a.onnx"
    path.write_bytes(b"x")
    known = {"content_sha256": "0" * 64, "image_size": SIDE, "dim": 1280, "checked": {"a": 1.0}}
    known["sha256"] = hashlib.sha256(b"x").hexdigest()
    path.with_suffix(".json").write_text(json.dumps(known))
    assert exported._read(path) is not None
    path.with_suffix(".json").write_text(json.dumps(known | note))
    assert (exported._read(path) is None) == ("x" not in note)


@pytest.mark.parametrize("form", sorted(GRAPHS))
def test_threads_export_one_after_another_and_leave_the_process_as_it_was(form, monkeypatch):
    """Traces at the same time fail or are mixed; stdout stayed the text file of another thread."""
    tracing, most, before = [], [], (sys.stdout, warnings.filters[:])

    def trace(*arguments, **options):
        tracing.append(1)
        most.append(len(tracing))
        time.sleep(0.02)  # another thread would begin
        tracing.pop()
        raise torch.onnx.OnnxExporterError("no graph")

    monkeypatch.setattr(torch.onnx, "export", trace)
    monkeypatch.setattr(torch.jit, "trace", trace)
    pixels = torch.zeros(1, 8)

    def export():
        with pytest.raises(BackboneError, match="cannot export"):
            GRAPHS[form](torch.nn.Identity(), (pixels,), (["x"], ["y"]), ({},))

    threads = [threading.Thread(target=export) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]
    assert (sys.stdout, warnings.filters[:]) == before
