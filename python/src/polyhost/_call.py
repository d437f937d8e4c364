"""The context of a call."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from types import MappingProxyType

from polyhost._errors import Cancelled, DeadlineExceeded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from polyhost import _native

    class Call(Protocol):
        """What the host knows of a call."""

        def remaining(self) -> float | None: ...
        def cancelled(self) -> int: ...
        def metadata(self) -> tuple[tuple[str, str], ...]: ...
else:
    try:
        from polyhost import _native
    except ImportError:
        _native = None


# The call that a task runs for. Other calls are found by their thread, which is cheaper.
current_call: ContextVar[Call] = ContextVar("polyhost_call")


class CallContext:
    """Deadline, cancellation and metadata of a call.

    An exported function gets it as its second parameter, where it has one. It may be kept after
    the call.
    """

    __slots__ = ("_call",)
    _call: Call

    def __init__(
        self,
        metadata: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        *,
        timeout: float | None = None,
    ) -> None:
        """A context for tests; the host makes its own."""
        self._call = _CallForTests(metadata, timeout)

    @classmethod
    def current(cls) -> CallContext:
        """The context of the call that runs here.

        Raises:
            RuntimeError: None does: this is a thread of the guest's own, or no host is there.
        """
        call: Call | None = None
        if _native is not None:
            call = _native.current()
        if call is None:
            call = current_call.get(None)
        if call is None:
            raise RuntimeError("no call runs here")
        return wrap(call)

    @property
    def metadata(self) -> Mapping[str, str]:
        """The names and values that came with the call; of a name that repeats, the first."""
        return MappingProxyType(dict(reversed(self._call.metadata())))

    def metadata_all(self, name: str) -> tuple[str, ...]:
        """All values of a name, in order."""
        return tuple(value for key, value in self._call.metadata() if key == name)

    @property
    def traceparent(self) -> str | None:
        """The trace that the call belongs to, in the W3C's format; `None` for none."""
        return self.metadata.get("traceparent")

    @property
    def tracestate(self) -> str | None:
        """What vendors have added to the trace."""
        return self.metadata.get("tracestate")

    @property
    def remaining(self) -> float | None:
        """Seconds left, 0.0 when there are none; `None` without a deadline."""
        return self._call.remaining()

    @property
    def deadline(self) -> float | None:
        """When the call is out of time, on the clock of `time.monotonic()`."""
        left = self._call.remaining()
        return None if left is None else time.monotonic() + left

    @property
    def cancelled(self) -> bool:
        """Whether the call is to stop. To be asked in loops that C code runs, such as NumPy's."""
        return self._call.cancelled() != 0

    def check(self) -> None:
        """Does nothing while the call may go on.

        Raises:
            Cancelled: It was cancelled.
            DeadlineExceeded: It is out of time.
        """
        reason = self._call.cancelled()
        if reason:
            raise DeadlineExceeded if reason == 2 else Cancelled

    def __repr__(self) -> str:
        return f"CallContext(metadata={dict(self.metadata)}, remaining={self.remaining})"


def wrap(call: Call) -> CallContext:
    """The context of a call; for the host."""
    context = _new(CallContext)
    context._call = call
    return context


_new: Any = object.__new__


class _CallForTests:
    def __init__(
        self, metadata: Mapping[str, str] | Iterable[tuple[str, str]], timeout: float | None
    ) -> None:
        pairs = metadata.items() if isinstance(metadata, Mapping) else metadata
        self._metadata = tuple(pairs)
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def remaining(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def cancelled(self) -> int:
        return 2 if self.remaining() == 0.0 else 0

    def metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata
