"""A report as one HTML file that needs nothing else: every picture is inside it.

Reads the Markdown that this room writes, and no other: headings, paragraphs, lists, tables, bold
text, pictures, backslash escapes. All text is escaped, so a file name cannot become markup.
"""

from __future__ import annotations

import base64
import re
from html import escape
from pathlib import Path

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: 0.9rem; }
th, td { padding: 0.25rem 0.55rem; border-bottom: 1px solid #ddd; text-align: left;
  white-space: nowrap; }
th { white-space: normal; vertical-align: bottom; }
.right { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; height: auto; }
p, li { max-width: 52rem; }
p.picture { max-width: none; }
@media (max-width: 84rem) { table { font-size: 0.76rem; } th, td { padding: 0.2rem 0.35rem; } }
"""
# Nothing is loaded and nothing runs, whatever the file names hold.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

# An escaped letter, a bold mark, or a picture.
TOKEN = re.compile(r"\\(?P<letter>.)|(?P<bold>\*\*)|!\[(?P<alt>(?:\\.|[^\]])*)\]\((?P<src>[^)]*)\)")
HEADING = re.compile(r"(#+) (.*)")


def html_page(markdown: str, title: str, folder: Path) -> str:
    """The page. folder: where the pictures are that the Markdown names."""
    blocks = [_block(block, folder) for block in markdown.strip().split("\n\n")]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(blocks)
        + "\n</body>\n</html>\n"
    )


def _block(block: str, folder: Path) -> str:
    heading = HEADING.fullmatch(block)
    if heading:
        level = len(heading[1])
        return f"<h{level}>{_inline(heading[2], folder)}</h{level}>"
    lines = block.split("\n")
    if lines[0].startswith("| "):
        return _table(lines, folder)
    if lines[0].startswith("- "):
        items = "\n".join(f"<li>{_inline(line[2:], folder)}</li>" for line in lines)
        return f"<ul>\n{items}\n</ul>"
    look = ' class="picture"' if lines[0].startswith("![") else ""
    return f"<p{look}>{_inline(' '.join(lines), folder)}</p>"


def _table(lines: list[str], folder: Path) -> str:
    header, rule, *rows = [_cells(line) for line in lines]
    sides = [' class="right"' if cell.endswith(":") else "" for cell in rule]

    def row(cells: list[str], tag: str) -> str:
        made = [
            f"<{tag}{side}>{_inline(cell, folder)}</{tag}>"
            for cell, side in zip(cells, sides, strict=True)
        ]
        return f"<tr>{''.join(made)}</tr>"

    body = "\n".join(row(cells, "td") for cells in rows)
    return f"<table>\n{row(header, 'th')}\n{body}\n</table>"


def _cells(line: str) -> list[str]:
    """The cells of '| a | b |'; an escaped bar is no border."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _inline(text: str, folder: Path) -> str:
    parts, place, is_bold = [], 0, False
    for token in TOKEN.finditer(text):
        parts.append(escape(text[place : token.start()]))
        place = token.end()
        if token["letter"]:
            parts.append(escape(token["letter"]))
        elif token["bold"]:
            is_bold = not is_bold
            parts.append("<strong>" if is_bold else "</strong>")
        else:
            parts.append(_picture(token["alt"], folder / token["src"]))
    parts.append(escape(text[place:]))
    return "".join(parts)


def _picture(name: str, path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    plain = re.sub(r"\\(.)", r"\1", name)
    return f'<img alt="{escape(plain)}" src="data:image/png;base64,{data}">'
