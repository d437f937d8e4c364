"""What the bench calls in Python."""

from polyhost import export


@export("bench/Echo")
def echo(request: bytes) -> bytes:
    """Return the request."""
    return request


@export("bench/Work")
def work(request: bytes) -> bytes:
    """Return the request after some 10 µs of work in Python."""
    total = 0
    for i in range(WORK):
        total += i
    return request


# Set for the machine by the bench, so that `work` takes some 10 µs.
WORK = 300


@export("bench/SetWork")
def set_work(request: bytes) -> bytes:
    """Set the rounds of `work`, a decimal number."""
    global WORK
    WORK = int(request)
    return b""
