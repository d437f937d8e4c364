"""What guests log and print, on its way to the host's log."""

from __future__ import annotations

import io
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from polyhost import _native
else:
    try:
        from polyhost import _native
    except ImportError:
        _native = None

_LEVELS = {
    "trace": 1,
    "debug": 2,
    "info": 3,
    "information": 3,
    "warn": 4,
    "warning": 4,
    "error": 5,
    "critical": 5,
    "fatal": 5,
}


def log(level: str, message: str, *, target: str = "") -> None:
    """Writes a line to the host's log: `trace`, `debug`, `info`, `warn` or `error`.

    The standard library's `logging` goes to the same place. Outside of a host, both go where
    `logging` is told to.
    """
    number = _LEVELS.get(level.lower())
    if number is None:
        raise ValueError(f"unknown level {level!r}; there are trace, debug, info, warn and error")
    if _native is None:
        import logging

        logging.getLogger(target or "polyhost").log((number - 1) * 10 or 5, "%s", message)
    else:
        emit(number, target, message)


def emit(level: int, target: str, message: str) -> None:
    if not _native.log(level, target, message, None):
        _native.log(level, target, message, owner_of_frames())


def emit_for(error: BaseException | None, level: int, message: str) -> None:
    """Logs for the module in whose code an exception was raised."""
    from polyhost import _module

    owner = None
    traceback = error.__traceback__ if error is not None else None
    while traceback is not None and owner is None:
        tree = _module.tree_of(traceback.tb_frame.f_globals)
        owner = tree.owner if tree is not None else None
        traceback = traceback.tb_next
    _native.log(level, "", message, owner or owner_of_frames())


def owner_of_frames() -> Any:
    """The module whose code is on this thread's stack: of a thread that a guest has started."""
    from polyhost import _module

    frame: Any = sys._getframe(1)
    while frame is not None:
        tree = _module.tree_of(frame.f_globals)
        if tree is not None:
            return tree.owner
        frame = frame.f_back
    return _module.nobody


class HostStream(io.RawIOBase):
    """Sends what is printed to the host, whose log takes it line by line."""

    def __init__(self, stream: int) -> None:
        super().__init__()
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not _native.write(self._stream, data, None):
            _native.write(self._stream, data, owner_of_frames())
        return len(data)

    def fileno(self) -> int:
        raise io.UnsupportedOperation("the host's log has no file descriptor")


def text_stream(stream: int) -> io.TextIOWrapper:
    """`sys.stdout` (1) or `sys.stderr` (2)."""
    raw: Any = HostStream(stream)
    wrapper = io.TextIOWrapper(raw, "utf-8", "backslashreplace", newline="\n", write_through=True)
    wrapper.mode = "w"
    return wrapper
