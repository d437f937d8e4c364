"""What the conformance suite asks of a guest; see proto/conformance/v1/conformance.proto."""

from __future__ import annotations

import asyncio
import locale
import os
import signal
import sys
import threading
from collections.abc import Iterator

from gen.conformance.v1.conformance_pb2 import (
    AddReply,
    AddRequest,
    AllTypes,
    CallServiceReply,
    CallServiceRequest,
    ContextReply,
    FailRequest,
    GrowReply,
    GrowRequest,
    LogRequest,
    MisbehaveRequest,
    Nothing,
    RecurseReply,
    RecurseRequest,
    SpinRequest,
)
from polyhost import CallContext, Code, ServiceError, StatusError, export, log, service

SERVICE = "conformance.v1.Conformance/"

_lock = threading.Lock()
_sum = 0
_kept: list[object] = []


@export("raw/Echo")
def raw_echo(data: bytes) -> bytes:
    """Returns what it is given."""
    return data


@export("raw/ReadFile")
def raw_read_file(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()


@export("raw/WrongType")
def raw_wrong_type(data: bytes) -> bytes:
    return len(data)  # type: ignore[return-value]


@export("raw/Trace")
def raw_trace(_data: bytes, context: CallContext) -> bytes:
    return f"{context.traceparent or ''}\n{context.tracestate or ''}".encode()


@export(SERVICE + "Echo")
def echo(request: AllTypes) -> AllTypes:
    """Returns the request, unknown fields included."""
    return request


@export(SERVICE + "EchoAsync")
async def echo_async(request: AllTypes) -> AllTypes:
    if request.f_string == "suspend":
        await asyncio.Event().wait()
    await asyncio.sleep(0)
    return request


@export(SERVICE + "Fail")
def fail(request: FailRequest) -> Nothing:
    if not request.wrapped:
        return _raise(request.depth, request)
    try:
        return _raise(request.depth, request)
    except Exception as error:
        raise RuntimeError(f"wrapped: {request.message}") from error


def _raise(depth: int, request: FailRequest) -> Nothing:
    if depth > 0:
        return _raise(depth - 1, request)
    if request.code:
        raise StatusError(request.code, request.message)
    raise ValueError(request.message)


@export(SERVICE + "CallService")
def call_service(request: CallServiceRequest) -> CallServiceReply:
    reply = CallServiceReply()
    try:
        call = service(request.service)
        for _ in range(max(1, request.times)):
            reply.output = call(request.input)
    except ServiceError as error:
        if not request.catch:
            raise
        reply.code = error.code
        reply.message = error.message
    return reply


@export(SERVICE + "Context")
def context(request: Nothing, context: CallContext) -> ContextReply:
    remaining = context.remaining
    return ContextReply(
        metadata=context.metadata,
        has_deadline=remaining is not None,
        remaining_nanos=int((remaining or 0) * 1e9),
        cancelled=context.cancelled,
    )


@export(SERVICE + "Log")
def write_log(request: LogRequest) -> Nothing:
    log(request.level, request.message, target="conformance")
    return Nothing()


@export(SERVICE + "Add")
def add(request: AddRequest) -> AddReply:
    global _sum
    with _lock:
        _sum += request.n
        return AddReply(sum=_sum)


@export(SERVICE + "Spin")
def spin(request: SpinRequest) -> Nothing:
    if request.how == SpinRequest.HOW_CATCH:
        while True:
            try:
                _spin()
            except Exception:
                continue
    elif request.how == SpinRequest.HOW_COROUTINE:
        for _ in _generate():
            pass
    elif request.how == SpinRequest.HOW_WAIT:
        raise StatusError(Code.UNIMPLEMENTED, "Python is told of a cancel by an exception")
    return _spin()


def _spin() -> Nothing:
    while True:
        pass


def _generate() -> Iterator[int]:
    while True:
        yield 0


@export(SERVICE + "Recurse")
def recurse(request: RecurseRequest) -> RecurseReply:
    return RecurseReply(depth=_descend(request.depth or sys.maxsize))


def _descend(depth: int) -> int:
    return 1 if depth <= 1 else _descend(depth - 1) + 1


@export(SERVICE + "Grow")
def grow(request: GrowRequest) -> GrowReply:
    return GrowReply(payload=bytes(request.size))


@export(SERVICE + "Misbehave")
def misbehave(request: MisbehaveRequest, context: CallContext) -> Nothing:
    deed = request.deed
    if deed == MisbehaveRequest.DEED_EXIT:
        sys.exit(9)
    elif deed == MisbehaveRequest.DEED_THROW_ON_THREAD:
        threading.Thread(target=_throw, daemon=True).start()
    elif deed == MisbehaveRequest.DEED_KEEP_BUFFER:
        _kept[:] = [request, context]
    elif deed == MisbehaveRequest.DEED_USE_KEPT_BUFFER:
        request, context = _kept  # type: ignore[assignment]
        assert request.deed == MisbehaveRequest.DEED_KEEP_BUFFER
        assert context.remaining is None or context.remaining >= 0
        assert not context.metadata
    elif deed == MisbehaveRequest.DEED_NULL:
        raise StatusError(Code.UNIMPLEMENTED, "Python has no null to dereference")
    elif deed == MisbehaveRequest.DEED_ABORT:
        os.abort()
    elif deed == MisbehaveRequest.DEED_UNOBSERVED_TASK:
        asyncio.run(_abandon())
    elif deed == MisbehaveRequest.DEED_ALLOCATE:
        _allocate()
    elif deed == MisbehaveRequest.DEED_LOG:
        while not context.cancelled:
            log("info", "x" * 100)
    elif deed == MisbehaveRequest.DEED_IGNORE_CANCEL:
        log("info", "goes on")
        _ignore_cancel()
    elif deed == MisbehaveRequest.DEED_FORK:
        _fork()
    elif deed == MisbehaveRequest.DEED_CLOSE_FILES:
        os.closerange(3, 1 << 16)
    elif deed == MisbehaveRequest.DEED_CHANGE_FOLDER:
        os.chdir("/")
    elif deed == MisbehaveRequest.DEED_TAKE_SIGNAL:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif deed == MisbehaveRequest.DEED_SET_LOCALE:
        locale.setlocale(locale.LC_ALL, "C.UTF-8")
    else:
        raise StatusError(Code.INVALID_ARGUMENT, f"unknown deed {deed}")
    return Nothing()


def _allocate() -> None:
    kept = []
    while True:
        kept.append(bytearray(1 << 16))


def _ignore_cancel() -> None:
    while True:
        try:
            _spin()
        except BaseException:
            continue


def _fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _throw() -> None:
    raise RuntimeError("raised on a thread of the guest's own")


async def _abandon() -> None:
    async def fail() -> None:
        raise RuntimeError("nobody awaits this")

    task = asyncio.ensure_future(fail())
    await asyncio.sleep(0)
    del task
