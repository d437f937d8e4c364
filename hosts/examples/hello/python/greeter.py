from greeter_pb2 import HelloReply, HelloRequest
from polyhost import export


@export("greeter.v1.Greeter/SayHello")
def say_hello(request: HelloRequest) -> HelloReply:
    return HelloReply(text=f"Hello, {request.name}, from Python!")
