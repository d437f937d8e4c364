from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Stage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STAGE_UNSPECIFIED: _ClassVar[Stage]
    STAGE_DECODE: _ClassVar[Stage]
    STAGE_WORK: _ClassVar[Stage]
    STAGE_ENCODE: _ClassVar[Stage]
STAGE_UNSPECIFIED: Stage
STAGE_DECODE: Stage
STAGE_WORK: Stage
STAGE_ENCODE: Stage

class EchoMessage(_message.Message):
    __slots__ = ("payload",)
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    def __init__(self, payload: _Optional[bytes] = ...) -> None: ...

class SumRequest(_message.Message):
    __slots__ = ("integers", "doubles")
    INTEGERS_FIELD_NUMBER: _ClassVar[int]
    DOUBLES_FIELD_NUMBER: _ClassVar[int]
    integers: _containers.RepeatedScalarFieldContainer[int]
    doubles: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, integers: _Optional[_Iterable[int]] = ..., doubles: _Optional[_Iterable[float]] = ...) -> None: ...

class SumReply(_message.Message):
    __slots__ = ("integers", "doubles")
    INTEGERS_FIELD_NUMBER: _ClassVar[int]
    DOUBLES_FIELD_NUMBER: _ClassVar[int]
    integers: int
    doubles: float
    def __init__(self, integers: _Optional[int] = ..., doubles: _Optional[float] = ...) -> None: ...

class Document(_message.Message):
    __slots__ = ("title", "labels", "sections")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TITLE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SECTIONS_FIELD_NUMBER: _ClassVar[int]
    title: str
    labels: _containers.ScalarMap[str, str]
    sections: _containers.RepeatedCompositeFieldContainer[Section]
    def __init__(self, title: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., sections: _Optional[_Iterable[_Union[Section, _Mapping]]] = ...) -> None: ...

class Section(_message.Message):
    __slots__ = ("name", "lines")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    name: str
    lines: _containers.RepeatedCompositeFieldContainer[Line]
    def __init__(self, name: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[Line, _Mapping]]] = ...) -> None: ...

class Line(_message.Message):
    __slots__ = ("sku", "quantity", "price")
    SKU_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    sku: str
    quantity: int
    price: int
    def __init__(self, sku: _Optional[str] = ..., quantity: _Optional[int] = ..., price: _Optional[int] = ...) -> None: ...

class Summary(_message.Message):
    __slots__ = ("title", "labels", "sections", "quantities")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class QuantitiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TITLE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SECTIONS_FIELD_NUMBER: _ClassVar[int]
    QUANTITIES_FIELD_NUMBER: _ClassVar[int]
    title: str
    labels: _containers.ScalarMap[str, str]
    sections: _containers.RepeatedCompositeFieldContainer[SectionSummary]
    quantities: _containers.ScalarMap[str, int]
    def __init__(self, title: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., sections: _Optional[_Iterable[_Union[SectionSummary, _Mapping]]] = ..., quantities: _Optional[_Mapping[str, int]] = ...) -> None: ...

class SectionSummary(_message.Message):
    __slots__ = ("name", "lines", "total")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    lines: int
    total: int
    def __init__(self, name: _Optional[str] = ..., lines: _Optional[int] = ..., total: _Optional[int] = ...) -> None: ...

class RenderRequest(_message.Message):
    __slots__ = ("markdown",)
    MARKDOWN_FIELD_NUMBER: _ClassVar[int]
    markdown: str
    def __init__(self, markdown: _Optional[str] = ...) -> None: ...

class RenderReply(_message.Message):
    __slots__ = ("html",)
    HTML_FIELD_NUMBER: _ClassVar[int]
    html: str
    def __init__(self, html: _Optional[str] = ...) -> None: ...

class CallbackRequest(_message.Message):
    __slots__ = ("calls", "start", "payload")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    calls: int
    start: int
    payload: bytes
    def __init__(self, calls: _Optional[int] = ..., start: _Optional[int] = ..., payload: _Optional[bytes] = ...) -> None: ...

class CallbackReply(_message.Message):
    __slots__ = ("sum",)
    SUM_FIELD_NUMBER: _ClassVar[int]
    sum: int
    def __init__(self, sum: _Optional[int] = ...) -> None: ...

class NextRequest(_message.Message):
    __slots__ = ("value", "payload")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    value: int
    payload: bytes
    def __init__(self, value: _Optional[int] = ..., payload: _Optional[bytes] = ...) -> None: ...

class NextReply(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: int
    def __init__(self, value: _Optional[int] = ...) -> None: ...

class RepeatRequest(_message.Message):
    __slots__ = ("method", "stage", "times", "inputs")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    method: str
    stage: Stage
    times: int
    inputs: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, method: _Optional[str] = ..., stage: _Optional[_Union[Stage, str]] = ..., times: _Optional[int] = ..., inputs: _Optional[_Iterable[bytes]] = ...) -> None: ...

class RepeatReply(_message.Message):
    __slots__ = ("output",)
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    output: bytes
    def __init__(self, output: _Optional[bytes] = ...) -> None: ...
