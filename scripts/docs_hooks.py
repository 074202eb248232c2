"""What MkDocs does beyond its settings: the README as the first page, and linked files of the repo.

Pages link with relative paths, so that they also read well on a plain git host. A link that leads
out of docs/ gets a page under source/: Markdown as it is, a notebook with what it printed and drew,
a picture (.svg) as it is, any other text as a listing.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
SHOWN = (".md", ".svg")  # as they are
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)(#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The site's files with README.md as index.md, and what pages link to outside of docs/."""
    files.append(File.generated(config, "index.md", content=_content(PurePosixPath("README.md"))))
    unread = list(files.documentation_pages())
    while unread:
        page = unread.pop()
        for target, _ in LINK.findall(page.content_string):
            path = _outside(page.src_uri, target)
            if path and files.get_file_from_path(_page_of(path)) is None:
                unread.append(File.generated(config, _page_of(path), content=_content(path)))
                files.append(unread[-1])
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with its links out of docs/ turned to their pages; code blocks hold no links."""
    uri = page.file.src_uri
    place = _place(uri).parent

    def turned(link: re.Match[str]) -> str:
        target, anchor = link.groups(default="")
        path = _outside(uri, target)
        inside = _page_of(path) if path else _within_docs(place, target)
        return f"]({posixpath.relpath(inside, PurePosixPath(uri).parent)}{anchor})"

    return LINK.sub(turned, markdown)


def _place(uri: str) -> PurePosixPath:
    """Where a page lies in the repo: `index.md` is README.md, `source/X` is X."""
    if uri == "index.md":
        return PurePosixPath("README.md")
    inside = PurePosixPath(uri)
    is_source = inside.parts[0] == "source"
    return inside.relative_to("source") if is_source else PurePosixPath("docs") / inside


def _resolved(place: PurePosixPath, target: str) -> PurePosixPath:
    return PurePosixPath((ROOT / place / target).resolve().relative_to(ROOT).as_posix())


def _outside(uri: str, target: str) -> PurePosixPath | None:
    """The linked file of the repo, where it lies outside of docs/."""
    path = _resolved(_place(uri).parent, target)
    if path.parts[0] == "docs":
        return None
    return path if path != PurePosixPath("README.md") else None


def _within_docs(place: PurePosixPath, target: str) -> str:
    path = _resolved(place, target)
    return "index.md" if path == PurePosixPath("README.md") else str(path.relative_to("docs"))


def _page_of(path: PurePosixPath) -> str:
    return f"source/{path}" if path.suffix in SHOWN else f"source/{path}.md"


def _content(path: PurePosixPath) -> str:
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.suffix in SHOWN:
        return text
    if path.suffix == ".ipynb":
        return "\n\n".join(part for cell in json.loads(text)["cells"] for part in _cell(cell))
    return f"# {path}\n\n````{path.suffix.lstrip('.') or 'text'}\n{text}\n````\n"


def _cell(cell: dict[str, Any]) -> Iterator[str]:
    """A notebook's cell as Markdown: its text or code, then its outputs."""
    source = "".join(cell["source"])
    yield source if cell["cell_type"] == "markdown" else f"````python\n{source}\n````"
    for output in cell.get("outputs", ()):
        shown = output.get("data", {})
        if "image/png" in shown:
            picture = "".join(shown["image/png"]).replace("\n", "")
            yield f"![what the cell drew](data:image/png;base64,{picture})"
        else:
            words = "".join(output.get("text", shown.get("text/plain", "")))
            yield f"````text\n{words}\n````"
