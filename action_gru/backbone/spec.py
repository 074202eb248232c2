"""What a feature is a function of, besides the frame. Knows no network."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

PREPROCESSING_VERSION = 2  # of the pictures that `views` makes

# Parts that change a feature by rounding only: a model trained on one runs on the other.
ROUNDING_PARTS = frozenset({"precision", "runtime"})
# What names the network; all of it but the hash of its content is for the reader.
_NAMES = frozenset({"weights", "weights_sha256", "file_sha256"})


@dataclass(frozen=True)
class VectorKind:
    """A view that is a vector of the whole frame, not a picture.

    builder: what makes its `VectorView`, as module:name. It is called with the keys of these
    sections of the config, where the last one counts, and with fps, device and download.
    """

    builder: str
    sections: tuple[str, ...] = ()


FRAME_VIEWS = {
    "detections": VectorKind("action_gru.detection.frame_views:detections_view", ("detection",)),
    "pose": VectorKind("action_gru.detection.frame_views:pose_view", ("detection", "pose")),
}


@dataclass(frozen=True)
class FeatureSpec:
    """What a feature vector is a function of, besides the frame.

    weights_sha256: of the values that the network computes with; file_sha256: of the file that they
    were read from. Specs of older versions hold the file's hash as weights_sha256.
    """

    view: str
    weights: str
    weights_sha256: str
    layer: str
    image_size: int
    fit: str
    precision: str
    dim: int
    preprocessing: int = PREPROCESSING_VERSION
    runtime: str = "torch"
    file_sha256: str = ""

    @property
    def fingerprint(self) -> str:
        """Hash over all parts but the name and the file of the weights, in hex.

        torch is not in it: features kept before there were other runtimes stay valid.
        """
        return self._fingerprint(self.weights_sha256)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The fingerprint, and that of the same features by versions that hashed the file."""
        return tuple(map(self._fingerprint, self._networks()))

    def _fingerprint(self, network: str) -> str:
        parts = {key: value for key, value in asdict(self).items() if key not in _NAMES}
        parts["weights_sha256"] = network
        if self.runtime == "torch":
            del parts["runtime"]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def _networks(self) -> list[str]:
        """The hashes that the network is known by, the current one first."""
        return [name for name in (self.weights_sha256, self.file_sha256) if name]

    def differences(self, other: FeatureSpec) -> list[str]:
        """The parts in which features are not interchangeable, in words; empty if they are."""
        ours, theirs = asdict(self), asdict(other)
        ignored = ROUNDING_PARTS | _NAMES
        if not set(self._networks()) & set(other._networks()):
            ignored -= {"weights_sha256"}
        return [
            f"{self.view} {key}: {ours[key]} against {theirs[key]}"
            for key in ours
            if key not in ignored and ours[key] != theirs[key]
        ]
