"""Damaged and hostile files by number, and what must become of them: a result or an ActionGruError.

    PYTHONPATH=tests python -m helpers.fuzzing config 0 5000  # cases 0 to 4999 of one kind

Each case is a function of its kind and number, so that one that fails can be made again. They are
tried in a child process, which the parent stops when a case takes longer than LIMIT_S.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import random
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.fuzzing_studio import STUDIO_KINDS

ROOT = Path(__file__).parents[2]
EDGE = ROOT.parent / "shared" / "data" / "edge"
LIMIT_S = 20.0
MARK = "fuzz: "  # before each line that a child tells
START_S = 120.0  # until the child has imported torch on a busy machine
MOST_FRAMES = 40
MOST_VIDEO_BYTES = 1_500_000
# What a file could make the process do. A decoder may have a process of its own.
RAN_CODE = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect",
            "pickle.find_class", "subprocess.Popen")  # fmt: skip
NUMBERS = [0, -1, 1, 2, 255, 1 << 31, (1 << 63) - 1, 10**9, 10**18, 1e300, -1e300, 0.5]
VALUES = [*NUMBERS, None, True, "", "x" * 5000, "../../etc/passwd", "\0", "é\u202e\ud7ff", [], {},
          [[]], {"a": {}}, [1] * 300, float("nan"), float("inf")]  # fmt: skip
TEXTS = [
    "*a", "&a ", "<<: *a", "!!python/object/apply:os.system ['touch harmed']", "!!binary x",
    "2001-99-99", "1e999", "9" * 5000, "[" * 300, "{" * 300, "'", '"', "\n", "\t", ": ", "- ", "? ",
    "#", "|", ">", "%", "@", "\0", "\x1b[2J", "\ufeff", "\u202e", "../", "/etc/passwd", "a" * 300,
    ",", '"a,\n', "nan", "-1", "inf", "0x", "1:1:1", "~", "null", "true", "{a: 1}", "<img src=x>",
]  # fmt: skip


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """A few bits, bytes, lengths and blocks changed, moved, doubled or left out."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16, 64])):
        at = rng.randrange(len(changed) + 1)
        if rng.random() < 0.4:  # headers are at the start, and rarely elsewhere
            at = min(at, rng.randrange(512))
        size = rng.choice([1, 1, 2, 4, 8, 100, 4096])
        block = bytes(changed[at : at + size])
        way = rng.randrange(7)
        if way == 0 and block:
            changed[at] ^= 1 << rng.randrange(8)
        elif way == 1:
            changed[at : at + size] = rng.randbytes(len(block))
        elif way == 2:
            changed[at:at] = block * rng.choice([1, 2, 50])
        elif way == 3:
            del changed[at : at + size]
        elif way == 4:
            number = int(rng.choice(NUMBERS[:9])) & (1 << 64) - 1
            order = rng.choice(["little", "big"])
            changed[at : at + 8] = number.to_bytes(8, order)[: max(1, len(block))]
        elif way == 5:
            other = rng.randrange(len(changed) + 1)
            changed[other : other + size] = block
        elif rng.random() < 0.3:
            del changed[at:]
    return bytes(changed)


def mutated_text(data: bytes, rng: random.Random) -> bytes:
    """Words, lines and marks that mean something, in places where they do not belong."""
    text = data.decode()
    for _ in range(rng.choice([1, 1, 2, 3, 8])):
        words = list(re.finditer(r"[^\s,:]+|\n", text)) or [re.match("", text)]
        word, other = rng.choice(words), rng.choice(words)
        assert word is not None
        assert other is not None
        new = rng.choice([*TEXTS, other.group(), f"{word.group()}: ", ""])
        end = rng.choice([word.start(), word.end()])
        text = text[: word.start()] + new + text[end:]
    changed = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.15:
        changed = mutated_bytes(changed, rng)
    if rng.random() < 0.03:
        changed = text.encode(rng.choice(["utf-16", "utf-32", "latin-1"]), "replace")
    return changed


