"""Exported functions stay plain functions, and are tested as such."""

import pytest
from greeter_pb2 import HelloRequest
from my_project import say_hello
from polyhost import Code, StatusError


def test_greets_by_name() -> None:
    assert say_hello(HelloRequest(name="you")).text == "Hello, you!"


def test_refuses_an_empty_name() -> None:
    with pytest.raises(StatusError) as refused:
        say_hello(HelloRequest())
    assert refused.value.code == Code.INVALID_ARGUMENT
