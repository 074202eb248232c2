"""The routes of Use: the model as a file, how to call it, and exports for other runtimes."""

from __future__ import annotations

import secrets
import shlex
import shutil
from concurrent.futures import Future
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from action_gru.apps.serving import MissingThingError
from action_gru.apps.studio.bodies import Body
from action_gru.apps.studio.current import NoModelError, ask, current_run, do_job
from action_gru.apps.studio.session import Studio
from action_gru.apps.studio.trying import OF_STUDIO
from action_gru.apps.studio.uploads import receive
from action_gru.core.errors import ActionGruError, ConfigError, MissingExtraError, VideoError

Format = Literal["onnx", "openvino"]
# The name of each format, and the packages that it needs; apps/export.py writes them.
FORMATS: dict[str, tuple[str, tuple[str, ...]]] = {
    "onnx": ("ONNX", ("onnx", "onnxscript", "onnxruntime")),
    "openvino": ("OpenVINO", ("openvino",)),
}
PLACEHOLDER = "clip.mp4"  # where the project has no clip to name


class ExportBody(Body):
    format: Format


class Export:
    """The export that was asked for last. One is made at a time."""

    def __init__(self, studio: Studio) -> None:
        self.studio, self.folder = studio, studio.project.hidden / "share"
        self.state, self.format = "idle", ""
        self.error: str | None = None
        self.run: Path | None = None
        shutil.rmtree(self.folder, ignore_errors=True)  # of a studio before this one

    def part(self) -> dict[str, Any]:
        """Its part of the state; of another model than the one in use nothing is told."""
        if self.state != "running" and self.run != current_run(self.studio):
            return {"state": "idle", "format": None, "error": None}
        return {"state": self.state, "format": self.format or None, "error": self.error}

    def place(self, run: Path, format_: str) -> Path:
        return self.folder / f"{run.name}-{format_}.zip"

    def ready(self, run: Path, format_: str) -> Path:
        """The archive of a run. Raises MissingThingError where there is none of it yet."""
        place = self.place(run, format_)
        # A deleted run's name may be given again.
        trained_s = max((one.stat().st_mtime for one in run.glob("*.safetensors")), default=0.0)
        if not place.is_file() or place.stat().st_mtime < trained_s:
            raise MissingThingError(f"{run.name} is not exported as {format_} yet; export it first")
        return place

    def begin(self, format_: str) -> None:
        """Start it in the trainer. Raises ConfigError while one is made."""
        run = _run_of(self.studio)
        if self.state == "running":
            raise ConfigError(f"an export as {self.format} is being made; wait for it")
        if mend := _missing(format_):
            raise ConfigError(mend)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state, self.format, self.error, self.run = "running", format_, None, run
        place = str(self.place(run, format_))
        made = self.studio.trainer.ask("export_model", str(run), format_, place)
        self.studio.changed()
        made.add_done_callback(self._end)

    def _end(self, made: Future[Any]) -> None:
        error = made.exception()
        self.state, self.error = ("ready", None) if error is None else ("failed", str(error))
        self.studio.changed()


def _run_of(studio: Studio) -> Path:
    """The model in use. Raises NoModelError before the first one."""
    run = current_run(studio)
    if run is None:
        raise NoModelError
    return run


def _missing(format_: str) -> str | None:
    """What to install before a format can be written; None if nothing."""
    name, packages = FORMATS[format_]
    for package in packages:
        if find_spec(package) is None:
            return str(MissingExtraError(package, format_, f"an export as {name}"))
    return None


def formats() -> list[dict[str, Any]]:
    """What can be exported to here."""
    found = []
    for format_, (name, _) in FORMATS.items():
        mend = _missing(format_)
        found.append({"format": format_, "name": name, "available": mend is None, "mend": mend})
    return found


def snippets(run: Path, clip: Path, address: str) -> list[dict[str, str]]:
    """How to use a run: each text works as it is when pasted. address: of this studio."""
    python = (
        "from action_gru import ActionRecognizer\n\n"
        f"recognizer = ActionRecognizer.load({str(run)!r})\n"
        f"answer = recognizer.classify({str(clip)!r})\n"
        "print(answer.label, answer.score)\n"
    )
    shell = f"action-gru classify {shlex.quote(str(clip))} -m {shlex.quote(str(run))}\n"
    # The studio answers its own page alone, by the Origin that a request names.
    http = (
        f"curl -H {shlex.quote(f'Origin: {address}')} "
        f"--data-binary {shlex.quote(f'@{clip}')} {shlex.quote(f'{address}/api/use/classify')}\n"
    )
    titles = ("Python", python), ("Shell", shell), ("HTTP", http)
    return [{"title": title, "text": text} for title, text in titles]


def _any_clip(studio: Studio) -> Path:
    clips = studio.shelf.clips()
    return studio.project.clips / clips[-1].id if clips else Path(PLACEHOLDER)


def routes(studio: Studio) -> APIRouter:
    """Registers the part `export` of the state."""
    router, export = APIRouter(prefix="/api/use"), Export(studio)
    studio.parts["export"] = export.part

    @router.get("")
    def use(request: Request) -> dict[str, Any]:
        run = _run_of(studio)
        address = str(request.base_url).rstrip("/")
        texts = snippets(run, _any_clip(studio), address)
        return {"run": run.name, "path": str(run), "snippets": texts, "formats": formats()}

    @router.get("/model")
    async def model() -> FileResponse:
        run = _run_of(studio)
        place = studio.shelf.new_file().with_suffix(".safetensors")
        try:
            await ask(studio.reader, "pack_model", str(run), str(place))
        except ActionGruError:
            place.unlink(missing_ok=True)
            raise
        name = f"{studio.project.name}-{run.name}.safetensors"
        gone = BackgroundTask(place.unlink, missing_ok=True)
        return FileResponse(place, filename=name, background=gone)

    @router.post("/classify")
    async def classify(request: Request) -> dict[str, Any]:
        run, file = _run_of(studio), await receive(request, studio.shelf.new_file())
        key = f"classify-{secrets.token_hex(4)}"
        try:
            args = (str(run), str(file), OF_STUDIO.most_s)
            answer = (await do_job(studio.reader, "try_read", key, *args))["answer"]
        except ActionGruError as error:
            raise VideoError(
                str(error).replace(f"{file}: ", "").replace(file.name, "it")
            ) from error
        finally:
            file.unlink(missing_ok=True)
        return dict(answer)

    @router.post("/export", status_code=202)
    async def begin(body: ExportBody) -> dict[str, Any]:
        export.begin(body.format)
        return export.part()

    @router.get("/export/{format_}")
    def archive(format_: Format) -> FileResponse:
        run = _run_of(studio)
        place = export.ready(run, format_)
        return FileResponse(place, filename=f"{studio.project.name}-{place.name}")

    return router
