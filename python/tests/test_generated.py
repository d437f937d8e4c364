"""The checked-in messages are what their .proto files give.

They are made by protoc 3.21, whose output every protobuf runtime from 4.21 on accepts:

    protoc -I ../proto --python_out=tests/gen --pyi_out=tests/gen conformance/v1/conformance.proto
    cd samples/greeter && protoc -I . --python_out=. --pyi_out=. greeter.proto

Compilers differ in what they write around the descriptor, so the descriptors are compared.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

protoc = pytest.importorskip("grpc_tools.protoc", reason="grpcio-tools is not installed")
descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")

PYTHON = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("include", "proto", "folder", "module"),
    [
        (
            PYTHON.parent / "proto",
            "conformance/v1/conformance.proto",
            PYTHON / "tests",
            "gen.conformance.v1.conformance_pb2",
        ),
        (
            PYTHON / "samples/greeter",
            "greeter.proto",
            PYTHON / "samples/greeter",
            "greeter_pb2",
        ),
    ],
)
def test_matches_the_proto_file(
    include: Path,
    proto: str,
    folder: Path,
    module: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "set.binpb"
    builtin = Path(protoc.__file__).parent / "_proto"
    arguments = [f"-I{include}", f"-I{builtin}", f"--descriptor_set_out={out}", proto]
    assert protoc.main(["protoc", *arguments]) == 0
    expected = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file[0]
    monkeypatch.syspath_prepend(str(folder))
    checked_in = importlib.import_module(module)
    actual = descriptor_pb2.FileDescriptorProto.FromString(checked_in.DESCRIPTOR.serialized_pb)
    for file in (expected, actual):
        _drop_json_names(file.message_type)
    assert expected == actual
    sys.modules.pop(module, None)


def _drop_json_names(messages: object) -> None:
    # Newer compilers write them into the set, and not into Python.
    for message in messages:  # type: ignore[attr-defined]
        for field in message.field:
            field.ClearField("json_name")
        _drop_json_names(message.nested_type)