def mutated_tree(tree: Any, rng: random.Random) -> Any:
    """A JSON value with one part replaced, renamed or taken away."""
    if isinstance(tree, dict) and tree and rng.random() < 0.9:
        key = rng.choice(list(tree))
        way = rng.random()
        if way < 0.1:
            return {name: value for name, value in tree.items() if name != key}
        if way < 0.15:
            return tree | {f"{key}_": tree[key]}
        return tree | {key: mutated_tree(tree[key], rng)}
    if isinstance(tree, list) and tree and rng.random() < 0.7:
        at = rng.randrange(len(tree))
        return [*tree[:at], mutated_tree(tree[at], rng), *tree[at + 1 :]]
    return rng.choice(VALUES)


def mutated_tensors(data: bytes, rng: random.Random) -> bytes:
    """A safetensors file whose bytes, header or metadata is changed; the rest still fits it."""
    if rng.random() < 0.4:
        return mutated_bytes(data, rng)
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    if rng.random() < 0.7:
        metadata = json.loads(header["__metadata__"]["action_gru"])
        header["__metadata__"]["action_gru"] = json.dumps(mutated_tree(metadata, rng))
    else:
        header = mutated_tree(header, rng)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


@dataclass
class Outcome:
    """What became of the cases of one kind. failed: what must not be, by case number."""

    kind: str
    cases: int = 0
    results: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    failed: dict[int, str] = field(default_factory=dict)
    slowest_s: float = 0.0
    peak_mb: int = 0

    def __str__(self) -> str:
        refused = ", ".join(f"{count} {name}" for name, count in self.refusals.most_common())
        failed = "".join(f"\n  case {number}: {what}" for number, what in self.failed.items())
        return (
            f"{self.kind}: {self.cases} cases, {self.results} results, {refused or 'no refusal'}, "
            f"{len(self.failed)} failed; slowest {self.slowest_s:.2f} s, "
            f"peak {self.peak_mb} MB{failed}"
        )


def fuzz(kind: str, first: int, count: int, folder: Path) -> Outcome:
    """Try cases first to first + count - 1 in a child process, which is replaced when it dies."""
    outcome, number, end = Outcome(kind), first, first + count
    while number < end:
        number = _watch(outcome, number, end, folder)
    assert outcome.cases == count
    if (folder / "harmed").exists():
        outcome.failed[-1] = "code was executed: there is a file 'harmed'"
    return outcome


def _watch(outcome: Outcome, number: int, end: int, folder: Path) -> int:
    """Read what one child tells of its cases; the number of the next case to try."""
    command = [sys.executable, __file__, "--child", outcome.kind, str(number), str(end)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    lines: queue.Queue[str] = queue.Queue()
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder,
        env=environment,
    )  # fmt: skip
    listener = threading.Thread(target=_pass_on, args=(child.stdout, lines))
    listener.start()
    try:
        limit_s, is_ready = START_S, False
        while number < end:
            try:
                line = lines.get(timeout=limit_s)
            except queue.Empty:
                child.kill()
                line = f"hung for {limit_s:g} s"
            limit_s = LIMIT_S
            if line == "ready":
                is_ready = True
                continue
            assert is_ready, f"the child never began: {' '.join(command)}"
            number += 1
            outcome.cases += 1
            if not line.startswith("{"):
                outcome.failed[number - 1] = line or f"the process died ({child.wait()})"
                return number
            _note(outcome, number - 1, json.loads(line))
    finally:
        child.wait()
        listener.join()
        assert child.stdout is not None
        child.stdout.close()
    return number


def _pass_on(stream: Any, lines: queue.Queue[str]) -> None:
    for line in stream:  # what libraries print is none of ours
        if line.startswith(MARK):
            lines.put(line[len(MARK) :].strip())
    lines.put("")  # the child has ended


