"""Tuning changes the last layers only, looks at no test clip, and is kept where left-out groups
gain.
"""

import numpy as np
import pytest
import torch
from helpers.command_line import action_gru
from helpers.videos import noise_pictures, write_square
from torch.nn.functional import layer_norm

from action_gru.backbone import Backbone
from action_gru.backbone.network import NetworkSource
from action_gru.backbone.partial import divide
from action_gru.training import tune
from action_gru.training.tune import Tuner, error_over_groups
from action_gru.views.sampling import spread


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    root = tmp_path_factory.mktemp("tune")
    rows = ["path,label,group,split"]
    for index in range(8):
        label = "bright" if index % 2 else "dark"
        write_square(root / f"{index}.mp4", 6, seed=index + 100 * (index % 2))
        rows.append(f"{index}.mp4,{label},{index // 2},train")
    (root / "test.mp4").write_bytes(b"no video: whoever reads it fails")
    rows.append("test.mp4,dark,9,test")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    (root / "config.yaml").write_text(f"""
run: {{folder: {root}/runs}}
data: {{manifest: {root}/manifest.csv, max_bad_share: 0}}
sampling: {{fps: 5.0, max_frames: 8}}
features: {{weights: builtin, image_size: 64, views: [focus], flip: true, precision: fp32}}
""")
    return root / "config.yaml"


@pytest.fixture(autouse=True)
def two_folds(monkeypatch):
    monkeypatch.setattr(tune, "FOLDS", 2)


def gaining(top1):
    """In place of a trial: the share of clips that are right after each epoch."""

    def hits(tuners, epochs, reporter):
        count = len(tuners[0].maps)
        return [(torch.arange(count) < share * count).float() for share in top1]

    return hits


def test_the_frozen_backbone_is_kept_where_tuning_does_not_win(config, tmp_path):
    done = action_gru("tune", config, "--out", tmp_path / "a.safetensors", "--epochs", 1, "--json")
    assert done.answer["path"] is None
    assert done.answer["clips"] == 8
    assert list(tmp_path.iterdir()) == []


def test_a_small_gain_is_not_enough(config, tmp_path, monkeypatch):
    monkeypatch.setattr(tune, "_left_out_hits", gaining([0.5, 0.625]))
    done = action_gru("tune", config, "--out", tmp_path / "a.safetensors")
    assert "gain +0.125" in done.out
    assert "the frozen backbone is kept, nothing is written" in done.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_clear_gain_writes_a_backbone_whose_last_layers_alone_differ(
    config, tmp_path, monkeypatch
):
    monkeypatch.setattr(tune, "_left_out_hits", gaining([0.0, 1.0]))
    out = tmp_path / "a.safetensors"
    done = action_gru("tune", config, "--out", out, "--layers", 2)
    assert done.out.splitlines()[-1] == str(out)
    before, after = (
        NetworkSource(name, "embedding", False).network for name in ("builtin", str(out))
    )
    changed = [
        any(not torch.equal(a, b) for a, b in zip(x.parameters(), y.parameters(), strict=True))
        for x, y in zip(before.layers, after.layers, strict=True)
    ]
    assert changed == [False] * 9 + [True] * 2
    assert after.image_size == 64
    cache = tmp_path / "cache"
    overrides = (f"features.weights={out}", f"features.cache_dir={cache}", "data.max_bad_share=1")
    extracted = action_gru("extract", config, *overrides, "--json").answer
    assert (extracted["read"], extracted["quarantined"]) == (8, 1)


def test_an_interrupt_leaves_nothing(config, tmp_path, monkeypatch):
    monkeypatch.setattr(tune, "_left_out_hits", gaining([0.0, 1.0]))

    def interrupt(tuner):
        raise KeyboardInterrupt

    monkeypatch.setattr(Tuner, "run_epoch", interrupt)
    action_gru("tune", config, "--out", tmp_path / "a.safetensors", code=130)
    assert list(tmp_path.iterdir()) == []


def test_the_two_parts_of_the_network_give_the_features_of_the_whole():
    backbone = Backbone("builtin", image_size=64, precision="fp32", device="cpu")
    source = NetworkSource("builtin", "embedding", False)
    stem, top = divide(source, 3, 64, "squash", "cpu")
    images = [np.dstack([i, i[..., 0]]) for i in noise_pictures(3, 64)]
    with torch.no_grad():
        pooled = stem.pooled(top, stem(images)[None].half())[0]
    rows = layer_norm(backbone(images), (1280,))
    assert torch.allclose(pooled, torch.cat([rows.mean(0), rows.amax(0)]), atol=0.02)


def test_layers_that_the_network_does_not_have_are_refused(config, tmp_path):
    out = tmp_path / "a.safetensors"
    done = action_gru("tune", config, "--out", out, "--layers", 11, code=2)
    assert "--layers 11: builtin has 11, and the first one stays as it is" in done.err


def test_a_config_without_a_picture_is_refused(config, tmp_path):
    words = ("tune", config, "features.views=[pose]", "--out", tmp_path / "a.safetensors")
    assert "tune needs a view that is a picture" in action_gru(*words, code=2).err


def test_frames_are_spread_over_a_clip_of_any_length():
    assert list(spread(range(3), 4)) == [0, 1, 2]
    assert list(spread(range(7), 4)) == [0, 2, 4, 6]
    assert list(spread(range(1000), 4)) == [0, 256, 512, 768]
    assert list(spread([], 4)) == []


def test_the_standard_error_counts_groups_and_not_their_clips():
    gains = torch.tensor([1.0, 1.0, -1.0, -1.0])
    assert error_over_groups(gains, ["a", "b", "c", "d"]) == 0.5
    assert error_over_groups(gains, ["a", "a", "b", "b"]) == pytest.approx(0.5**0.5)
