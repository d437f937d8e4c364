"""`bench.v1.Stages/Repeat`."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bench.v1.workloads_pb2 import STAGE_DECODE, STAGE_ENCODE, RepeatReply, RepeatRequest
from polyhost import Code, StatusError


class Method(NamedTuple):
    """A method with the type of its request, None for bytes."""

    request: Any
    function: Callable[[Any], Any]


def repeat(methods: Mapping[str, Method], request: bytes) -> bytes:
    """Do what the request says."""
    wanted = RepeatRequest.FromString(request)
    method = methods.get(wanted.method)
    if method is None:
        raise StatusError(Code.NOT_FOUND, f"no method {wanted.method}")
    function = method.function
    inputs, stage, output = list(wanted.inputs), wanted.stage, b""
    if method.request is None:
        for i in range(wanted.times):
            output = function(inputs[i % len(inputs)])
        return RepeatReply(output=output if stage == STAGE_ENCODE else b"").SerializeToString()
    decode = method.request.FromString
    for i in range(wanted.times):
        message = decode(inputs[i % len(inputs)])
        if stage == STAGE_DECODE:
            continue
        reply = function(message)
        if stage == STAGE_ENCODE:
            output = reply.SerializeToString()
    return RepeatReply(output=output).SerializeToString()
