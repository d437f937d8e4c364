"""Exceptions, as the host reports them."""

from __future__ import annotations

from types import TracebackType

from polyhost._errors import Cancelled, Code, ServiceError, StatusError
from polyhost._module import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Frame = tuple[str, str, int, str]
Link = tuple[str, str, int, list[Frame]]

# Of a longer stack or chain the middle is left out: it is read by people.
_MAX_FRAMES = 64
_MAX_LINKS = 16
_MAX_MESSAGE = 16 << 20


def describe(error: BaseException | None) -> tuple[list[Link], bytes | None, bool]:
    """An exception and its causes, outermost first; the report of the first host service that
    failed among them; and whether the call was stopped."""
    links: list[Link] = []
    report: bytes | None = None
    stopped = False
    seen: set[int] = set()
    while error is not None and id(error) not in seen and len(links) < _MAX_LINKS:
        seen.add(id(error))
        links.append(_link(error))
        if report is None and isinstance(error, ServiceError) and error.report:
            report = error.report
        stopped = stopped or _stops(error)
        error = _cause(error)
    return links or [("SystemError", "a call failed without an exception", 0, [])], report, stopped


def _stops(error: BaseException) -> bool:
    # By name: asyncio takes long to import, and most guests do without.
    return isinstance(error, Cancelled) or type(error).__module__ == "asyncio.exceptions"


def _cause(error: BaseException) -> BaseException | None:
    if error.__cause__ is not None:
        return error.__cause__
    return None if error.__suppress_context__ else error.__context__


def _link(error: BaseException) -> Link:
    status = _status(error)
    frames = _frames(error.__traceback__)
    if isinstance(error, SyntaxError) and error.filename:
        text = (error.text or "").rstrip("\n")
        frames.insert(0, ("", error.filename, error.lineno or 0, text))
    return (type_name(type(error)), _message(error), status, frames)


def _status(error: BaseException) -> int:
    if isinstance(error, StatusError):
        return error.code.value
    return Code.RESOURCE_EXHAUSTED.value if isinstance(error, MemoryError) else 0


def type_name(kind: type) -> str:
    """As Python prints it: builtins without their module."""
    module = kind.__module__
    if module in ("builtins", "__main__"):
        return kind.__qualname__
    return f"{plain(module)}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        if isinstance(error, ServiceError):
            message = error.message
        elif isinstance(error, StatusError):
            message = error.message
        elif isinstance(error, SyntaxError):
            message = str(error.msg)
        else:
            message = str(error)
    except Exception as second:
        message = f"<its __str__ raised {type(second).__name__}>"
    lines = [message[:_MAX_MESSAGE]]
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list):
        lines += [str(note) for note in notes]
    for each in _group(error):
        lines.append(f"  {type_name(type(each))}: {_message(each)}")
    return "\n".join(lines)


def _group(error: BaseException) -> tuple[BaseException, ...]:
    """The exceptions in an exception group, on Pythons that have them."""
    members: Any = getattr(error, "exceptions", ())
    if isinstance(members, tuple) and type(error).__name__.endswith("ExceptionGroup"):
        return tuple(each for each in members if isinstance(each, BaseException))[:_MAX_LINKS]
    return ()


def _frames(traceback: TracebackType | None) -> list[Frame]:
    entries: list[tuple[Any, int]] = []
    while traceback is not None:
        entries.append((traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    entries.reverse()
    frames = [
        (frame, line) for frame, line in entries if not _is_machinery(frame.f_code.co_filename)
    ]
    if len(frames) <= _MAX_FRAMES:
        return [_frame(frame, line) for frame, line in frames]
    half = _MAX_FRAMES // 2
    left_out = (f"... {len(frames) - _MAX_FRAMES} more ...", "", 0, "")
    inner = [_frame(frame, line) for frame, line in frames[:half]]
    return [*inner, left_out, *(_frame(frame, line) for frame, line in frames[-half:])]


def _frame(frame: Any, line: int | None) -> Frame:
    code = frame.f_code
    name = getattr(code, "co_qualname", code.co_name)
    return (
        name,
        code.co_filename,
        line or 0,
        _source_line(frame.f_globals, code.co_filename, line or 0),
    )


def _source_line(module_globals: Any, file: str, line: int) -> str:
    # Texts may share a name; the loader knows its own.
    text = getattr(module_globals.get("__loader__"), "text", None)
    if isinstance(text, str):
        lines = text.splitlines()
        return lines[line - 1].strip() if 0 < line <= len(lines) else ""
    import linecache

    linecache.lazycache(file, module_globals)
    return linecache.getline(file, line, module_globals).strip()


def _is_machinery(file: str) -> bool:
    """Frames of the import system and of this package say nothing to the reader."""
    return file.startswith(("<frozen importlib", "<polyhost>/")) or file.endswith(
        "importlib/__init__.py"
    )
