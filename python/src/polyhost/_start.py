"""Sets a fresh interpreter up for guests; called once by the host."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from polyhost import _log, _module, _report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def start(folders: list[str], switch_interval: float | None, nobody: Any) -> None:
    _leave_sigint_alone()
    sys.path[:0] = folders
    if switch_interval is not None:
        sys.setswitchinterval(switch_interval)
    sys.stdout = _log.text_stream(1)
    sys.stderr = _log.text_stream(2)
    sys.stdin = None
    threading.excepthook = _thread_failed
    sys.unraisablehook = _nowhere_to_raise
    _module.nobody = nobody
    _module.install()
    sys.meta_path.insert(0, _ImportFinder)  # type: ignore[arg-type]
    _after_import("logging", _connect_logging)
    _after_import("linecache", _module.show_texts)


def _connect_logging() -> None:
    from polyhost import _logging

    _logging.connect()


def _after_import(name: str, then: Callable[[], None]) -> None:
    """Has something done once a module has been imported, whoever imports it.

    These are modules that many guests do without, and each start would pay for their import.
    """
    if name in sys.modules:
        then()
    else:
        _to_do[name] = then


_to_do: dict[str, Callable[[], None]] = {}


class _ImportFinder:
    """Finds the modules after whose import there is something to do, as everybody would.

    It stays for good: finders that are taken off the list can make a search on another thread
    miss the next.
    """

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name) if name in _to_do else None
        if spec is not None and spec.loader is not None:
            spec.loader = _ImportLoader(spec.loader)  # type: ignore[assignment]
        return spec


class _ImportLoader:
    """Loads a module by its own loader, and does what is to do."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        then = _to_do.pop(module.__name__, None)
        if then is not None:
            then()


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
