"""The models that the package brings: what each one knows, how right it is, where its limits are.

Beside each checkpoint lies its card: Markdown with YAML front matter, as Hugging Face reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from action_gru.core.errors import CheckpointError
from action_gru.core.safe_yaml import parse_yaml
from action_gru.training.document import name_shipped, read_document, shipped_models

RULE = "---\n"


def read_card(path: Path) -> tuple[dict[str, Any], str]:
    """The front matter of a card, and the text below it."""
    _, front, text = path.read_text(encoding="utf-8").split(RULE, 2)
    return dict(parse_yaml(front)), text


def describe_models(name: str | None = None) -> list[dict[str, Any]]:
    """One document a model, in the order of names, or that of one. Raises CheckpointError."""
    models = shipped_models()
    if name is not None and name not in models:
        raise CheckpointError(f"no model '{name}'; give {name_shipped(name)}")
    return [_describe(model) for model in (models if name is None else [name])]


def _describe(name: str) -> dict[str, Any]:
    path = shipped_models()[name]
    document, card = read_document(path), path.with_suffix(".md")
    front, _ = read_card(card)
    return {
        "name": name,
        "classes": list(document.classes),
        "score": document.data["score"],
        "license": front["license"],
        "datasets": front["datasets"],
        "limits": front["limits"],
        "weights": document.config["features"]["weights"],
        "file": str(path),
        "bytes": path.stat().st_size,
        "card": str(card),
    }


def models_text(models: list[dict[str, Any]]) -> str:
    """What `describe_models` gives, for a person."""
    return "\n\n".join(map(_text, models))


def _text(model: dict[str, Any]) -> str:
    score = model["score"]
    low, high = score["top1_interval"]
    lines = [
        f"{model['name']}: {', '.join(model['classes'])}",
        f"  score   {score['top1']:.3f} ({low:.3f} to {high:.3f}), {score['protocol']}",
        *(f"  data    {data}" for data in model["datasets"]),
        *(f"  limit   {limit}" for limit in model["limits"]),
        f"  needs   {model['weights']}, fetched once",
        f"  card    {model['card']}",
        f"  try     action-gru classify VIDEO --model {model['name']}",
    ]
    return "\n".join(lines)
