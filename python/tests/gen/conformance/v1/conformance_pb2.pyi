from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import wrappers_pb2 as _wrappers_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

COLOUR_GREEN: Colour
COLOUR_NEGATIVE: Colour
COLOUR_RED: Colour
COLOUR_UNSPECIFIED: Colour
DESCRIPTOR: _descriptor.FileDescriptor

class AddReply(_message.Message):
    __slots__ = ["sum"]
    SUM_FIELD_NUMBER: _ClassVar[int]
    sum: int
    def __init__(self, sum: _Optional[int] = ...) -> None: ...

class AddRequest(_message.Message):
    __slots__ = ["n"]
    N_FIELD_NUMBER: _ClassVar[int]
    n: int
    def __init__(self, n: _Optional[int] = ...) -> None: ...

class AllTypes(_message.Message):
    __slots__ = ["c_bool", "c_int32", "c_message", "c_string", "f_bool", "f_bytes", "f_colour", "f_double", "f_fixed32", "f_fixed64", "f_float", "f_int32", "f_int64", "f_message", "f_sfixed32", "f_sfixed64", "f_sint32", "f_sint64", "f_string", "f_uint32", "f_uint64", "m_bool_bytes", "m_int32_int64", "m_sint64_double", "m_string_message", "m_string_string", "m_uint64_colour", "o_bool", "o_colour", "o_int32", "o_string", "o_uint64", "r_bool", "r_bytes", "r_colour", "r_double", "r_int32", "r_int64", "r_message", "r_string", "r_uint64", "r_unpacked", "w_any", "w_duration", "w_int64", "w_list", "w_string", "w_struct", "w_timestamp"]
    class MBoolBytesEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: bool
        value: bytes
        def __init__(self, key: bool = ..., value: _Optional[bytes] = ...) -> None: ...
    class MInt32Int64Entry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    class MSint64DoubleEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: float
        def __init__(self, key: _Optional[int] = ..., value: _Optional[float] = ...) -> None: ...
    class MStringMessageEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: AllTypes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[AllTypes, _Mapping]] = ...) -> None: ...
    class MStringStringEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class MUint64ColourEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: Colour
        def __init__(self, key: _Optional[int] = ..., value: _Optional[_Union[Colour, str]] = ...) -> None: ...
    C_BOOL_FIELD_NUMBER: _ClassVar[int]
    C_INT32_FIELD_NUMBER: _ClassVar[int]
    C_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    C_STRING_FIELD_NUMBER: _ClassVar[int]
    F_BOOL_FIELD_NUMBER: _ClassVar[int]
    F_BYTES_FIELD_NUMBER: _ClassVar[int]
    F_COLOUR_FIELD_NUMBER: _ClassVar[int]
    F_DOUBLE_FIELD_NUMBER: _ClassVar[int]
    F_FIXED32_FIELD_NUMBER: _ClassVar[int]
    F_FIXED64_FIELD_NUMBER: _ClassVar[int]
    F_FLOAT_FIELD_NUMBER: _ClassVar[int]
    F_INT32_FIELD_NUMBER: _ClassVar[int]
    F_INT64_FIELD_NUMBER: _ClassVar[int]
    F_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    F_SFIXED32_FIELD_NUMBER: _ClassVar[int]
    F_SFIXED64_FIELD_NUMBER: _ClassVar[int]
    F_SINT32_FIELD_NUMBER: _ClassVar[int]
    F_SINT64_FIELD_NUMBER: _ClassVar[int]
    F_STRING_FIELD_NUMBER: _ClassVar[int]
    F_UINT32_FIELD_NUMBER: _ClassVar[int]
    F_UINT64_FIELD_NUMBER: _ClassVar[int]
    M_BOOL_BYTES_FIELD_NUMBER: _ClassVar[int]
    M_INT32_INT64_FIELD_NUMBER: _ClassVar[int]
    M_SINT64_DOUBLE_FIELD_NUMBER: _ClassVar[int]
    M_STRING_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    M_STRING_STRING_FIELD_NUMBER: _ClassVar[int]
    M_UINT64_COLOUR_FIELD_NUMBER: _ClassVar[int]
    O_BOOL_FIELD_NUMBER: _ClassVar[int]
    O_COLOUR_FIELD_NUMBER: _ClassVar[int]
    O_INT32_FIELD_NUMBER: _ClassVar[int]
    O_STRING_FIELD_NUMBER: _ClassVar[int]
    O_UINT64_FIELD_NUMBER: _ClassVar[int]
    R_BOOL_FIELD_NUMBER: _ClassVar[int]
    R_BYTES_FIELD_NUMBER: _ClassVar[int]
    R_COLOUR_FIELD_NUMBER: _ClassVar[int]
    R_DOUBLE_FIELD_NUMBER: _ClassVar[int]
    R_INT32_FIELD_NUMBER: _ClassVar[int]
    R_INT64_FIELD_NUMBER: _ClassVar[int]
    R_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    R_STRING_FIELD_NUMBER: _ClassVar[int]
    R_UINT64_FIELD_NUMBER: _ClassVar[int]
    R_UNPACKED_FIELD_NUMBER: _ClassVar[int]
    W_ANY_FIELD_NUMBER: _ClassVar[int]
    W_DURATION_FIELD_NUMBER: _ClassVar[int]
    W_INT64_FIELD_NUMBER: _ClassVar[int]
    W_LIST_FIELD_NUMBER: _ClassVar[int]
    W_STRING_FIELD_NUMBER: _ClassVar[int]
    W_STRUCT_FIELD_NUMBER: _ClassVar[int]
    W_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    c_bool: bool
    c_int32: int
    c_message: AllTypes
    c_string: str
    f_bool: bool
    f_bytes: bytes
    f_colour: Colour
    f_double: float
    f_fixed32: int
    f_fixed64: int
    f_float: float
    f_int32: int
    f_int64: int
    f_message: AllTypes
    f_sfixed32: int
    f_sfixed64: int
    f_sint32: int
    f_sint64: int
    f_string: str
    f_uint32: int
    f_uint64: int
    m_bool_bytes: _containers.ScalarMap[bool, bytes]
    m_int32_int64: _containers.ScalarMap[int, int]
    m_sint64_double: _containers.ScalarMap[int, float]
    m_string_message: _containers.MessageMap[str, AllTypes]
    m_string_string: _containers.ScalarMap[str, str]
    m_uint64_colour: _containers.ScalarMap[int, Colour]
    o_bool: bool
    o_colour: Colour
    o_int32: int
    o_string: str
    o_uint64: int
    r_bool: _containers.RepeatedScalarFieldContainer[bool]
    r_bytes: _containers.RepeatedScalarFieldContainer[bytes]
    r_colour: _containers.RepeatedScalarFieldContainer[Colour]
    r_double: _containers.RepeatedScalarFieldContainer[float]
    r_int32: _containers.RepeatedScalarFieldContainer[int]
    r_int64: _containers.RepeatedScalarFieldContainer[int]
    r_message: _containers.RepeatedCompositeFieldContainer[AllTypes]
    r_string: _containers.RepeatedScalarFieldContainer[str]
    r_uint64: _containers.RepeatedScalarFieldContainer[int]
    r_unpacked: _containers.RepeatedScalarFieldContainer[int]
    w_any: _any_pb2.Any
    w_duration: _duration_pb2.Duration
    w_int64: _wrappers_pb2.Int64Value
    w_list: _struct_pb2.ListValue
    w_string: _wrappers_pb2.StringValue
    w_struct: _struct_pb2.Struct
    w_timestamp: _timestamp_pb2.Timestamp
    def __init__(self, f_double: _Optional[float] = ..., f_float: _Optional[float] = ..., f_int32: _Optional[int] = ..., f_int64: _Optional[int] = ..., f_uint32: _Optional[int] = ..., f_uint64: _Optional[int] = ..., f_sint32: _Optional[int] = ..., f_sint64: _Optional[int] = ..., f_fixed32: _Optional[int] = ..., f_fixed64: _Optional[int] = ..., f_sfixed32: _Optional[int] = ..., f_sfixed64: _Optional[int] = ..., f_bool: bool = ..., f_string: _Optional[str] = ..., f_bytes: _Optional[bytes] = ..., f_colour: _Optional[_Union[Colour, str]] = ..., f_message: _Optional[_Union[AllTypes, _Mapping]] = ..., o_int32: _Optional[int] = ..., o_string: _Optional[str] = ..., o_bool: bool = ..., o_colour: _Optional[_Union[Colour, str]] = ..., o_uint64: _Optional[int] = ..., r_int32: _Optional[_Iterable[int]] = ..., r_int64: _Optional[_Iterable[int]] = ..., r_double: _Optional[_Iterable[float]] = ..., r_string: _Optional[_Iterable[str]] = ..., r_bytes: _Optional[_Iterable[bytes]] = ..., r_colour: _Optional[_Iterable[_Union[Colour, str]]] = ..., r_message: _Optional[_Iterable[_Union[AllTypes, _Mapping]]] = ..., r_unpacked: _Optional[_Iterable[int]] = ..., r_bool: _Optional[_Iterable[bool]] = ..., r_uint64: _Optional[_Iterable[int]] = ..., m_string_string: _Optional[_Mapping[str, str]] = ..., m_int32_int64: _Optional[_Mapping[int, int]] = ..., m_string_message: _Optional[_Mapping[str, AllTypes]] = ..., m_bool_bytes: _Optional[_Mapping[bool, bytes]] = ..., m_uint64_colour: _Optional[_Mapping[int, Colour]] = ..., m_sint64_double: _Optional[_Mapping[int, float]] = ..., c_int32: _Optional[int] = ..., c_string: _Optional[str] = ..., c_message: _Optional[_Union[AllTypes, _Mapping]] = ..., c_bool: bool = ..., w_timestamp: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., w_duration: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., w_any: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., w_struct: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., w_int64: _Optional[_Union[_wrappers_pb2.Int64Value, _Mapping]] = ..., w_string: _Optional[_Union[_wrappers_pb2.StringValue, _Mapping]] = ..., w_list: _Optional[_Union[_struct_pb2.ListValue, _Mapping]] = ...) -> None: ...

