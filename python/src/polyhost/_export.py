"""Exporting functions, and what the host has to know of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from types import FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    Function = TypeVar("Function", bound=Callable[..., Any])


class Export:
    """A function as it was exported."""

    def __init__(
        self, name: str, function: Callable[..., Any], request: type | None, reply: type | None
    ) -> None:
        self.name = name
        self.function = function
        self.request = request
        self.reply = reply


# Where exports go while a module is loaded.
collected: ContextVar[list[Export] | None] = ContextVar("polyhost_exports", default=None)


def export(
    name: str, *, request: type | None = None, reply: type | None = None
) -> Callable[[Function], Function]:
    """Exports a function under a name, `package.Service/Method` or any other.

    The function takes the request, and as a second parameter the `CallContext` if it has one. It
    is annotated with the types of request and reply: generated protobuf messages, or `bytes`.
    Where annotations can't say so, `request` and `reply` do. It may be `async def`.

    It stays the plain function it is, to be called and tested as such.
    """
    if not isinstance(name, str) or not name:
        raise TypeError('export() takes a name: @export("package.Service/Method")')

    def register(function: Function) -> Function:
        exports = collected.get()
        if exports is not None:
            exports.append(Export(name, function, request, reply))
        return function

    return register


def resolve(exports: Iterable[Export]) -> list[tuple[Any, ...]]:
    """What the host has to know of each, sorted by name."""
    resolved: dict[str, tuple[Any, ...]] = {}
    for each in exports:
        if each.name in resolved:
            raise TypeError(f"two functions are exported as {each.name}; give one another name")
        resolved[each.name] = _resolve(each)
    return [resolved[name] for name in sorted(resolved)]


def _resolve(each: Export) -> tuple[Any, ...]:
    first, takes_context = _parameters(each)
    request = each.request or _annotation(each, first)
    reply = each.reply or _annotation(each, "return")
    return (
        each.name,
        each.function,
        _message(each, "request", request),
        _message(each, "reply", reply),
        takes_context,
        _is_async(each.function),
        _doc(each.function),
    )


def _parameters(each: Export) -> tuple[str | None, bool]:
    """The name of the first parameter, and whether there is a second for the context."""
    if _is_plain(each.function):
        code = each.function.__code__
        names = code.co_varnames[: code.co_argcount]
        needed = len(names) - len(each.function.__defaults__ or ())
        if names and needed <= 2 and code.co_kwonlyargcount == 0 and not code.co_flags & _VARIADIC:
            return names[0], needed == 2 or names[1:2] == ("context",)
    import inspect

    try:
        parameters = list(inspect.signature(each.function).parameters.values())
    except (TypeError, ValueError):
        # A function in C that does not tell: bytes in, bytes out.
        return None, False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p for p in parameters if p.default is p.empty and p.kind < p.VAR_KEYWORD]
    needed = [p for p in needed if p.kind is not p.VAR_POSITIONAL]
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if not (positional or takes_any) or any(p not in positional[:2] for p in needed):
        raise TypeError(
            f"{each.name}: {_name(each.function)} is to take a request, and may take a context"
        )
    takes_context = len(needed) == 2 or (len(positional) > 1 and positional[1].name == "context")
    return (positional[0].name if positional else None), takes_context


# inspect.CO_VARARGS | inspect.CO_VARKEYWORDS, and inspect.CO_COROUTINE.
_VARIADIC = 0x0C
_COROUTINE = 0x80


def _is_plain(function: Any) -> bool:
    """Whether this is a `def` that nobody has decorated: all `inspect` knows of it is in its code.

    Most exports are, and `inspect` takes long to import.
    """
    return type(function) is FunctionType and not function.__dict__


def _is_async(function: Any) -> bool:
    if _is_plain(function):
        return bool(function.__code__.co_flags & _COROUTINE)
    import inspect

    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(_defined(function))


def _defined(function: Any) -> Any:
    """The `def` behind whatever can be called: a partial, a method, an object with `__call__`."""
    function = getattr(function, "func", function)
    if not hasattr(function, "__annotations__") or isinstance(function, type):
        function = getattr(type(function), "__call__", function)  # noqa: B004
    return getattr(function, "__func__", function)


def _annotation(each: Export, parameter: str | None) -> Any:
    function = _defined(each.function)
    annotation = (getattr(function, "__annotations__", None) or {}).get(parameter)
    if not isinstance(annotation, str):
        return annotation
    # As `from __future__ import annotations` leaves them. Only these two are needed; others may
    # name what is imported for type checkers alone.
    function = getattr(function, "__wrapped__", function)
    try:
        return eval(annotation, getattr(function, "__globals__", {}))
    except Exception as error:
        what = "reply" if parameter == "return" else "request"
        raise TypeError(
            f"{each.name}: the annotation {annotation!r} can't be resolved ({error}); import the "
            f'type at run time, or say it: @export("{each.name}", {what}=...)'
        ) from None


def _message(each: Export, what: str, annotation: Any) -> tuple[str, type] | None:
    if annotation is None or annotation in (bytes, bytearray, memoryview):
        return None
    descriptor = getattr(annotation, "DESCRIPTOR", None)
    if descriptor is not None and hasattr(annotation, "FromString"):
        return descriptor.full_name, annotation
    raise TypeError(
        f"{each.name}: the {what} is annotated as {annotation!r}; it is to be bytes or a generated "
        "protobuf message"
    )


def _doc(function: Any) -> str:
    doc = getattr(function, "__doc__", None)
    if not isinstance(doc, str):
        return ""
    first, *rest = doc.strip().expandtabs().splitlines() or [""]
    margin = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
    return "\n".join([first, *(line[margin:].rstrip() for line in rest)])


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def descriptors(resolved: Iterable[tuple[Any, ...]]) -> bytes | None:
    """A FileDescriptorSet with the files of all messages, each after those it imports."""
    seen: set[str] = set()
    chunks: list[bytes] = []

    def add(file: Any) -> None:
        if file.name in seen:
            return
        seen.add(file.name)
        for dependency in file.dependencies:
            add(dependency)
        # Field 1 of FileDescriptorSet, written by hand: descriptor_pb2 costs a module's import.
        content = file.serialized_pb
        chunks.append(b"\x0a" + _varint(len(content)) + content)

    for _, _, request, reply, *_ in resolved:
        for message in (request, reply):
            if message is not None:
                add(message[1].DESCRIPTOR.file)
    return b"".join(chunks) or None


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
