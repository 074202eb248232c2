import http.server
import os
import pickle
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.videos import noise_pictures
from safetensors.torch import save_file

from action_gru.backbone import Backbone, loading
from action_gru.backbone.embedding import pick_precision
from action_gru.backbone.network import NetworkSource, weighted_mean
from action_gru.backbone.weight_files import BUILTIN_PATH, find_weights
from action_gru.core.errors import BackboneError
from action_gru.core.machine import pick_device
from action_gru.views.sampler import fit


@pytest.fixture(scope="module")
def builtin() -> Backbone:
    return Backbone("builtin", precision="fp32", device="cpu")


def test_builtin_gives_1280_values_that_tell_pictures_apart(builtin):
    assert (builtin.dim, builtin.image_size) == (1280, 128)
    features = builtin(noise_pictures(3, 128))
    assert features.shape == (3, 1280)
    assert torch.isfinite(features).all()
    assert features.std(0).mean() > 1e-3


def test_a_batch_gives_what_each_picture_gives_alone(builtin):
    images = noise_pictures(4, 128)
    together = builtin(images)
    alone = torch.cat([builtin([image]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_a_fourth_channel_weighs_the_area(builtin):
    (image,) = noise_pictures(1, 128)
    even = np.dstack([image, np.full((128, 128), 80, np.uint8)])
    nothing = np.dstack([image, np.zeros((128, 128), np.uint8)])
    corner = nothing.copy()
    corner[:32, :32, 3] = 255
    plain, weighed = builtin([image]), builtin([even, nothing, corner])
    torch.testing.assert_close(weighed[:2], plain.repeat(2, 1), atol=1e-4, rtol=1e-4)
    assert (weighed[2] - plain[0]).abs().max() > 1e-2


def test_weighted_mean_is_the_mean_by_weight():
    maps = torch.arange(4.0).reshape(1, 1, 2, 2)
    weight = torch.tensor([[[0, 0], [0, 100]]], dtype=torch.uint8)
    assert weighted_mean(maps, torch.ones(1, 2, 2)).item() == pytest.approx(1.5)
    # 100 and 1.25 everywhere: (0 + 1 + 2) * 1.25 + 3 * 101.25 over 105
    assert weighted_mean(maps, weight).item() == pytest.approx(307.5 / 105, abs=1e-3)


def test_bf16_agrees_with_fp32(builtin):
    rounded = Backbone("builtin", precision="bf16", device="cpu")
    images = noise_pictures(4, 128)
    similarity = torch.nn.functional.cosine_similarity(rounded(images), builtin(images))
    assert similarity.min() > 0.99


def test_the_fingerprint_names_what_features_depend_on(builtin):
    spec = builtin.spec("rgb")
    assert spec.fingerprint == builtin.spec("rgb").fingerprint
    assert spec.fingerprint != builtin.spec("motion").fingerprint
    other = Backbone("builtin", image_size=96, fit="crop", precision="fp32", device="cpu")
    assert other.spec("rgb").differences(spec) == [
        "rgb image_size: 96 against 128",
        "rgb fit: crop against squash",
    ]
    rounded = Backbone("builtin", precision="bf16", device="cpu").spec("rgb")
    assert rounded.fingerprint != spec.fingerprint
    assert rounded.differences(spec) == []


def test_a_network_is_known_by_the_values_that_it_computes_with(tmp_path, builtin):
    def saved(name: str, **checkpoint) -> NetworkSource:
        torch.save(checkpoint, tmp_path / name)
        return NetworkSource(str(tmp_path / name), "embedding", download=False)

    model = loading.load_network("builtin").module
    model.model[10].linear = torch.nn.Linear(1280, 7)
    copies = [saved("last.pt", model=model), saved("ema.pt", model=None, ema=model)]
    copies.append(saved("half.pt", model=model.half()))
    with torch.no_grad():
        model.model[9].m[0].ffn[1].conv.weight[0, 0] += 1e-2
    other = saved("other.pt", model=model)
    ours = builtin.spec("rgb")
    assert len({ours.file_sha256, *(copy.file_sha256 for copy in copies)}) == 4
    assert {copy.content_sha256 for copy in copies} == {ours.weights_sha256}
    theirs = replace(ours, weights_sha256=other.content_sha256, file_sha256=other.file_sha256)
    assert theirs.fingerprint != ours.fingerprint
    assert theirs.differences(ours) == [
        f"rgb weights_sha256: {theirs.weights_sha256} against {ours.weights_sha256}"
    ]


def test_what_was_known_by_its_file_still_fits(builtin):
    ours = builtin.spec("rgb")
    older = replace(ours, weights_sha256=ours.file_sha256, file_sha256="")
    assert ours.differences(older) == older.differences(ours) == []
    assert ours.fingerprints == (ours.fingerprint, older.fingerprint)
    assert ours.fingerprint != older.fingerprint
    assert replace(older, weights_sha256="1" * 64).differences(ours) != []
    assert builtin.spec("rgb").weights_sha256[:8] == "c0cbecca"  # on every machine


def test_any_layer_can_be_pooled():
    backbone = Backbone("builtin", layer=9, precision="fp32", device="cpu")
    assert backbone(noise_pictures(2, 128)).shape == (2, backbone.dim)
    assert backbone.dim == 256
    with pytest.raises(BackboneError, match=r"has layers 0 to 9 before its head, got 10"):
        Backbone("builtin", layer=10)


def test_detect_pose_and_segment_models_pool_a_layer(tmp_path):
    from ultralytics.nn.tasks import DetectionModel

    model = DetectionModel("yolo26n.yaml", nc=3, verbose=False)
    path = tmp_path / "detector.pt"
    torch.save({"model": model, "train_args": {}}, path)
    backbone = Backbone(str(path), layer=10, image_size=64, precision="fp32", device="cpu")
    assert backbone(noise_pictures(2, 64)).shape == (2, 256)
    with pytest.raises(BackboneError, match=r"detect model, which has no classification embedding"):
        Backbone(str(path))


def test_the_embedding_is_what_the_last_linear_layer_reads(shared_weights):
    backbone = Backbone(str(shared_weights), precision="fp32", device="cpu")
    images = noise_pictures(2, 224)
    network = loading.load_network(str(shared_weights)).module
    read = []
    network.model[-1].linear.register_forward_pre_hook(
        lambda module, inputs: read.append(inputs[0])
    )
    with torch.no_grad():
        network(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255)
    torch.testing.assert_close(backbone(images), read[0], atol=1e-3, rtol=1e-3)
    assert backbone.dim == 1280


@pytest.mark.parametrize("change", ["half", "fuse"])
def test_a_network_that_is_saved_gives_the_same_features(tmp_path, builtin, change):
    module = loading.load_network("builtin").module
    path = tmp_path / "tuned.safetensors"
    loading.save_network(path, getattr(module, change)(), 64, made_by="a test")
    backbone = Backbone(str(path), precision="fp32", device="cpu")
    images = noise_pictures(2, 64)
    wanted = Backbone("builtin", image_size=64, precision="fp32", device="cpu")(images)
    torch.testing.assert_close(backbone(images), wanted, atol=1e-4, rtol=1e-4)
    assert (backbone.weights, backbone.image_size) == ("tuned.safetensors", 64)


def test_a_pt_is_unpickled_once_and_its_tensors_give_the_same(tmp_path, monkeypatch):
    from ultralytics.nn.tasks import ClassificationModel

    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path / "home"))
    path = tmp_path / "net.pt"
    model = ClassificationModel("yolo26n-cls.yaml", nc=3, verbose=False)
    torch.save({"model": model.half().eval(), "train_args": {}}, path)
    images = noise_pictures(2, 64)

    def read() -> tuple[torch.Tensor, str, str]:
        backbone = Backbone(str(path), image_size=64, precision="fp32", device="cpu")
        spec = backbone.spec("rgb")
        return backbone(images), spec.weights_sha256, spec.file_sha256

    first = read()
    (kept,) = (tmp_path / "home" / "weights" / "tensors").iterdir()
    with monkeypatch.context() as unable:
        unable.setattr(loading, "_load_safely", None)
        again = read()
    assert torch.equal(first[0], again[0])
    assert first[1:] == again[1:]
    data = bytearray(kept.read_bytes())
    data[-100] ^= 1
    kept.write_bytes(data)
    assert torch.equal(read()[0], first[0])
    assert kept.read_bytes() != data  # kept anew


def test_a_saved_network_that_does_not_fit_is_refused(tmp_path):
    module = loading.load_network("builtin").module
    module.yaml["yaml_file"] = "yolo26s-cls.yaml"
    said = r"does not fit ultralytics' yolo26s-cls.yaml \(.*size mismatch"
    with pytest.raises(BackboneError, match=said):
        loading.save_network(tmp_path / "other.safetensors", module, 64)
    assert list(tmp_path.iterdir()) == []
    for name in ("http://host/yolo26n-cls.yaml", "/yolo26n-cls.yaml", ""):
        save_file({"x": torch.zeros(1)}, tmp_path / "a.safetensors", {"architecture": name})
        with pytest.raises(BackboneError, match=f"its metadata name the architecture '{name}'"):
            loading.load_network(str(tmp_path / "a.safetensors"))
    (tmp_path / "a.safetensors").write_bytes(b"no tensors")
    with pytest.raises(BackboneError, match=r"a.safetensors: refused as YOLO weights"):
        loading.load_network(str(tmp_path / "a.safetensors"))


class Harmful:
    def __reduce__(self):
        return (os.system, ("touch harmed",))


def test_weights_that_would_run_code_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Harmful()}, tmp_path / "saved.pt")
    (tmp_path / "pickled.pt").write_bytes(pickle.dumps({"model": Harmful()}))
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "text.pt").write_text("no weights")
    torch.save({"other": 1}, tmp_path / "other.pt")
    torch.save({"model": Harmful()}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "fifth.pt").write_bytes(pickle.dumps({"model": Harmful()}, protocol=5))
    (tmp_path / "first.pt").write_bytes(pickle.dumps({"model": Harmful()}, protocol=0))
    for name in ("saved", "pickled", "old", "fifth", "first"):
        with pytest.raises(
            BackboneError, match=rf"{name}.pt: refused as YOLO weights: it would run posix.system;"
        ):
            loading.load_network(f"./{name}.pt")
    for name in ("empty", "text"):
        with pytest.raises(BackboneError, match=rf"{name}.pt: refused as YOLO weights"):
            loading.load_network(f"./{name}.pt")
    with pytest.raises(BackboneError, match=r"holds no network \(keys: other\)"):
        loading.load_network("./other.pt")
    assert not (tmp_path / "harmed").exists()