class CallServiceReply(_message.Message):
    __slots__ = ["code", "message", "output"]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    output: bytes
    def __init__(self, output: _Optional[bytes] = ..., code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class CallServiceRequest(_message.Message):
    __slots__ = ["catch", "input", "service", "times"]
    CATCH_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    catch: bool
    input: bytes
    service: str
    times: int
    def __init__(self, service: _Optional[str] = ..., input: _Optional[bytes] = ..., times: _Optional[int] = ..., catch: bool = ...) -> None: ...

class ContextReply(_message.Message):
    __slots__ = ["cancelled", "has_deadline", "metadata", "remaining_nanos"]
    class MetadataEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    HAS_DEADLINE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    REMAINING_NANOS_FIELD_NUMBER: _ClassVar[int]
    cancelled: bool
    has_deadline: bool
    metadata: _containers.ScalarMap[str, str]
    remaining_nanos: int
    def __init__(self, metadata: _Optional[_Mapping[str, str]] = ..., has_deadline: bool = ..., remaining_nanos: _Optional[int] = ..., cancelled: bool = ...) -> None: ...

class FailRequest(_message.Message):
    __slots__ = ["code", "depth", "message", "wrapped"]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    WRAPPED_FIELD_NUMBER: _ClassVar[int]
    code: int
    depth: int
    message: str
    wrapped: bool
    def __init__(self, message: _Optional[str] = ..., code: _Optional[int] = ..., depth: _Optional[int] = ..., wrapped: bool = ...) -> None: ...

class GrowReply(_message.Message):
    __slots__ = ["payload"]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    def __init__(self, payload: _Optional[bytes] = ...) -> None: ...

class GrowRequest(_message.Message):
    __slots__ = ["size"]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    size: int
    def __init__(self, size: _Optional[int] = ...) -> None: ...

class LogRequest(_message.Message):
    __slots__ = ["level", "message"]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    level: str
    message: str
    def __init__(self, level: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class MisbehaveRequest(_message.Message):
    __slots__ = ["deed"]
    class Deed(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    DEED_ABORT: MisbehaveRequest.Deed
    DEED_ALLOCATE: MisbehaveRequest.Deed
    DEED_CHANGE_FOLDER: MisbehaveRequest.Deed
    DEED_CLOSE_FILES: MisbehaveRequest.Deed
    DEED_EXIT: MisbehaveRequest.Deed
    DEED_FIELD_NUMBER: _ClassVar[int]
    DEED_FORK: MisbehaveRequest.Deed
    DEED_IGNORE_CANCEL: MisbehaveRequest.Deed
    DEED_KEEP_BUFFER: MisbehaveRequest.Deed
    DEED_LOG: MisbehaveRequest.Deed
    DEED_NULL: MisbehaveRequest.Deed
    DEED_SET_LOCALE: MisbehaveRequest.Deed
    DEED_TAKE_SIGNAL: MisbehaveRequest.Deed
    DEED_THROW_ON_THREAD: MisbehaveRequest.Deed
    DEED_UNOBSERVED_TASK: MisbehaveRequest.Deed
    DEED_UNSPECIFIED: MisbehaveRequest.Deed
    DEED_USE_KEPT_BUFFER: MisbehaveRequest.Deed
    deed: MisbehaveRequest.Deed
    def __init__(self, deed: _Optional[_Union[MisbehaveRequest.Deed, str]] = ...) -> None: ...

class Nothing(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class RecurseReply(_message.Message):
    __slots__ = ["depth"]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    depth: int
    def __init__(self, depth: _Optional[int] = ...) -> None: ...

class RecurseRequest(_message.Message):
    __slots__ = ["depth"]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    depth: int
    def __init__(self, depth: _Optional[int] = ...) -> None: ...

class SpinRequest(_message.Message):
    __slots__ = ["how"]
    class How(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    HOW_CATCH: SpinRequest.How
    HOW_COROUTINE: SpinRequest.How
    HOW_FIELD_NUMBER: _ClassVar[int]
    HOW_UNSPECIFIED: SpinRequest.How
    HOW_WAIT: SpinRequest.How
    how: SpinRequest.How
    def __init__(self, how: _Optional[_Union[SpinRequest.How, str]] = ...) -> None: ...

class Colour(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