def _note(outcome: Outcome, number: int, told: dict[str, Any]) -> None:
    outcome.slowest_s = max(outcome.slowest_s, told["took_s"])
    outcome.peak_mb = max(outcome.peak_mb, told["peak_mb"])
    if told["failed"]:
        outcome.failed[number] = told["failed"]
    elif told["refused"]:
        outcome.refusals[told["refused"]] += 1
    else:
        outcome.results += 1


def run_child(kind: str, first: int, end: int) -> None:
    """Try cases and print one JSON line for each."""
    from action_gru.core.errors import ActionGruError

    prepare, mutate, suffix, check = KINDS[kind]
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        sources = prepare(folder)
        warm_up(sources, folder / f"case{suffix}", check)
        ran: list[str] = []
        armed = False

        def note_event(event: str, arguments: object) -> None:
            if armed and event in RAN_CODE:
                ran.append(event)

        sys.addaudithook(note_event)
        print(f"{MARK}ready", flush=True)
        for number in range(first, end):
            rng = random.Random(f"{kind} {number}")
            path = folder / f"case{suffix}"
            path.write_bytes(mutate(rng.choice(sources), rng))
            begun_s, refused, failed = time.monotonic(), "", ""
            ran.clear()
            try:
                armed = kind != "video"
                check(path)
            except ActionGruError as error:
                refused = type(error).__name__
                failed = "" if str(error) else "an error without words"
            except BaseException as error:
                failed = f"{type(error).__name__}: {str(error)[:300]}"
            finally:
                armed = False
            told = {
                "refused": refused,
                "failed": failed or ", ".join(f"it called {event}" for event in set(ran)),
                "took_s": round(time.monotonic() - begun_s, 3),
                "peak_mb": peak_mb(),
            }
            print(MARK + json.dumps(told), flush=True)


def warm_up(sources: list[bytes], path: Path, check: Callable[[Path], None]) -> None:
    """Import what a check needs; at least one source must pass it as it is."""
    from action_gru.core.errors import ActionGruError

    passed = 0
    for source in sources:
        path.write_bytes(source)
        try:
            check(path)
            passed += 1
        except ActionGruError:
            continue
    assert passed, "no source passes unchanged"