def test_weights_that_weigh_more_than_their_file_are_refused(tmp_path):
    wide = torch.nn.Linear(1, 1)
    wide.weight = torch.nn.Parameter(torch.zeros(1).half().expand(10**6, 10**6), False)
    torch.save({"model": wide}, tmp_path / "wide.pt")
    with pytest.raises(BackboneError, match="weight claims 1000000000000 values and holds 1"):
        loading.load_network(str(tmp_path / "wide.pt"))
    wide.weight = torch.nn.Parameter(torch.tensor([[float("nan")]]))
    torch.save({"model": wide}, tmp_path / "nan.pt")
    with pytest.raises(BackboneError, match="weight holds NaN or infinity"):
        loading.load_network(str(tmp_path / "nan.pt"))
    with (
        zipfile.ZipFile(tmp_path / "nan.pt") as source,
        zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in source.namelist():
            packed.writestr(name, source.read(name) + bytes(10_000_000))
    with pytest.raises(BackboneError, match=r"its nan/data.pkl is compressed"):
        loading.load_network(str(tmp_path / "packed.pt"))


def test_a_network_of_other_parts_is_refused(tmp_path):
    odd = torch.nn.Module()
    odd.model = 5
    torch.save({"model": odd}, tmp_path / "odd.pt")
    with pytest.raises(BackboneError, match=r"odd.pt is no YOLO network"):
        Backbone(str(tmp_path / "odd.pt"), device="cpu")


def test_other_weights_than_were_pinned_are_refused(tmp_path, monkeypatch):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "yolo26n-cls.pt").write_bytes(b"other weights")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path / "home"))
    said = r"has the SHA-256 53959f.*, and features.weights_sha256 asks for 0000"
    with Server(tmp_path / "served") as server:
        monkeypatch.setenv("ACTION_GRU_WEIGHTS_URL", server.url)
        with pytest.raises(BackboneError, match=said):
            find_weights("yolo26n-cls.pt", True, sha256="0" * 64)
        assert list((tmp_path / "home" / "weights").iterdir()) == []
    with pytest.raises(BackboneError, match=said):
        Backbone(str(tmp_path / "served" / "yolo26n-cls.pt"), sha256="0" * 64)


