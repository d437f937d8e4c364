"""Serves a guest from a process of its own, as it would be done without a host for it.

    python peer.py grpc GUEST SOCKET HOST_SOCKET    behind gRPC, until standard input ends
    python peer.py child GUEST EXPORT               over standard input and output, likewise
    python peer.py facts grpc|child                 tells what its numbers depend on

The guest is the very file that is loaded in process: its exports stay plain functions. What it
calls of the host goes back the way it is called.

A frame over a pipe is a kind (one byte), a length (four bytes, the lowest first) and that many
bytes.
"""

from __future__ import annotations

import importlib.util
import platform
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "python/src")]

import polyhost  # noqa: E402

HEADER = struct.Struct("<BI")
# A request and its reply; a call of a host service; what went wrong, and what is missing, in words.
CALL, HOST, FAILED, SKIPPED = range(4)
# Of grpcio's server; its own examples have as many.
WORKERS = 10

Handler = Callable[[bytes], bytes]


class Exported(NamedTuple):
    """An export, with what makes messages of bytes and bytes of messages; None for bytes."""

    function: Callable[[Any], Any]
    decode: Callable[[bytes], Any] | None
    encode: Callable[[Any], bytes] | None


def load(guest: str, call_host: Callable[[str], Handler]) -> dict[str, Exported]:
    """Import a guest, and give its exports by name."""
    functions: dict[str, Callable[[Any], Any]] = {}

    def export(name: str) -> Callable[[Any], Any]:
        def keep(function: Any) -> Any:
            functions[name] = function
            return function

        return keep

    def service(name: str, _request: Any, reply: Any) -> Callable[[Any], Any]:
        call = call_host(name)
        return lambda message: reply.FromString(call(message.SerializeToString()))

    polyhost.export, polyhost.service = export, service  # type: ignore[assignment]
    path = Path(guest)
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return {name: exported(function) for name, function in functions.items()}


def exported(function: Callable[[Any], Any]) -> Exported:
    """Read what a function takes and returns from its annotations."""
    types = get_type_hints(function)
    reply = types.pop("return")
    (request,) = types.values()
    decode = None if request is bytes else request.FromString
    return Exported(function, decode, None if reply is bytes else reply.SerializeToString)


def serve_grpc(guest: str, socket: str, host_socket: str) -> None:
    """Serve the exports as methods, with grpcio's own defaults but for the size of messages."""
    try:
        import grpc
    except ImportError:
        print("skipped: .venv has no grpcio; `make setup` gets it", flush=True)
        return
    from concurrent import futures

    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    # By default grpcio sends the path of the socket as the authority, which hyper refuses.
    to_host = [*options, ("grpc.default_authority", "localhost")]
    host = grpc.insecure_channel(f"unix:{host_socket}", options=to_host)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=WORKERS), options=options)
    for name, each in load(guest, lambda name: host.unary_unary(f"/{name}")).items():
        service, _, method = name.partition("/")
        handler = grpc.unary_unary_rpc_method_handler(
            handle(each.function), each.decode, each.encode
        )
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, {method: handler})]
        )
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    print("ready", flush=True)
    sys.stdin.buffer.read()
    server.stop(None)


def handle(function: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """A function as grpcio calls it."""
    return lambda request, _context: function(request)


def serve_child(guest: str, export: str) -> None:
    """Answer frames, one after the other."""
    function, decode, encode = load(guest, lambda _name: call_host_by_frame)[export]
    write(CALL, b"")
    while (frame := read()) is not None:
        try:
            reply = function(frame if decode is None else decode(frame))
            write(CALL, reply if encode is None else encode(reply))
        except Exception as error:
            write(FAILED, repr(error).encode())


def tell_facts(how: str) -> None:
    """Print what the numbers of either depend on."""
    import facts

    print(f"runtime: {platform.python_implementation()} {platform.python_version()}")
    if how == "grpc":
        import grpc

        print(f"gRPC: grpcio {grpc.__version__}, a pool of {WORKERS} threads")
    print(facts.tell(), end="")


def call_host_by_frame(request: bytes) -> bytes:
    write(HOST, request)
    reply = read()
    if reply is None:
        raise EOFError("the host is gone")
    return reply


def read() -> bytes | None:
    header = sys.stdin.buffer.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    return sys.stdin.buffer.read(HEADER.unpack(header)[1])


def write(kind: int, data: bytes) -> None:
    sys.stdout.buffer.write(HEADER.pack(kind, len(data)) + data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    how, *arguments = sys.argv[1:]
    {"grpc": serve_grpc, "child": serve_child, "facts": tell_facts}[how](*arguments)
