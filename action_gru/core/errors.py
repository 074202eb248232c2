"""Every error that a user can cause or meet. Knows nothing of what raises them.

ActionGruError               exit code
├── MachineError             1   no handles, memory or disk left for the work, whatever the file
├── ConfigError              2   a key, a type, a range or a path in the YAML or an override
├── DataError                3   a manifest, a label, a split, a class list
├── VideoError               4   a file that is no video, or gives no frame
├── BackboneError            5   weights that are missing, unsafe or of another kind
├── CacheError               6   a feature store that cannot be read or written
├── CheckpointError          7   a run that is missing, damaged or does not fit the data
├── MissingExtraError        8   an optional package that is not installed
├── TrainingError            9   a training whose loss is no number any more
│   └── LostProcessError     9   a training in several processes, one of which ended
└── ClusterError            10   a cluster that is not there, or whose workers cannot work

Other exit codes: 0 done, 1 the system (a path that cannot be used, and what nobody foresaw), 2 a
command line that is none, 130 interrupted.

Each message says what went wrong, what was found, and how to mend it.
"""

from __future__ import annotations

from pathlib import Path


class ActionGruError(Exception):
    """Base of all errors with a message meant for the user."""

    exit_code = 1


class MachineError(ActionGruError):
    """A machine that has not enough left for the work, again and again."""


class ConfigError(ActionGruError):
    """A config that does not validate."""

    exit_code = 2


class DataError(ActionGruError):
    """A manifest, split or class list that cannot be used."""

    exit_code = 3


class VideoError(ActionGruError):
    """A video file or stream that yields no usable frame."""

    exit_code = 4


class BackboneError(ActionGruError):
    """Backbone weights that are missing, unsafe to load, or of an unknown architecture."""

    exit_code = 5


class CacheError(ActionGruError):
    """A feature cache that cannot be read or written."""

    exit_code = 6


class CheckpointError(ActionGruError):
    """A trained run that is missing, damaged, or does not fit the features it is given."""

    exit_code = 7


class MissingExtraError(ActionGruError):
    """An optional dependency that is not installed."""

    exit_code = 8

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed; "
            f"install it with: pip install 'action-gru[{extra}]' (in a clone: '-e .[{extra}]')"
        )


class TrainingError(ActionGruError):
    """A training that diverged."""

    exit_code = 9


class LostProcessError(TrainingError):
    """Another process of the same training has ended; what it met is told by itself."""

    def __init__(self) -> None:
        super().__init__(
            "another process of this training ended; its own message, or the launcher's, says why. "
            "Whole epochs are kept: go on with 'action-gru resume RUN', under the same launcher"
        )


class RunInterrupted(KeyboardInterrupt):
    """ctrl-C in a training of which an epoch is finished: `action-gru resume RUN` goes on."""

    def __init__(self, run: Path) -> None:
        super().__init__()
        self.run = run


class ClusterError(ActionGruError):
    """A cluster that cannot be reached, or whose workers cannot do their work."""

    exit_code = 10
