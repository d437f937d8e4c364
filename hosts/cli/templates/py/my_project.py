"""A guest: functions that a host calls by name."""

import logging

from greeter_pb2 import HelloReply, HelloRequest
from polyhost import Code, StatusError, export

log = logging.getLogger(__name__)


# The name is what hosts call it by: package.Service/Method of greeter.proto. The annotations say
# which messages it takes and returns.
@export("greeter.v1.Greeter/SayHello")
def say_hello(request: HelloRequest) -> HelloReply:
    """Greets by name."""
    if not request.name:
        # The caller gets this code, in whatever language it is written. Any other exception reaches
        # it, too: as UNKNOWN, with its stack.
        raise StatusError(Code.INVALID_ARGUMENT, "name is empty")
    log.debug("greeting %s", request.name)  # A line of the host's log.
    return HelloReply(text=f"Hello, {request.name}!")
