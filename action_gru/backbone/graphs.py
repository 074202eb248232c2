"""The graph of a module for other runtimes, as the bytes of its files. Knows no network.

A module is called with tensors alone. names: of its inputs and outputs. dynamic_shapes: as
`torch.export` takes them.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from action_gru.backbone.runtimes import import_quietly
from action_gru.core.errors import BackboneError

OPSET = 18
Names = tuple[list[str], list[str]]
Files = dict[str, bytes]  # by suffix
_EXPORTING = threading.RLock()


def to_onnx(
    module: nn.Module, inputs: tuple[Tensor, ...], names: Names, dynamic_shapes: tuple[Any, ...]
) -> Files:
    """A module as an ONNX file. Raises BackboneError where the exporter gives up."""
    try:
        with _quiet_exporter(), torch.no_grad():
            named = {"input_names": names[0], "output_names": names[1], "opset_version": OPSET}
            options: dict[str, Any] = named | {"dynamic_shapes": dynamic_shapes, "verbose": False}
            program = torch.onnx.export(module, inputs, dynamo=True, **options)
    except torch.onnx.OnnxExporterError as error:
        raise _refusal("ONNX", "onnxscript", error.__cause__ or error) from error
    assert program is not None
    return {".onnx": bytes(program.model_proto.SerializeToString())}


def to_openvino(
    module: nn.Module, inputs: tuple[Tensor, ...], names: Names, dynamic_shapes: tuple[Any, ...]
) -> Files:
    """A module as OpenVINO's two files. Raises BackboneError where it cannot be converted."""
    openvino = import_quietly("openvino")
    # *arguments of a module have their shapes in a tuple of their own.
    free = [one for x in dynamic_shapes for one in (x if isinstance(x, tuple) else (x,))]
    shapes = [
        [-1 if axis in axes else size for axis, size in enumerate(tensor.shape)]
        for tensor, axes in zip(inputs, free, strict=True)
    ]
    try:
        with _quiet_exporter(), torch.no_grad(), tempfile.TemporaryDirectory() as folder:
            # By itself convert_model checks the trace twice, which takes three times as long; what
            # is made is compared with the module in any case.
            trace: Any = torch.jit.trace
            traced = trace(module, inputs, check_trace=False)
            model = openvino.convert_model(traced, input=shapes)
            for ports, named in zip((model.inputs, model.outputs), names, strict=True):
                for port, name in zip(ports, named, strict=True):
                    port.get_tensor().set_names({name})
            path = Path(folder) / "graph.xml"
            openvino.save_model(model, str(path), compress_to_fp16=False)
            return {end: path.with_suffix(end).read_bytes() for end in (".bin", ".xml")}
    except Exception as error:  # of the converter's many parts
        raise _refusal("OpenVINO", "openvino", error) from error


def _refusal(form: str, package: str, error: BaseException) -> BackboneError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return BackboneError(
        f"torch {torch.__version__} cannot export this network to {form} ({reason}); try other "
        f"versions of torch and {package}, or stay with features.runtime=torch"
    )


GRAPHS: dict[str, Callable[..., Files]] = {"onnx": to_onnx, "openvino": to_openvino}


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter's notes on its own workings from the user's terminal.

    One thread at a time: what is changed here, and torch's notes of what it traces, are the whole
    process's.
    """
    logger = logging.getLogger("torch.onnx")
    with _EXPORTING:
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            logger.setLevel(level)