def test_a_torch_that_cannot_load_safely_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "saved.pt"
    torch.save({"model": Harmful()}, path)
    monkeypatch.delattr(torch.serialization, "get_unsafe_globals_in_checkpoint")
    with pytest.raises(BackboneError, match=r"install torch 2\.6 or newer"):
        loading.load_network(str(path))


def test_missing_weights_say_where_they_were_looked_up(tmp_path, monkeypatch):
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path))
    with pytest.raises(BackboneError, match=r"no file at weights/a.pt \(looked up as /"):
        loading.load_network("weights/a.pt")
    with pytest.raises(BackboneError, match=r"neither a file .* nor an official Ultralytics name"):
        loading.load_network("yolo99.pt")
    with pytest.raises(
        BackboneError, match=rf"{tmp_path}/weights/yolo26n-cls.pt.*download is false"
    ):
        loading.load_network("yolo26n-cls.pt", download=False)


class Server:
    """Serves one folder on loopback."""

    def __init__(self, folder: Path) -> None:
        handler = lambda *a: http.server.SimpleHTTPRequestHandler(*a, directory=str(folder))  # noqa: E731
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def __enter__(self) -> "Server":
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.http.shutdown()
        self.http.server_close()


def test_an_official_weight_is_fetched_once_and_kept(tmp_path, monkeypatch):
    from ultralytics.nn.tasks import ClassificationModel

    served, home = tmp_path / "served", tmp_path / "home"
    served.mkdir()
    model = ClassificationModel("yolo26n-cls.yaml", nc=2, verbose=False)
    torch.save({"model": model, "train_args": {}}, served / "yolo26n-cls.pt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACTION_GRU_HOME", str(home))
    with Server(served) as server:
        monkeypatch.setenv("ACTION_GRU_WEIGHTS_URL", server.url)
        assert Backbone("yolo26n-cls.pt", image_size=64, device="cpu").dim == 1280
        with pytest.raises(BackboneError, match=r"could not be fetched from .*404.*put it at"):
            loading.load_network("yolo26s-cls.pt")
    # The server is gone: the kept file serves.
    assert loading.load_network("yolo26n-cls.pt").task == "classify"
    assert [path.name for path in (home / "weights").glob("*.*")] == ["yolo26n-cls.pt"]


