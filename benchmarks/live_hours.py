"""Hours of live input through `action-gru webcam`: what memory, threads and handles do.

    python benchmarks/live_hours.py --model runs/demo [--hours 2] [--camera rtsp|changing]

Watches a server on loopback and a file in a loop, at their own speed. The server is killed every
eleven minutes, the decoding process of the stream every seventeen: each must cost a reconnect and
nothing else. Once a minute the program's own process and its decoders are counted, and its
/metrics are read.

rtsp: a recording that ends every five minutes; needs the system's GStreamer
(tests/helpers/rtsp_server.py says which packages). changing: MJPEG over HTTP whose pictures change
their size every minute, and that is cut for a second every two; it comes back with other pixels.
Writes benchmarks/results/live_hours.json, or live_hours_changing.json.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from prometheus_client.parser import text_string_to_metric_families

from action_gru.video import VideoWriter

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from helpers.live_servers import PIXELS, MJPEGServer

RESULTS = Path(__file__).parent / "results"
SERVER = Path(__file__).parent.parent / "tests" / "helpers" / "rtsp_server.py"
SERVER_PYTHON = "/usr/bin/python3"  # the one that has the system's GStreamer
WARM_UP_MIN, WINDOW_MIN = 5, 5
RECORDING_S, FPS = 300, 10
SERVER_EVERY_MIN, DECODER_EVERY_MIN = 11, 17
OUTAGE_S = 5
WITNESSED = {
    f"action_gru_{name}"
    for name in (
        *("frames_total", "predictions_total", "dropped_total", "reconnects_total"),
        *("restarts_total", "decoder_crashes_total", "latency_seconds_count"),
        "latency_seconds_sum",
    )
} | {"process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total"}


def draw(path: Path, seconds: int) -> Path:
    """A block that walks over grounds of changing brightness, 320x240."""
    with VideoWriter(path, (320, 240), float(FPS)) as writer:
        for index in range(seconds * FPS):
            image = np.full((240, 320, 3), 40 + 60 * (index // 90 % 3), np.uint8)
            left = 5 * index % 280
            image[90:150, left : left + 40] = (230, 90, 40)
            writer.write(image)
    return path


class Server:
    """The RTSP server of one recording, which can be stopped and started again."""

    def __init__(self, file: Path) -> None:
        self._file, self._port = file, free_port()
        self.address = f"rtsp://127.0.0.1:{self._port}/cam"
        self.start()

    def start(self) -> None:
        command = [SERVER_PYTHON, str(SERVER), str(self._port), str(self._file)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "the RTSP server does not start"

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


class ChangingServer:
    """A camera whose pictures change their size, and that comes back with other pixels."""

    SIZES_PX = ((320, 240), (640, 480), (176, 144), (640, 360))

    def __init__(self) -> None:
        self._port, self._pixels, self._sizes = free_port(), cycle(PIXELS), cycle(self.SIZES_PX)
        self.address = f"http://127.0.0.1:{self._port}/cam"
        self._lock, self._over = threading.Lock(), threading.Event()
        self._server: MJPEGServer | None = None
        self.changes = {"size": 0, "cut": 0}
        self.start()
        self._thread = threading.Thread(target=self._change, daemon=True)
        self._thread.start()

    def start(self) -> None:
        with self._lock:
            if self._server is not None:  # an outage and a cut at one time
                return
            self._server = MJPEGServer(self._port, interval_s=1 / FPS)
            self._server.pixels, self._server.size_px = next(self._pixels), next(self._sizes)

    def stop(self) -> None:
        with self._lock:
            if self._server is not None:
                self._server.cut()
            self._server = None

    def end(self) -> None:
        self._over.set()
        self.stop()

    def _change(self) -> None:
        minute = 0
        while not self._over.wait(60):
            minute += 1
            if minute % 2 == 0:
                self.stop()
                self._over.wait(1)
                self.start()
                self.changes["cut"] += 1
            elif self._server is not None:
                self._server.size_px = next(self._sizes)
                self.changes["size"] += 1


def metrics_of(port: int) -> dict[str, float]:
    """What the program says of itself; of all sources together."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    found: dict[str, float] = {}
    for family in families:
        for sample in family.samples:
            if sample.name in WITNESSED:
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def count(process: psutil.Process, minute: int) -> dict[str, Any]:
    """Of the program alone, and of its decoders together."""
    with process.oneshot():
        found = {
            "minute": minute,
            "rss_mb": process.memory_info().rss / 1e6,
            "handles": process.num_fds(),
            "threads": process.num_threads(),
        }
    children = process.children(recursive=True)
    found["children"] = len(children)
    found["children_rss_mb"] = sum(child.memory_info().rss for child in children) / 1e6
    return found


def watch(
    process: psutil.Process, server: Server | ChangingServer, minutes: int, port: int
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Count once a minute; kill the server and the stream's decoder now and then."""
    rows: list[dict[str, Any]] = []
    kills = {"server": 0, "decoder": 0}
    for minute in range(1, minutes + 1):
        time.sleep(60)
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            raise SystemExit(f"the program ended by itself after {minute} minutes")
        rows.append(count(process, minute) | {"metrics": metrics_of(port)})
        print(json.dumps(rows[-1]), flush=True)
        if minute % SERVER_EVERY_MIN == 0:
            server.stop()
            time.sleep(OUTAGE_S)
            server.start()
            kills["server"] += 1
        if minute % DECODER_EVERY_MIN == 0:
            kills["decoder"] += kill_decoder(process)
    return rows, kills


def kill_decoder(process: psutil.Process) -> int:
    """End the decoder that holds a connection to the server."""
    for child in process.children(recursive=True):
        if child.net_connections("tcp"):
            child.send_signal(signal.SIGSEGV)
            return 1
    return 0


def grown(rows: list[dict[str, Any]], key: str) -> float:
    """Median of the last minutes less that of the first ones after the warm-up."""
    settled = [row[key] for row in rows if row["minute"] > WARM_UP_MIN]
    return statistics.median(settled[-WINDOW_MIN:]) - statistics.median(settled[:WINDOW_MIN])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--camera", choices=("rtsp", "changing"), default="rtsp")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        looped, told = draw(Path(folder) / "looped.mp4", 20), Path(folder) / "told.jsonl"
        server: Server | ChangingServer
        if arguments.camera == "rtsp":
            server = Server(draw(Path(folder) / "recording.mp4", RECORDING_S))
        else:
            server = ChangingServer()
        port = free_port()
        command = [
            *(sys.executable, "-m", "action_gru", "webcam", "--source", server.address),
            *(
                "--source",
                str(looped),
                "--loop",
                "--model",
                arguments.model,
                "--json",
                "--no-window",
            ),
            *("--metrics", str(port)),
        ]
        with told.open("w") as output:
            program = subprocess.Popen(command, stdout=output)
        try:
            minutes = round(arguments.hours * 60)
            rows, kills = watch(psutil.Process(program.pid), server, minutes, port)
        finally:
            program.send_signal(signal.SIGINT)
            code = program.wait(60)
            server.stop() if isinstance(server, Server) else server.end()
        lines = told.read_text().splitlines()
    result = {
        "hours": arguments.hours,
        "exit_code": code,
        "kills": kills | getattr(server, "changes", {}),
        "summary": json.loads(lines[-1])["summary"],
        "grown": {
            key: round(grown(rows, key), 2)
            for key in ("rss_mb", "handles", "threads", "children", "children_rss_mb")
        },
        "minutes": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    name = "live_hours" if arguments.camera == "rtsp" else "live_hours_changing"
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "minutes"}, indent=1))


if __name__ == "__main__":
    main()
