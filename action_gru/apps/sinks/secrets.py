"""Passwords and keys of sinks: from files and the environment, never from a command line."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path

from action_gru.core.errors import ConfigError

_VARIABLE = re.compile(r"\$\{(\w+)\}")


def secret_of(file: Path | None, variable: str) -> str | None:
    """The text of a file without its last line's end, or else the environment's; None: neither.

    Raises ConfigError where the file cannot be read or is empty.
    """
    if file is None:
        return os.environ.get(variable) or None
    try:
        text = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: the secret in it cannot be read ({error})") from error
    if not text:
        raise ConfigError(f"{file}: is empty; write the secret into it")
    return text


def expanded(text: str, key: str) -> str:
    """The text with the environment's value for each ${NAME}. Raises ConfigError."""

    def value(found: re.Match[str]) -> str:
        given = os.environ.get(found[1])
        if not given:
            raise ConfigError(f"{key}: the environment has no {found[1]}; set it first")
        return given

    return _VARIABLE.sub(value, text)


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Checks the server's certificate and name. Raises ConfigError for a file that holds none."""
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file {ca_file}: holds no certificates in PEM ({error})") from error
