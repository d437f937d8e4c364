"""The guest package without a host, as guests' own tests use it."""

from __future__ import annotations

import functools
import logging
import marshal
import pickle
import sys
from importlib.util import MAGIC_NUMBER
from types import ModuleType

import pytest
from polyhost import (
    CallContext,
    Cancelled,
    Code,
    DeadlineExceeded,
    ServiceError,
    StatusError,
    _bootstrap,
    _export,
    _module,
    _report,
    export,
    log,
    service,
)


def resolve(*functions: tuple[str, object]) -> list[tuple[object, ...]]:
    collected: list[_export.Export] = []
    token = _export.collected.set(collected)
    try:
        for name, function in functions:
            export(name)(function)  # type: ignore[type-var]
    finally:
        _export.collected.reset(token)
    return _export.resolve(collected)


def test_an_exported_function_stays_the_function_it_is() -> None:
    @export("a/B")
    def function(data: bytes) -> bytes:
        return data

    assert b"x" == function(b"x")


def test_exports_are_sorted_and_their_context_is_found() -> None:
    def plain(data: bytes) -> bytes:
        return data

    def with_context(data: bytes, context: CallContext) -> bytes:
        return data

    def with_default(data: bytes, retries: int = 3) -> bytes:
        return data

    async def coroutine(data: bytes) -> bytes:
        return data

    partial = functools.partial(with_context, context=CallContext())
    resolved = resolve(
        ("e", partial), ("d", coroutine), ("c", with_default), ("b", with_context), ("a", plain)
    )
    assert [
        ("a", False, False),
        ("b", True, False),
        ("c", False, False),
        ("d", False, True),
    ] == [(name, takes, is_async) for name, _, _, _, takes, is_async, _ in resolved[:4]]


def test_a_name_is_exported_once() -> None:
    with pytest.raises(TypeError, match="two functions are exported as x"):
        resolve(("x", lambda data: data), ("x", lambda data: data))


def test_errors_have_code_and_message() -> None:
    error = StatusError(3, "name is empty")
    assert (Code.INVALID_ARGUMENT, "name is empty") == (error.code, error.message)
    assert "INVALID_ARGUMENT: name is empty" == str(error)
    failed = ServiceError(Code.ABORTED, "it failed", b"report")
    assert isinstance(failed, StatusError)
    copy = pickle.loads(pickle.dumps(failed))
    assert (Code.ABORTED, "it failed", b"report") == (copy.code, copy.message, copy.report)
    with pytest.raises(ValueError, match="99"):
        StatusError(99, "no such code")


def test_what_stops_a_call_is_no_exception_that_libraries_catch() -> None:
    assert not issubclass(Cancelled, Exception)
    assert issubclass(DeadlineExceeded, Cancelled)


def test_a_context_can_be_made_for_tests() -> None:
    context = CallContext([("a", "1"), ("a", "2"), ("b", "3")], timeout=100)
    assert {"a": "1", "b": "3"} == dict(context.metadata)
    assert ("1", "2") == context.metadata_all("a")
    assert context.remaining is not None and 90 < context.remaining <= 100
    assert not context.cancelled
    assert (None, None) == (context.traceparent, context.tracestate)
    assert "00-ab" == CallContext({"traceparent": "00-ab"}).traceparent
    context.check()
    late = CallContext(timeout=0)
    assert late.cancelled and late.remaining == 0
    with pytest.raises(DeadlineExceeded):
        late.check()
    assert CallContext().remaining is None and CallContext().deadline is None


def test_without_a_host_there_is_no_call_and_no_service() -> None:
    with pytest.raises(RuntimeError, match="no call runs here"):
        CallContext.current()
    with pytest.raises(RuntimeError, match="no host is there"):
        service("any")


def test_without_a_host_lines_go_to_logging(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        log("warn", "100 %s", target="t")
    assert [("t", logging.WARNING, "100 %s")] == caplog.record_tuples
    with pytest.raises(ValueError, match="unknown level"):
        log("loud", "x")


def test_a_report_has_the_chain_with_frames_innermost_first() -> None:
    def inner() -> None:
        raise KeyError("k")

    try:
        try:
            inner()
        except KeyError as error:
            raise StatusError(Code.NOT_FOUND, "no k") from error
    except StatusError as error:
        links, report, stopped = _report.describe(error)
    assert [("polyhost.StatusError", "no k", 5), ("KeyError", "'k'", 0)] == [
        link[:3] for link in links
    ]
    assert "inner" in links[1][3][0][0]
    assert report is None and not stopped


def test_names_are_shown_without_the_number_of_their_load() -> None:
    assert "greeter.sub" == _module.plain("greeter@12.sub")
    assert "json" == _module.plain("json")


@pytest.mark.parametrize(("magic", "value"), [(MAGIC_NUMBER, 2), (b"\0\0\r\n", 1)])
def test_bytecode_is_used_by_the_python_it_is_for(magic: bytes, value: int) -> None:
    code = marshal.dumps(compile("value = 2", "<polyhost>/__init__.py", "exec"))
    compiled = magic + marshal.dumps({"__init__.py": code})
    _bootstrap.install({"__init__.py": "value = 1"}, compiled, ModuleType("polyhost._native"))
    finder = sys.meta_path.pop(0)
    spec = finder.find_spec("polyhost", None)
    assert spec is not None
    module = ModuleType("polyhost")
    finder.exec_module(module)
    assert value == module.value
