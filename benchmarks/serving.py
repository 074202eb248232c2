"""What a server adds to the library's own time, and what several clients gain by its batches.

    python benchmarks/serving.py MODEL CLIPS [a.b=value ...]

CLIPS: a folder. Writes benchmarks/results/serving.json and serving.md. Everything is measured in
turns, so that what else runs on the machine meets both sides of a ratio.
"""

import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from action_gru.backbone.runtimes import machine
from action_gru.core.paths import is_video
from action_gru.recognizer import ActionRecognizer

RESULTS = Path(__file__).parent / "results"
PAIRS, ROUNDS, CLIENTS, EACH = 12, 3, 8, 3  # EACH: requests of a client in a round
CROWD = 48  # clients, more than the queue holds
QUEUE = 32


def main() -> None:
    model, folder, *overrides = sys.argv[1:]
    clips = sorted(path for path in Path(folder).rglob("*") if is_video(path))[:16]
    recognizer = ActionRecognizer.load(model, overrides=overrides)
    command = ["serve", "-m", model, "--port", "0", "--queue", str(QUEUE), *overrides]
    process = subprocess.Popen(
        [sys.executable, "-m", "action_gru", *command], stdout=subprocess.PIPE, text=True
    )
    try:
        address = urlsplit(process.stdout.readline().strip())
        server = (address.hostname, address.port)
        document = measure(recognizer, clips, server)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    document |= {"machine": machine(), "model": Path(model).name, "load": os.getloadavg()[0]}
    (RESULTS / "serving.json").write_text(json.dumps(document, indent=1) + "\n")
    (RESULTS / "serving.md").write_text(markdown(document))
    print(markdown(document))


def measure(recognizer, clips, server) -> dict:
    for clip in clips[:2]:  # the first calls are slow
        recognizer.classify(clip)
        classify(server, clip)
    alone = pairs(recognizer, clips, server)
    rounds = [throughput(clips, server) for _ in range(ROUNDS)]
    return {
        "alone": alone,
        "one_a_second": [one for one, _, _ in rounds],
        "many_a_second": [many for _, many, _ in rounds],
        "many_s": sorted(second for _, _, took in rounds for second in took),
        "crowd": crowd(clips, server),
    }


def classify(server, clip: Path) -> tuple[float, int, dict]:
    """Seconds, status and answer of one request over a connection of its own."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="{clip.name}"'
    body = f"{head}\r\n\r\n".encode() + clip.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    began_s = time.perf_counter()
    connection = http.client.HTTPConnection(*server, timeout=600)
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    connection.request("POST", "/classify", body, headers)
    answer = connection.getresponse()
    found = json.loads(answer.read())
    connection.close()
    return time.perf_counter() - began_s, answer.status, found


def pairs(recognizer, clips, server) -> dict:
    """The library and the server in turns, and whether they say the same."""
    library_s, server_s, same = [], [], 0
    for number in range(PAIRS):
        clip = clips[number % len(clips)]
        for is_server in (number % 2 == 0, number % 2 == 1):
            began_s = time.perf_counter()
            if is_server:
                took_s, _, found = classify(server, clip)
                server_s.append(took_s)
            else:
                expected = recognizer.classify(clip)
                library_s.append(time.perf_counter() - began_s)
        same += (found["label"], found["score"]) == (expected.label, expected.score)
    ratios = [ours / theirs for ours, theirs in zip(server_s, library_s, strict=True)]
    return {
        "library_s": statistics.median(library_s),
        "server_s": statistics.median(server_s),
        "best_ratio": min(server_s) / min(library_s),
        "ratio": statistics.median(ratios),
        "same": same,
        "pairs": PAIRS,
    }


def throughput(clips, server) -> tuple[float, float, list[float]]:
    """Clips a second of one client, of CLIENTS at once, and how long each of theirs took."""
    work = [clips[number % len(clips)] for number in range(CLIENTS * EACH)]
    began_s = time.perf_counter()
    for clip in work[: len(work) // 2]:
        classify(server, clip)
    one = len(work) // 2 / (time.perf_counter() - began_s)
    began_s = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        took = [answer[0] for answer in pool.map(lambda clip: classify(server, clip), work)]
    return one, len(work) / (time.perf_counter() - began_s), took


def crowd(clips, server) -> dict:
    """More clients than the queue holds: who is sent away, and how long the others wait."""
    work = [clips[number % len(clips)] for number in range(CROWD)]
    with ThreadPoolExecutor(CROWD) as pool:
        found = list(pool.map(lambda clip: classify(server, clip)[:2], work))
    answered = sorted(took_s for took_s, status in found if status == 200)
    refused = sorted(took_s for took_s, status in found if status == 429)
    return {
        "clients": CROWD, "queue": QUEUE, "answered": len(answered), "refused": len(refused),
        "p99_s": answered[int(0.99 * (len(answered) - 1))],
        "refused_after_s": refused[len(refused) // 2] if refused else None,
    }  # fmt: skip


def markdown(document: dict) -> str:
    alone, crowd = document["alone"], document["crowd"]
    one, many = document["one_a_second"], document["many_a_second"]
    took = document["many_s"]
    gains = [ours / theirs for ours, theirs in zip(many, one, strict=True)]
    return "\n".join([
        "# The server",
        "",
        f"`python benchmarks/serving.py {document['model']} CLIPS`, {document['machine'][0]}, "
        f"{document['machine'][1]} cores, load {document['load']:.0f} (processes that wanted the "
        "cores, these among them).",
        "",
        "| what | measured |",
        "|---|---:|",
        f"| a clip by the library, median of {alone['pairs']} | {alone['library_s']:.3f} s |",
        f"| the same by `POST /classify`, in turns with it | {alone['server_s']:.3f} s |",
        f"| the ratio, median of pairs | {alone['ratio']:.2f} |",
        f"| the ratio of the quickest of each | {alone['best_ratio']:.2f} |",
        f"| answers equal to the bit | {alone['same']} of {alone['pairs']} |",
        f"| clips a second, one client (best of {ROUNDS}) | {max(one):.2f} |",
        f"| clips a second, {CLIENTS} clients (best of {ROUNDS}) | {max(many):.2f} |",
        f"| the gain, median of rounds | {statistics.median(gains):.2f} |",
        f"| seconds of a clip, {CLIENTS} clients, median and 99 % | "
        f"{statistics.median(took):.2f}, {took[int(0.99 * (len(took) - 1))]:.2f} |",
        f"| {crowd['clients']} clients, queue of {crowd['queue']}: answered, sent away | "
        f"{crowd['answered']}, {crowd['refused']} |",
        f"| seconds of the answered, 99 % | {crowd['p99_s']:.2f} |",
        "",
    ])  # fmt: skip


if __name__ == "__main__":
    main()
