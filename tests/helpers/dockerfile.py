"""Runs the lines of a Dockerfile without Docker: each stage is a folder, each RUN a chroot.

Knows the instructions that our files use, and refuses any other. A folder with a system stands
in for each base image; a process has its own mounts and process ids, and the network of the host.
"""

import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

SHARED_MEMORY = "64m"  # what Docker gives a container
# Of this machine, so that package managers in a chroot reach what they reach outside.
PASSED_ON = re.compile(r"PIP_\w+|\w*_proxy|\w*_PROXY")
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True)
class Line:
    """An instruction with its continued lines joined."""

    word: str
    rest: str

    def words(self) -> list[str]:
        """As JSON where it is written so, else as a shell reads it."""
        if self.rest.startswith("["):
            return [str(word) for word in json.loads(self.rest)]
        return shlex.split(self.rest)


@dataclass(frozen=True)
class Stage:
    """A root folder and what the lines so far say of processes in it."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    workdir: str = "/"
    volumes: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    health: tuple[str, ...] = ()

    def start(
        self, *words: str, read_only: bool = False, user: str = "", **more: str
    ) -> subprocess.Popen[str]:
        """A process in it. read_only: all but its volumes, /data and a new /tmp.

        more: environment variables. Its process ids end with it.
        """
        there = shlex.quote(str(self.root))
        steps = [
            f"mount --bind {there} {there}",
            f"mount -t proc proc {there}/proc",
            f"mkdir -p {there}/dev/shm",
            f"mount -t tmpfs -o size={SHARED_MEMORY} shm {there}/dev/shm",
        ]
        if read_only:
            kept = [f"{self.root}{place}" for place in (*self.volumes, "/data")]
            steps += [f"mount --bind {shlex.quote(place)} {shlex.quote(place)}" for place in kept]
            steps += [f"mount -o remount,bind,ro {there}", f"mount -t tmpfs tmp {there}/tmp"]
        inside = f"cd {shlex.quote(self.workdir)} && exec {shlex.join(words)}"
        who = self._ids(user or self.user)
        chroot = ["chroot", f"--userspec={who}", str(self.root), "/bin/sh", "-c", inside]
        script = " && ".join([*steps, f"exec {shlex.join(chroot)}"])
        return subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script],
            env={"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"} | self.env | more,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, *words: str, read_only: bool = False, user: str = "", **more: str) -> str:
        """What it said, when it has ended well. Raises RuntimeError where it has not."""
        process = self.start(*words, read_only=read_only, user=user, **more)
        said = process.communicate()[0]
        if process.returncode:
            raise RuntimeError(f"{shlex.join(words)}: {process.returncode}\n{said[-3000:]}")
        return said

    def _ids(self, user: str) -> str:
        """UID:GID of a name or a number, by the root's own files."""
        rows = [row.split(":") for row in (self.root / "etc/passwd").read_text().splitlines()]
        return next((f"{row[2]}:{row[3]}" for row in rows if user in (row[0], row[2])), f"{user}:0")


def end(process: subprocess.Popen[str], within_s: float) -> str:
    """SIGTERM to the process itself, as Docker sends it to the first of a container; what it said.

    Raises subprocess.TimeoutExpired where it has not ended within_s.
    """
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGTERM)
    try:
        return process.communicate(timeout=within_s)[0]
    finally:
        process.kill()


def read_lines(text: str) -> list[Line]:
    """The instructions of a Dockerfile."""
    kept = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(kept))
    pairs = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [Line(word.upper(), rest.strip()) for word, rest in pairs]


