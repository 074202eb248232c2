"""`serve` under bad files, bodies and clients: sentences, flat memory, nothing left behind."""

import json
import random
import signal
import socket
import struct
import wave
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from helpers.fuzzing import mutated_bytes
from helpers.live_servers import eventually
from helpers.serve_app import CLIP, GOLDEN, Running
from PIL import Image as Pillow

REQUESTS = 1000
CLIENTS = 6
GOOD = (GOLDEN / "clips" / "left_0.mp4").read_bytes()


def bad_files(folder: Path) -> list[tuple[bytes, str]]:
    picture, sound = folder / "p.png", folder / "s.wav"
    Pillow.new("RGB", (64, 48), "red").save(picture)
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 8000, 8000, "NONE", ""))
        file.writeframes(bytes(16000))
    head = struct.pack(">I4s", 32, b"ftyp") + b"isom" + bytes(20)
    huge = head + struct.pack(">I4sQ", 1, b"moov", 1 << 62) + bytes(2000)
    return [
        (b"", "empty.mp4"),
        (b"no video\n" * 200, "text.mp4"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "lfs.mp4"),
        (picture.read_bytes(), "picture.mp4"),
        (sound.read_bytes(), "sound.mp4"),
        (huge, "huge.mp4"),
        (GOOD[: len(GOOD) // 3], "cut.mp4"),
        (b"PK\x03\x04" + bytes(300), "frames.zip"),
        (b"a: 1\n", "config.yaml"),
        (random.Random(0).randbytes(20_000), "..\\..\\con\x07\x1b[31m" + "x" * 300 + ".mp4"),
    ]


def one(running: Running, files: list[tuple[bytes, str]], number: int) -> tuple[str, int, str]:
    """One request of some bad kind: the kind, the status, what was said."""
    rng = random.Random(number)
    kind = number % 10
    if kind < 4:
        data, name = files[(number // 10 * 4 + kind) % len(files)]
        return "bad file", *running.upload(data, name)
    if kind == 4:
        return "damaged", *running.upload(mutated_bytes(GOOD, rng))
    if kind == 5:
        return "wrong field", *running.upload(GOOD, field=rng.choice(["video", "", "file2", "ü"]))
    if kind == 6:
        return "two files", *running.upload(GOOD, times=2)
    if kind == 7:
        kinds = [
            "application/json",
            "multipart/form-data",
            "multipart/form-data; boundary=" + "y" * 99,
        ]
        return "no form", *running.ask(rng.randbytes(500), {"content-type": rng.choice(kinds)})
    if kind == 8:
        data = mutated_bytes(GOOD[:400], rng) + b"\r\n--x--\r\n"
        return "broken form", *running.ask(
            data, {"content-type": "multipart/form-data; boundary=x"}
        )
    leave(running, rng.randrange(len(GOOD)))
    return "left", 0, ""


def leave(running: Running, after: int) -> None:
    """A client that goes away in the middle of its upload."""
    with socket.create_connection((running.host, running.port), timeout=60) as raw:
        raw.sendall(
            b"POST /classify HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n"
            b"content-type: multipart/form-data; boundary=x\r\n\r\n"
            b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
            % (len(GOOD) + 200)
        )
        raw.sendall(GOOD[:after])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_bad_requests_end_in_sentences_and_leave_nothing(tmp_path):
    temporary = tmp_path / "t"
    temporary.mkdir()
    running = Running(temporary)
    try:
        files = bad_files(tmp_path)
        expected = running.upload(GOOD)
        assert expected[0] == 200

        def round_of(numbers: range) -> Counter:
            with ThreadPoolExecutor(CLIENTS) as pool:
                found = list(pool.map(lambda number: one(running, files, number), numbers))
            for kind, status, said in found:
                # What was mutated may still be a video.
                fine = status == 0 if kind == "left" else 400 <= status < 500
                assert fine or (kind == "damaged" and status == 200), (kind, status, said)
                if status >= 400:
                    assert 20 < len(json.loads(said)["error"]) < 1500, said
                    assert str(temporary) not in said, said
            return Counter((kind, status) for kind, status, _ in found)

        round_of(range(REQUESTS // 2))  # by now all that is kept is there
        process = psutil.Process(running.process.pid)
        before_mb, handles = process.memory_info().rss / 1e6, process.num_fds()
        counted = round_of(range(REQUESTS // 2, REQUESTS))
        assert eventually(lambda: json.loads(running.get("/health")[1])["waiting"] == 0, 60)
        (folder,) = temporary.glob("action_gru_serve_*")
        assert eventually(lambda: not list(folder.iterdir()), 30), list(folder.iterdir())
        grown_mb = process.memory_info().rss / 1e6 - before_mb
        assert grown_mb < 60, f"{grown_mb:.0f} MB more after {counted}"
        assert process.num_fds() < handles + 20
        assert running.upload(GOOD) == expected
    finally:
        code, said = running.end()
    assert code == 0
    assert "Traceback" not in said, said
    assert list(temporary.glob("action_gru_serve_*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_finishes_what_runs_and_sends_others_away_before_it_ends(number, tmp_path):
    running = Running(tmp_path, "--stop-s", "60")
    whole = CLIP.read_bytes()
    with ThreadPoolExecutor(9) as pool:
        asked = [pool.submit(running.upload, whole) for _ in range(8)]
        assert eventually(lambda: json.loads(running.get("/health")[1])["waiting"] >= 4, 60)
        running.process.send_signal(number)
        seen = Counter()
        while running.process.poll() is None and not seen[503]:
            try:
                seen[running.get("/models")[0]] += 1
            except OSError:  # it has ended: it was quick
                break
        answers = [one.result(120)[0] for one in asked]
    code, said = running.process.wait(120), running.process.stderr.read()
    assert code == 0
    assert set(answers) <= {200, 503}
    assert answers.count(200) >= 4
    assert said.rstrip().endswith("closed"), said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_open_stream_is_told_its_end_when_the_server_closes(tmp_path):
    client = pytest.importorskip("websockets.sync.client")
    running = Running(tmp_path)
    with client.connect(f"ws://127.0.0.1:{running.port}/stream") as socket:
        assert json.loads(socket.recv(60))["type"] == "ready"
        running.process.send_signal(signal.SIGTERM)
        assert json.loads(socket.recv(60)) == {"type": "end"}
        assert running.process.wait(60) == 0
    assert running.process.stderr.read().rstrip().endswith("closed")