def test_importing_opens_no_socket_and_writes_nothing_to_stdout(tmp_path):
    program = (
        "import socket\n"
        "def refuse(*a, **k): raise SystemExit('a socket was opened')\n"
        "socket.socket.connect = refuse\n"
        "socket.getaddrinfo = refuse\n"
        "from action_gru.backbone import Backbone\n"
        "Backbone('builtin', device='cpu')\n"
    )
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_a_device_that_is_not_there_is_named():
    assert pick_device("cpu") == torch.device("cpu")
    if not torch.cuda.is_available():
        with pytest.raises(BackboneError, match="'cuda:7' is not on this machine; use auto or cpu"):
            pick_device("cuda:7")


def test_precision_follows_the_units_of_the_device(monkeypatch):
    cpu = torch.device("cpu")
    assert pick_precision("fp32", cpu) == "fp32"
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    assert pick_precision("auto", cpu) == "bf16"
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert pick_precision("auto", cpu) == "fp32"  # units that torch is held from
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    assert pick_precision("auto", cpu) == "fp32"


def test_the_packaged_weights_are_small():
    assert BUILTIN_PATH.stat().st_size < 4_000_000


@pytest.mark.parametrize(
    "size_px", [(640, 480), (640, 360), (1280, 720), (1920, 1080), (500, 1100)]
)
@pytest.mark.parametrize("how", ["squash", "letterbox", "crop"])
def test_shrinking_in_steps_is_close_to_averaging_at_once(size_px, how):
    width, height = size_px
    across, down = np.meshgrid(np.linspace(0, 20, width), np.linspace(0, 14, height))
    picture = (127 + 100 * np.sin(across) * np.cos(down)).astype(np.uint8)
    image = np.dstack([picture, np.roll(picture, 9, 1), 255 - picture])
    quick = fit(image, 224, how)
    if how == "squash":
        exact = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)
        assert np.abs(quick.astype(int) - exact).mean() < 1.5
    assert quick.shape == (224, 224, 3)


def test_fine_stripes_blur_and_do_not_alias():
    stripes = np.zeros((720, 1280, 3), np.uint8)
    stripes[:, ::2] = 200
    assert fit(stripes, 224, "squash")[8:-8, 8:-8].std() < 2


@pytest.mark.slow
@pytest.mark.parametrize(("wish", "kept"), [("", "None"), ("3", "3")])
def test_loading_a_network_leaves_the_number_of_cores_alone(wish, kept):
    program = (
        "import os\nfrom action_gru.backbone import Backbone\nBackbone('builtin')\n"
        "print(os.environ.get('OMP_NUM_THREADS'))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment |= {"OMP_NUM_THREADS": wish} if wish else {}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == [kept]