def peak_mb() -> int:
    """The most memory this process has held. getrusage's would be the parent's, if that is more."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 20  # macOS counts in bytes
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
    assert found is not None
    return int(found[1]) >> 10


def config_sources(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((ROOT / "configs").glob("*.yaml"))]


def check_config(path: Path) -> None:
    from action_gru.config import build_config, load_config, to_yaml

    config = load_config(path, ["training.seed=1"])
    assert build_config(config.to_tree()) == config
    assert to_yaml(config)


def manifest_sources(folder: Path) -> list[bytes]:
    for number in range(8):
        (folder / f"{number}.mp4").write_bytes(b"x")
    (folder / "out.mp4").symlink_to("/etc/hostname")
    (folder / "times.csv").write_text("start_s,end_s,label\n0,1,run\n")
    head = "path,label,group,split,start_s,end_s,timeline\n"
    rows = "".join(f"{i}.mp4,{'run' if i % 2 else 'sit'},g{i},,{i},{i + 1},\n" for i in range(8))
    sides = "".join(
        f"{i}.mp4,{'run' if i % 2 else 'sit'},{'train' if i < 4 else 'test'}\n" for i in range(8)
    )
    long = "9.mp4,,h,test,,,times.csv\n"
    texts = [head + rows, head + rows + long, "path,label,split\n" + sides]
    return [text.encode() for text in texts]


def check_manifest(path: Path) -> None:
    from action_gru.dataset import (
        class_list,
        data_hash,
        read_long_videos,
        read_manifest,
        split_clips,
    )

    clips = read_manifest(path)
    for clip in [*clips, *read_long_videos(path)]:
        assert clip.path.resolve().is_relative_to(path.parent.resolve())
    assert class_list(clips)
    assert len(data_hash(clips)) == 16
    split_clips(clips, "auto", 0.2, 0.0, 0)


def entry_sources(folder: Path) -> list[bytes]:
    import numpy as np

    from action_gru.features import ClipFeatures, FeatureCache

    cache, rng = FeatureCache(folder / "made"), np.random.default_rng(0)
    for key, count in (("a" * 64, 1), ("b" * 64, 40)):
        values = rng.normal(size=(count, 6)).astype(np.float16)
        provenance = {"video": "a.mp4", "sampling": {"fps": 5.0}, "é": [1, None]}
        cache.put(key, ClipFeatures(values, np.arange(count) / 5.0, count, provenance))
    return [cache.path_of(key * 64).read_bytes() for key in "ab"]


def check_entry(path: Path) -> None:
    """Whatever the bytes are, the cache gives a whole entry or none, and reading it agrees."""
    import shutil

    import numpy as np

    from action_gru.features import FeatureCache

    cache, key = FeatureCache(path.parent / "tried"), "ab" + "0" * 62
    place = cache.path_of(key)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, place)
    cache.verify()
    clip = cache.get(key)
    if clip is None:
        assert cache.damaged
        assert not place.exists()
        return
    assert np.isfinite(clip.values).all()
    assert clip.times_s.shape == (len(clip.values),)
    cache.has(key)
    cache.stats()
    cache.prune()


@functools.cache
def packed_store() -> tuple[dict[str, bytes], dict[str, list[int]]]:
    """The files of a store of three entries in one shard; by key the first column of each."""
    import numpy as np

    from action_gru.features import ClipFeatures, FeatureCache, cache_key, pack_entries

    kept = {cache_key({"number": number}): [number] * 5 for number in range(3)}
    with tempfile.TemporaryDirectory() as name:
        cache = FeatureCache(name)
        for key, column in kept.items():
            values = np.repeat(np.array(column, np.float16)[:, None], 4, 1)
            cache.put(key, ClipFeatures(values, np.arange(5.0), 5, {}))
        pack_entries(cache)
        files = {path.name: path.read_bytes() for path in Path(name, "shards").glob("[!.]*")}
    assert len(files) == 2
    return files, kept


def index_sources(folder: Path) -> list[bytes]:
    return [packed_store()[0]["index.safetensors"]]


def shard_sources(folder: Path) -> list[bytes]:
    return [data for name, data in sorted(packed_store()[0].items()) if name.endswith(".shard")]


def check_index(path: Path) -> None:
    check_packed({"index.safetensors": path.read_bytes()})


def check_shard(path: Path) -> None:
    (name,) = (name for name in packed_store()[0] if name.endswith(".shard"))
    check_packed({name: path.read_bytes()})


def check_packed(changed: dict[str, bytes]) -> None:
    """A store with a damaged file gives each entry as it was, or none, or an error of ours."""
    from action_gru.features import FeatureCache

    files, kept = packed_store()
    with tempfile.TemporaryDirectory() as name:
        for inner, data in {**files, **changed}.items():
            (Path(name) / "shards").mkdir(exist_ok=True)
            (Path(name) / "shards" / inner).write_bytes(data)
        cache = FeatureCache(name)
        cache.verify()
        for key, column in kept.items():
            entry = cache.get(key)
            assert entry is None or entry.values[:, 0].tolist() == column
            assert cache.has(key) == (entry is not None)


def checkpoint_sources(folder: Path) -> list[bytes]:
    from action_gru.config import Config
    from action_gru.dataset.channels import ChannelSpec
    from action_gru.model.calibration import Calibration
    from action_gru.training import save_checkpoint
    from helpers.models import checkpoint

    tree = Config().to_tree()
    told = Calibration(1.5, "validation", (0.5, 0.9), (False, True))
    made = [
        checkpoint(config=tree, calibration=told, progress={"epoch": 3, "history": [{"loss": 1}]}),
        checkpoint(
            features=(ChannelSpec("rows", ("a", "b", "c", "d"), 4), ChannelSpec("v", ("a",), 4)),
            config=tree,
        ),
    ]
    for number, one in enumerate(made):
        save_checkpoint(one, folder / f"{number}.safetensors")
    return [(folder / f"{number}.safetensors").read_bytes() for number in range(len(made))]


def check_checkpoint(path: Path) -> None:
    """What loads can be built and answers; a length of a billion is refused before that."""
    import torch

    from action_gru.config import build_config
    from action_gru.core.errors import CheckpointError
    from action_gru.training import load_checkpoint

    checkpoint = load_checkpoint(path)
    model = checkpoint.build()
    features = torch.zeros(1, 3, sum(model.view_dims))
    with torch.inference_mode():
        logits = model(features, torch.tensor([3]))
    assert logits.shape == (1, len(checkpoint.classes))
    assert checkpoint.clip_s > 0
    if checkpoint.calibration is not None:
        checkpoint.calibration.threshold(0.9)
    try:
        checkpoint.check_fits(checkpoint.features, 12.0)
    except CheckpointError:
        assert checkpoint.sampling["fps"] != 12.0
    build_config(checkpoint.config)


def weights_sources(folder: Path) -> list[bytes]:
    import io
    import pickle

    import torch
    from ultralytics.nn.tasks import ClassificationModel

    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.system, ("touch harmed",))

    tree = {"nc": 2, "scales": {"n": [0.3, 0.1, 64]}, "scale": "n", "head": [],
            "backbone": [[-1, 1, "Conv", [16, 3, 2]], [-1, 1, "Classify", [2]]]}  # fmt: skip
    model = ClassificationModel(tree, verbose=False)
    buffers = []
    for content in ({"model": model, "train_args": {}}, {"model": model, "x": Harmful()}):
        buffers.append(io.BytesIO())
        torch.save(content, buffers[-1])
    return [*(buffer.getvalue() for buffer in buffers), pickle.dumps({"model": Harmful()})]


def mutated_weights(data: bytes, rng: random.Random) -> bytes:
    """Bytes changed, or the pickle inside the zip changed and the zip made whole again."""
    import io
    import zipfile

    if not data.startswith(b"PK") or rng.random() < 0.3:
        return mutated_bytes(data, rng)
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            inner = source.read(name)
            is_changed = name.endswith("data.pkl") or rng.random() < 0.05
            target.writestr(name, mutated_bytes(inner, rng) if is_changed and inner else inner)
    return made.getvalue()


def check_weights(path: Path) -> None:
    from action_gru.backbone import Backbone

    assert Backbone(str(path), image_size=32, device="cpu", precision="fp32").dim > 0


def video_sources(folder: Path) -> list[bytes]:
    """The small files of the development data where they are, and a drawn clip."""
    from helpers.videos import write_square

    paths = [path for path in sorted(EDGE.glob("*")) if path.suffix not in (".csv", ".md")]
    small = [path for path in paths if 0 < path.stat().st_size <= MOST_VIDEO_BYTES]
    drawn = [write_square(folder / f"drawn{ending}") for ending in (".mp4", ".avi")]
    return [path.read_bytes() for path in [*small, *drawn]]


def check_video(path: Path) -> None:
    """Its decoder has a process of its own, which may crash and hang: then this is told."""
    from action_gru.video import DecodeLimits, VideoFile

    limits = DecodeLimits(max_silence_s=LIMIT_S / 2, max_memory_gb=1.0)
    with VideoFile(path, limits=limits) as video:
        for index, frame in enumerate(video.frames()):
            assert frame.image.ndim == 3
            if index >= MOST_FRAMES:
                break


def array_sources(folder: Path) -> list[bytes]:
    import io

    import numpy as np

    made = []
    for values in (np.ones((5, 3), np.float32), np.ones((4, 2, 3)), np.array([[{}]], object)):
        buffer = io.BytesIO()
        np.save(buffer, values, allow_pickle=True)
        made.append(buffer.getvalue())
    return made


def check_array(path: Path) -> None:
    from action_gru.series.arrays import read_array

    values = read_array(path)
    assert values.dtype == "float32"
    assert values.ndim == 2
    assert values.nbytes <= 8 * path.stat().st_size


def table_sources(folder: Path) -> list[bytes]:
    rows = "".join(f"{i % 2},{i},{i / 3},4.1,{'ok' if i % 3 else 'bad'}\n" for i in range(12))
    text = "@problemName x\n@timeStamps false\n@missing true\n@univariate false\n@dimensions 2\n"
    text += "@equalLength false\n@classLabel true walk run\n@data\n"
    cases = "1,2,?:4,5,6:walk\n7,8:9,10:run\n"
    stamped = text.replace("timeStamps false", "timeStamps true")
    texts = ["id,time,a,b,label\n" + rows, text + cases, stamped + "(0,1),(2,3):(0,5),(2,?):run\n"]
    european = ("sep=;\n" + texts[0].replace(",", ";").replace(".", ",")).encode()
    return [*(text.encode() for text in texts), european]


def check_table(path: Path) -> None:
    from action_gru.config.inputs import SeriesSection
    from action_gru.series.long_table import read_long_table
    from action_gru.series.ts import read_ts

    is_ts = b"@" in path.read_bytes()[:40]
    found = read_ts(path) if is_ts else read_long_table(path, SeriesSection())
    for item in found.items:
        assert item.values.shape[1] == len(found.channels)
        assert len(item.times) == len(item.values)


def annotation_sources(folder: Path) -> list[bytes]:
    sys.path.insert(0, str(ROOT / "tests"))
    from helpers.annotation_files import EXAMPLES

    return [text.encode() for example in EXAMPLES for text in example.files.values()]


def check_annotations(path: Path) -> None:
    """By every reader: the first that takes it, or the error of the last."""
    from action_gru.core.errors import DataError
    from action_gru.timeline import READERS, read_annotations

    for form in READERS:
        with contextlib.suppress(DataError):
            return check_found(read_annotations(path, form)[1])
    return check_found(read_annotations(path)[1])


def check_found(found: Any) -> None:
    for segment in found.segments:
        assert 0 <= segment.start <= (segment.start if segment.end is None else segment.end)
        assert segment.video in found.videos
        assert segment.label.strip() == segment.label != ""


Kind = tuple[
    Callable[[Path], list[bytes]],
    Callable[[bytes, random.Random], bytes],
    str,
    Callable[[Path], None],
]
KINDS: dict[str, Kind] = {
    "config": (config_sources, mutated_text, ".yaml", check_config),
    "manifest": (manifest_sources, mutated_text, ".csv", check_manifest),
    "annotations": (annotation_sources, mutated_text, ".csv", check_annotations),
    "entry": (entry_sources, mutated_tensors, ".safetensors", check_entry),
    "index": (index_sources, mutated_tensors, ".safetensors", check_index),
    "shard": (shard_sources, mutated_bytes, ".shard", check_shard),
    "checkpoint": (checkpoint_sources, mutated_tensors, ".safetensors", check_checkpoint),
    "weights": (weights_sources, mutated_weights, ".pt", check_weights),
    "array": (array_sources, mutated_bytes, ".npy", check_array),
    "table": (table_sources, mutated_text, ".csv", check_table),
    "video": (video_sources, mutated_bytes, ".mp4", check_video),
    **STUDIO_KINDS,
}


def main(arguments: list[str]) -> int:
    """The command at the top of this file; 1 where a case failed."""
    if arguments[0] == "--child":
        run_child(arguments[1], int(arguments[2]), int(arguments[3]))
        return 0
    kind, first, count = arguments[0], int(arguments[1]), int(arguments[2])
    with tempfile.TemporaryDirectory() as folder:
        outcome = fuzz(kind, first, count, Path(folder))
    print(outcome, flush=True)
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
