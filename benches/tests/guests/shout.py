"""Well-behaved and other exports of one kind."""

import ctypes
import sys
import threading

from polyhost import export

calls = 0


@export("test/Shout")
def shout(request: bytes) -> bytes:
    """Return the request in upper case."""
    print("printed by the guest")
    return request.upper()


@export("test/Whisper")
def whisper(request: bytes) -> bytes:
    """Return something else."""
    return request.lower()


@export("test/Crash")
def crash(request: bytes) -> bytes:
    """Return what is right, and read what is not there in the fiftieth call."""
    global calls
    calls += 1
    if calls == 50:
        print("about to crash", file=sys.stderr, flush=True)
        ctypes.string_at(0)
    return request.upper()


@export("test/Hang")
def hang(request: bytes) -> bytes:
    """Return what is right, and never return from the fiftieth call."""
    global calls
    calls += 1
    if calls == 50:
        threading.Event().wait()
    return request.upper()


@export("test/Raise")
def fail(request: bytes) -> bytes:
    """Raise in the fiftieth call."""
    global calls
    calls += 1
    if calls == 50:
        raise ValueError("enough")
    return request.upper()
