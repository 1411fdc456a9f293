"""What onnxruntime raises for a file or an input that it cannot use: its exceptions have no common base."""

from __future__ import annotations

from typing import Final

from onnxruntime.capi import onnxruntime_pybind11_state as runtime

REFUSALS: Final = (
    runtime.EPFail,
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.InvalidProtobuf,
    runtime.NotImplemented,
    runtime.RuntimeException,
    # Its own line of error, where bytes of the file in it are no text.
    UnicodeDecodeError,
)
