"""What guests raise, and what is raised in them.

BaseException
├── Cancelled                the call was cancelled; stop
│   └── DeadlineExceeded     it ran out of time
└── Exception
    └── StatusError          a failure with a code, for the caller
        └── ServiceError     a host service failed
"""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """A canonical gRPC status code."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class StatusError(Exception):
    """Fails the call with a code that its caller can act on, in any language.

    Any other exception reaches the caller as `UNKNOWN`.
    """

    def __init__(self, code: Code | int, message: str = "") -> None:
        super().__init__(code, message)
        self.code: Code = Code(code)
        self.message: str = message

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}" if self.message else self.code.name


class ServiceError(StatusError):
    """A host service failed.

    Left uncaught it fails the call with the same code, and the caller sees both failures as one
    chain. `report` is the host's own account of it, a serialized `polyhost.v1.Error`.
    """

    def __init__(self, code: Code | int, message: str = "", report: bytes = b"") -> None:
        super().__init__(code, message)
        self.args = (code, message, report)
        self.report: bytes = report

    def __str__(self) -> str:
        return self.message


class Cancelled(BaseException):
    """The caller wants no answer any more. Raised at any line of the call, so clean up and stop.

    No `Exception`: what a library catches and goes on from would never end.
    """


class DeadlineExceeded(Cancelled):
    """The call ran out of time."""
