"""Host services: functions of the host, or of other guests, that a guest calls."""

from __future__ import annotations

from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol, TypeVar, overload

    from polyhost import _native

    class Message(Protocol):
        """A generated protobuf message."""

        def SerializeToString(self) -> bytes: ...
        @classmethod
        def FromString(cls, data: bytes, /) -> Any: ...

    Request = TypeVar("Request", bound=Message)
    Reply = TypeVar("Reply", bound=Message)
else:
    try:
        from polyhost import _native
    except ImportError:
        _native = None

if TYPE_CHECKING:

    @overload
    def service(name: str) -> Callable[[bytes], bytes]: ...
    @overload
    def service(
        name: str, request: type[Request], reply: type[Reply]
    ) -> Callable[[Request], Reply]: ...


def service(
    name: str, request: type[Any] | None = None, reply: type[Any] | None = None
) -> Callable[[Any], Any]:
    """Finds a host service.

    Find it once, when the module is imported, and keep it. Calling it blocks this thread and
    lets other threads run Python meanwhile; from `async def`, call it by `asyncio.to_thread`.

    Raises:
        ServiceError: There is none of that name. Calling it raises this too, where it fails.
    """
    if _native is None:
        raise RuntimeError("no host is there, so no host service is")
    call = _native.service(name)
    if request is None and reply is None:
        return call
    if request is None or reply is None:
        raise TypeError("service() takes both message types or none")
    decode = reply.FromString

    def call_with_messages(message: Any) -> Any:
        return decode(call(message.SerializeToString()))

    return call_with_messages
