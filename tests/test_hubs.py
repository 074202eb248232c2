"""Networks of timm and torchvision, with random weights where a hub would give trained ones.

timm and torchvision are imported inside: each process that collects the tests would take seconds.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.videos import noise_pictures
from safetensors.torch import save_file
from torch.nn.functional import cosine_similarity

from action_gru.apps.checks import check_network
from action_gru.backbone import Backbone, hubs
from action_gru.backbone.network import NetworkSource
from action_gru.config import build_config
from action_gru.core.errors import BackboneError, MissingExtraError


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Both hubs, which give untrained weights; what was fetched."""
    import timm
    from torchvision import models

    fetched = []

    def from_hugging_face(weights: str, repository: str, file: str, download: bool) -> Path:
        torch.manual_seed(0)
        model = timm.create_model(weights.removeprefix("timm:"), pretrained=False)
        save_file(model.state_dict(), tmp_path / "timm.safetensors")
        fetched.append((repository, file))
        return tmp_path / "timm.safetensors"

    def fetch(url: str, target: Path, key: str) -> None:
        torch.manual_seed(0)
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.save(models.get_model(target.name.partition("-")[0]).state_dict(), target)
        fetched.append(url)

    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(hubs, "_from_hugging_face", from_hugging_face)
    monkeypatch.setattr(hubs, "fetch", fetch)
    return fetched


def backbone(weights: str, **options) -> Backbone:
    return Backbone(weights, precision="fp32", device="cpu", **options)


@pytest.mark.parametrize("name", ["test_resnet.r160_in1k", "test_vit.r160_in1k"])
def test_a_timm_network_gives_the_mean_of_its_maps(hub, name):
    import timm

    found = backbone(f"timm:{name}")
    images = noise_pictures(2, 160)
    model = timm.create_model(name, pretrained=False, num_classes=0).eval()
    model.load_state_dict(found._source.network.layers[1].model.state_dict(), strict=False)
    stated = timm.data.resolve_model_data_config(model)
    mean, std = (torch.tensor(stated[part]).view(3, 1, 1) for part in ("mean", "std"))
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        maps = model.forward_features((batch - mean) / std)
    wanted = maps[:, 1:].mean(1) if maps.ndim == 3 else maps.mean((2, 3))
    torch.testing.assert_close(found(images), wanted, atol=1e-4, rtol=1e-4)
    assert (found.image_size, found.dim, found.weights) == (160, wanted.shape[1], f"timm:{name}")
    assert hub == [(f"timm/{name}", "model.safetensors")]


def test_a_transformer_reads_other_sizes_and_weighs_places(hub):
    found = backbone("timm:test_vit", image_size=96)
    (image,) = noise_pictures(1, 96)
    corner = np.zeros((96, 96, 1), np.uint8)
    corner[:32, :32] = 255
    plain, weighed = found([image]), found([np.dstack([image, corner])])
    assert plain.shape == (1, 64)
    assert (plain - weighed).abs().max() > 1e-3


@pytest.mark.slow
def test_both_libraries_know_a_resnet_by_the_same_values(hub, tmp_path, monkeypatch):
    from torchvision import models

    ours = backbone("torchvision:resnet18.IMAGENET1K_V1", image_size=64)
    state = models.resnet18().eval()
    state.load_state_dict(torch.load(tmp_path / "home" / "weights" / "resnet18-f37072fd.pth"))
    save_file(state.state_dict(), tmp_path / "timm.safetensors")
    monkeypatch.setattr(hubs, "_from_hugging_face", lambda *_: tmp_path / "timm.safetensors")
    theirs = backbone("timm:resnet18.tv_in1k", image_size=64)
    images = noise_pictures(2, 64)
    assert cosine_similarity(ours(images), theirs(images)).min() > 0.99999
    assert (ours._source.network.image_size, ours.dim) == (224, 512)
    assert ours.spec("rgb").fingerprint == theirs.spec("rgb").fingerprint
    assert hub == ["https://download.pytorch.org/models/resnet18-f37072fd.pth"]


def test_a_torchvision_network_is_read_before_its_head(hub):
    assert backbone("torchvision:mobilenet_v3_small", image_size=64).dim == 576


def test_a_torchvision_network_of_branches_is_refused(hub):
    with pytest.raises(BackboneError, match=r"do not run one after another.*or timm:NAME"):
        backbone("torchvision:densenet121")


@pytest.mark.slow
def test_a_hub_network_runs_in_another_runtime(hub):
    ours = backbone("timm:test_vit", runtime="openvino")
    theirs = backbone("timm:test_vit")
    images = noise_pictures(2, 160)
    assert cosine_similarity(ours(images), theirs(images)).min() > 0.9999
    assert ours.spec("rgb").differences(theirs.spec("rgb")) == []


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("timm:resnet19", r"timm [\d.]+ has no pretrained 'resnet19'; see timm.list_pretrained"),
        ("timm:resnet18.other", r"has no pretrained 'resnet18.other'; it has resnet18\.a1_in1k"),
        ("torchvision:resnet19", r"no classification network 'resnet19'; it has .*resnet18"),
        ("torchvision:resnet18.V9", r"no weights 'V9' of resnet18; it has IMAGENET1K_V1"),
    ],
)
def test_a_name_that_a_library_does_not_have_is_answered_with_those_it_has(hub, weights, said):
    with pytest.raises(BackboneError, match=said):
        backbone(weights)


def test_a_hub_out_of_reach_is_named(tmp_path, monkeypatch):
    import huggingface_hub

    def offline(repository: str, file: str, local_files_only: bool = False) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path))
    said = r"'timm:test_vit' is not on this machine, and model.safetensors could not be fetched "
    with pytest.raises(
        BackboneError, match=said + r".*\(no route to host\).*hf download timm/test"
    ):
        backbone("timm:test_vit")
    for weights in ("timm:test_vit", "torchvision:resnet18"):
        with pytest.raises(BackboneError, match=rf"'{weights}' is not .*features.download is fals"):
            backbone(weights, download=False)


def test_what_a_hub_network_does_not_have_is_refused(hub, monkeypatch):
    with pytest.raises(BackboneError, match=r"layers of timm:test_vit have no numbers here, got 3"):
        backbone("timm:test_vit", layer=3)
    with pytest.raises(BackboneError, match=r"SHA-256 .* features.weights_sha256 asks for 0000"):
        backbone("timm:test_vit", sha256="0" * 64)
    config = build_config({"features": {"weights": "timm:test_vit"}})
    check_network(config)
    monkeypatch.setattr(hubs.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"weights=timm:test_vit needs the package"):
        check_network(config)
    with pytest.raises(MissingExtraError, match=r"pip install 'action-gru\[timm\]'"):
        NetworkSource("timm:test_vit", "embedding", True).file_sha256  # noqa: B018