def taken(context: Path) -> list[str]:
    """The names in a folder that its .dockerignore leaves to COPY, directly below it."""
    rules = [
        line
        for line in (context / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    found = []
    for name in sorted(path.name for path in context.iterdir()):
        kept = True
        for rule in rules:  # the last that fits decides
            if fnmatch.fnmatchcase(name, rule.removeprefix("!")):
                kept = rule.startswith("!")
        found += [name] if kept else []
    return found


def build(
    file: Path, base: Path, place: Path, given: Mapping[str, str] | None = None
) -> tuple[Stage, list[str]]:
    """The last stage of a Dockerfile whose context is its folder; and what each line was.

    base: the root of a system, copied for each FROM. place: where stages are made. given: build
    arguments. Raises ValueError for an instruction that is not known here.
    """
    stages: dict[str, Stage] = {}
    general: dict[str, str] = {}
    stage, told = Stage(base), []
    for line in read_lines(file.read_text()):
        told.append(f"{line.word} {line.rest}")
        if line.word == "FROM":
            image, *name = re.split(r"\s+AS\s+", line.rest, flags=re.IGNORECASE)
            key = name[0] if name else str(len(stages))
            told[-1] = f"FROM {_filled(image, general)}: {base} stands in for it"
            stage = stages[key] = Stage(_copy_of(base, place / key))
        elif line.word == "ARG" and not stages:
            general |= _argument(line, given or {})
        else:
            stage = _obey(stage, line, file.parent, stages, given or {})
            stages[list(stages)[-1]] = stage
    return stage, told


def _obey(
    stage: Stage, line: Line, context: Path, stages: Mapping[str, Stage], given: Mapping[str, str]
) -> Stage:
    known = stage.env | stage.args
    rest = _filled(line.rest, known)
    match line.word:
        case "ARG":
            return replace(stage, args=stage.args | _argument(line, given))
        case "ENV" | "LABEL":
            pairs = dict(word.split("=", 1) for word in shlex.split(rest))
            name = "env" if line.word == "ENV" else "labels"
            return replace(stage, **{name: getattr(stage, name) | pairs})
        case "WORKDIR":
            (stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
            return replace(stage, workdir=rest)
        case "USER":
            return replace(stage, user=rest)
        case "VOLUME":
            return replace(stage, volumes=(*stage.volumes, *rest.split()))
        case "ENTRYPOINT" | "CMD":
            return replace(stage, **{line.word.lower(): tuple(line.words())})
        case "HEALTHCHECK":
            command = rest.partition("CMD ")[2]
            return replace(stage, health=tuple(Line("CMD", command).words()))
        case "COPY":
            _copy(stage, rest.split(), context, stages)
            return stage
        case "RUN":
            passed = {
                name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)
            }
            stage.run("/bin/sh", "-c", line.rest, **(passed | stage.args))
            return stage
        case "EXPOSE":
            return stage
    raise ValueError(f"{line.word}: not known here")


def _argument(line: Line, given: Mapping[str, str]) -> dict[str, str]:
    """An ARG that has a value, given or its own; without one it is not set."""
    name, has_own, own = line.rest.partition("=")
    if name in given:
        return {name: given[name]}
    return {name: own} if has_own else {}


def _filled(text: str, known: Mapping[str, str]) -> str:
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    return VARIABLE.sub(lambda found: (path | dict(known)).get(found[1] or found[2], ""), text)


def _copy(stage: Stage, words: list[str], context: Path, stages: Mapping[str, Stage]) -> None:
    """COPY [--from=STAGE] SOURCE... TARGET; of a folder its content, as Docker does."""
    origin, allowed = context, set(taken(context))
    if words[0].startswith("--from="):
        origin, allowed = stages[words.pop(0).partition("=")[2]].root, None
    *sources, target = words
    place = stage.root / str(Path(stage.workdir, target)).lstrip("/")
    for source in sources:
        path = origin / source.lstrip("/")
        if allowed is not None and path.relative_to(context).parts[0] not in allowed:
            raise ValueError(f"COPY {source}: .dockerignore leaves it out")
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", "--reflink=auto", f"{path}/.", place], check=True)
        elif target.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)
        else:
            shutil.copy2(path, place)


def _passed_on() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)}


def _copy_of(base: Path, place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", "--reflink=auto", base, place], check=True)
    for name in ("resolv.conf", "hosts", "ssl/certs/ca-certificates.crt"):
        if (own := Path("/etc") / name).is_file():
            shutil.copy(own, place / "etc" / name)
    return place
