"""What Python code uses of the process that hosts it.

    from polyhost import CallContext, Code, StatusError, export

    @export("greeter.v1.Greeter/SayHello")
    def say_hello(request: HelloRequest) -> HelloReply:
        if not request.name:
            raise StatusError(Code.INVALID_ARGUMENT, "name is empty")
        return HelloReply(text=f"Hello, {request.name}!")

Outside of a host the package can be imported too, so that exported functions can be tested as the
plain functions they stay.
"""

from polyhost._call import CallContext
from polyhost._errors import Cancelled, Code, DeadlineExceeded, ServiceError, StatusError
from polyhost._export import export
from polyhost._log import log
from polyhost._service import service

__all__ = [
    "CallContext",
    "Cancelled",
    "Code",
    "DeadlineExceeded",
    "ServiceError",
    "StatusError",
    "export",
    "log",
    "service",
]

# Where they are known from, in messages and to pickle.
for _each in (CallContext, Cancelled, Code, DeadlineExceeded, ServiceError, StatusError):
    _each.__module__ = __name__
del _each
