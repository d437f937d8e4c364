"""Sets a fresh interpreter up for guests; called once by the host."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from typing import Any

from polyhost import _log, _module, _report


def start(folders: list[str], switch_interval: float | None, nobody: Any) -> None:
    _leave_sigint_alone()
    sys.path[:0] = folders
    if switch_interval is not None:
        sys.setswitchinterval(switch_interval)
    sys.stdout = _log.text_stream(1)
    sys.stderr = _log.text_stream(2)
    sys.stdin = None
    root = logging.getLogger()
    root.addHandler(_log.HostHandler())
    root.setLevel(logging.INFO)
    threading.excepthook = _thread_failed
    sys.unraisablehook = _nowhere_to_raise
    _module.nobody = nobody
    _module.install()


def _leave_sigint_alone() -> None:
    # The first import of `signal` takes SIGINT over where nobody has, whatever
    # install_signal_handlers says (CPython, Modules/signalmodule.c, signal_get_set_handlers). Its
    # handler waits for a main thread that runs Python code, which a host has not: Ctrl-C would do
    # nothing any more.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_type is SystemExit:
        return
    name = failure.thread.name if failure.thread is not None else "?"
    _report_failure(f"thread {name} failed", failure.exc_value)


def _nowhere_to_raise(failure: Any) -> None:
    what = failure.err_msg or "an exception was ignored"
    if failure.object is not None:
        what = f"{what} in {failure.object!r}"
    _report_failure(what, failure.exc_value)


def _report_failure(what: str, error: BaseException | None) -> None:
    links, _, _ = _report.describe(error)
    type_name, message, _, frames = links[0]
    lines = [f"{what}: {type_name}: {message}"]
    lines += [f"    at {function} ({file}:{line})" for function, file, line, _ in frames]
    _log.emit_for(error, 5, "\n".join(lines))
