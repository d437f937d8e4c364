"""What the host puts into the package: functions in Rust."""

from collections.abc import Callable
from typing import Any, final

@final
class Call:
    """A call, for as long as anybody asks about it."""

    def remaining(self) -> float | None: ...
    def cancelled(self) -> int:
        """0 to go on, 1 if the call was cancelled, 2 if it is out of time."""

    def metadata(self) -> tuple[tuple[str, str], ...]: ...
    def module(self) -> str: ...

class Owner:
    """A handle of a module. There is no such class: it is a capsule."""

def current() -> Call | None: ...
def service(name: str, /) -> Callable[[bytes], bytes]: ...
def owner() -> Owner | None: ...
def write(stream: int, data: Any, owner: Owner | None, /) -> bool: ...
def log(level: int, target: str, message: str, owner: Owner | None, /) -> bool: ...
def version() -> str: ...

class Mailbox:
    """What an event loop is sent. There is no such class: it is a capsule."""

class Ticket:
    """A call on its way through an event loop. There is no such class: it is a capsule."""

def take(mailbox: Mailbox, /) -> list[tuple[int, Ticket | None]]:
    """What came for a loop: calls to begin, numbers of calls to cancel, and 0 to stop."""

def begin(ticket: Ticket, /) -> tuple[Any, Call] | None:
    """Calls the export: its coroutine, and the call; None where the call is over already."""

def finish(ticket: Ticket, reply: Any, error: BaseException | None, /) -> None: ...
def step(ticket: Ticket, run: Callable[..., Any], /, *args: Any) -> Any:
    """Runs a step of a task, which can be stopped as long as it lasts."""
