"""A guest: `polyhost call py:greeter.py greeter.v1.Greeter/SayHello --input '{"name":"world"}'`."""

from __future__ import annotations

from greeter_pb2 import HelloReply, HelloRequest
from polyhost import CallContext, Code, StatusError, export, log


@export("greeter.v1.Greeter/SayHello")
def say_hello(request: HelloRequest, context: CallContext) -> HelloReply:
    """Greet `request.name`; an empty name is an INVALID_ARGUMENT."""
    if not request.name:
        raise StatusError(Code.INVALID_ARGUMENT, "name is empty")
    greeting = context.metadata.get("greeting", "Hello")
    log("info", f"greeting {request.name}")
    return HelloReply(text=f"{greeting}, {request.name}!")
