// Made by bindgen from include/polyhost.h; see tests/bindings.rs.

pub const POLYHOST_ABI_MAJOR: u32 = 1;
pub const POLYHOST_ABI_MINOR: u32 = 1;
pub type PolyhostStatus = i32;
pub const POLYHOST_OK: _bindgen_ty_1 = 0;
pub const POLYHOST_CANCELLED: _bindgen_ty_1 = 1;
pub const POLYHOST_UNKNOWN: _bindgen_ty_1 = 2;
pub const POLYHOST_INVALID_ARGUMENT: _bindgen_ty_1 = 3;
pub const POLYHOST_DEADLINE_EXCEEDED: _bindgen_ty_1 = 4;
pub const POLYHOST_NOT_FOUND: _bindgen_ty_1 = 5;
pub const POLYHOST_ALREADY_EXISTS: _bindgen_ty_1 = 6;
pub const POLYHOST_PERMISSION_DENIED: _bindgen_ty_1 = 7;
pub const POLYHOST_RESOURCE_EXHAUSTED: _bindgen_ty_1 = 8;
pub const POLYHOST_FAILED_PRECONDITION: _bindgen_ty_1 = 9;
pub const POLYHOST_ABORTED: _bindgen_ty_1 = 10;
pub const POLYHOST_OUT_OF_RANGE: _bindgen_ty_1 = 11;
pub const POLYHOST_UNIMPLEMENTED: _bindgen_ty_1 = 12;
pub const POLYHOST_INTERNAL: _bindgen_ty_1 = 13;
pub const POLYHOST_UNAVAILABLE: _bindgen_ty_1 = 14;
pub const POLYHOST_DATA_LOSS: _bindgen_ty_1 = 15;
pub const POLYHOST_UNAUTHENTICATED: _bindgen_ty_1 = 16;
pub type _bindgen_ty_1 = ::std::os::raw::c_uint;
pub const POLYHOST_LOG_TRACE: _bindgen_ty_2 = 1;
pub const POLYHOST_LOG_DEBUG: _bindgen_ty_2 = 2;
pub const POLYHOST_LOG_INFO: _bindgen_ty_2 = 3;
pub const POLYHOST_LOG_WARN: _bindgen_ty_2 = 4;
pub const POLYHOST_LOG_ERROR: _bindgen_ty_2 = 5;
pub type _bindgen_ty_2 = ::std::os::raw::c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct PolyhostSlice {
    pub data: *const u8,
    pub len: usize,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of PolyhostSlice"][::std::mem::size_of::<PolyhostSlice>() - 16usize];
    ["Alignment of PolyhostSlice"][::std::mem::align_of::<PolyhostSlice>() - 8usize];
    [
        "Offset of field: PolyhostSlice::data",
    ][::std::mem::offset_of!(PolyhostSlice, data) - 0usize];
    [
        "Offset of field: PolyhostSlice::len",
    ][::std::mem::offset_of!(PolyhostSlice, len) - 8usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct PolyhostOutput {
    pub data: *mut u8,
    pub len: usize,
    pub capacity: usize,
    pub limit: usize,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of PolyhostOutput"][::std::mem::size_of::<PolyhostOutput>() - 32usize];
    ["Alignment of PolyhostOutput"][::std::mem::align_of::<PolyhostOutput>() - 8usize];
    [
        "Offset of field: PolyhostOutput::data",
    ][::std::mem::offset_of!(PolyhostOutput, data) - 0usize];
    [
        "Offset of field: PolyhostOutput::len",
    ][::std::mem::offset_of!(PolyhostOutput, len) - 8usize];
    [
        "Offset of field: PolyhostOutput::capacity",
    ][::std::mem::offset_of!(PolyhostOutput, capacity) - 16usize];
    [
        "Offset of field: PolyhostOutput::limit",
    ][::std::mem::offset_of!(PolyhostOutput, limit) - 24usize];
};
#[repr(C)]
#[derive(Debug)]
pub struct PolyhostCall {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct PolyhostHost {
    pub size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub output_reserve: ::std::option::Option<
        unsafe extern "C" fn(
            output: *mut PolyhostOutput,
            additional: usize,
        ) -> PolyhostStatus,
    >,
    pub output_new: ::std::option::Option<
        unsafe extern "C" fn(limit: usize) -> *mut PolyhostOutput,
    >,
    pub output_free: ::std::option::Option<
        unsafe extern "C" fn(output: *mut PolyhostOutput),
    >,
    pub cancelled: ::std::option::Option<
        unsafe extern "C" fn(call: *const PolyhostCall) -> PolyhostStatus,
    >,
    pub remaining: ::std::option::Option<
        unsafe extern "C" fn(call: *const PolyhostCall) -> i64,
    >,
    pub metadata: ::std::option::Option<
        unsafe extern "C" fn(
            call: *const PolyhostCall,
            index: usize,
            key: *mut PolyhostSlice,
            value: *mut PolyhostSlice,
        ) -> PolyhostStatus,
    >,
    pub watch: ::std::option::Option<
        unsafe extern "C" fn(call: *mut PolyhostCall) -> u64,
    >,
    pub service_find: ::std::option::Option<
        unsafe extern "C" fn(
            call: *mut PolyhostCall,
            name: PolyhostSlice,
            service: *mut u32,
        ) -> PolyhostStatus,
    >,
    pub service_call: ::std::option::Option<
        unsafe extern "C" fn(
            call: *mut PolyhostCall,
            service: u32,
            input: PolyhostSlice,
            output: *mut PolyhostOutput,
        ) -> PolyhostStatus,
    >,
    pub service_error: ::std::option::Option<
        unsafe extern "C" fn(
            call: *mut PolyhostCall,
            report: *mut PolyhostOutput,
            message: *mut PolyhostSlice,
        ) -> PolyhostStatus,
    >,
    pub error: ::std::option::Option<
        unsafe extern "C" fn(call: *mut PolyhostCall, message: PolyhostSlice),
    >,
    pub error_report: ::std::option::Option<
        unsafe extern "C" fn(call: *mut PolyhostCall, report: PolyhostSlice),
    >,
    pub log: ::std::option::Option<
        unsafe extern "C" fn(
            module: u64,
            call: *const PolyhostCall,
            level: i32,
            target: PolyhostSlice,
            message: PolyhostSlice,
        ),
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of PolyhostHost"][::std::mem::size_of::<PolyhostHost>() - 112usize];
    ["Alignment of PolyhostHost"][::std::mem::align_of::<PolyhostHost>() - 8usize];
    [
        "Offset of field: PolyhostHost::size",
    ][::std::mem::offset_of!(PolyhostHost, size) - 0usize];
    [
        "Offset of field: PolyhostHost::abi_major",
    ][::std::mem::offset_of!(PolyhostHost, abi_major) - 4usize];
    [
        "Offset of field: PolyhostHost::abi_minor",
    ][::std::mem::offset_of!(PolyhostHost, abi_minor) - 6usize];
    [
        "Offset of field: PolyhostHost::output_reserve",
    ][::std::mem::offset_of!(PolyhostHost, output_reserve) - 8usize];
    [
        "Offset of field: PolyhostHost::output_new",
    ][::std::mem::offset_of!(PolyhostHost, output_new) - 16usize];
    [
        "Offset of field: PolyhostHost::output_free",
    ][::std::mem::offset_of!(PolyhostHost, output_free) - 24usize];
    [
        "Offset of field: PolyhostHost::cancelled",
    ][::std::mem::offset_of!(PolyhostHost, cancelled) - 32usize];
    [
        "Offset of field: PolyhostHost::remaining",
    ][::std::mem::offset_of!(PolyhostHost, remaining) - 40usize];
    [
        "Offset of field: PolyhostHost::metadata",
    ][::std::mem::offset_of!(PolyhostHost, metadata) - 48usize];
    [
        "Offset of field: PolyhostHost::watch",
    ][::std::mem::offset_of!(PolyhostHost, watch) - 56usize];
    [
        "Offset of field: PolyhostHost::service_find",
    ][::std::mem::offset_of!(PolyhostHost, service_find) - 64usize];
    [
        "Offset of field: PolyhostHost::service_call",
    ][::std::mem::offset_of!(PolyhostHost, service_call) - 72usize];
    [
        "Offset of field: PolyhostHost::service_error",
    ][::std::mem::offset_of!(PolyhostHost, service_error) - 80usize];
    [
        "Offset of field: PolyhostHost::error",
    ][::std::mem::offset_of!(PolyhostHost, error) - 88usize];
    [
        "Offset of field: PolyhostHost::error_report",
    ][::std::mem::offset_of!(PolyhostHost, error_report) - 96usize];
    [
        "Offset of field: PolyhostHost::log",
    ][::std::mem::offset_of!(PolyhostHost, log) - 104usize];
};
pub const POLYHOST_SOURCE_SELF: _bindgen_ty_3 = 0;
pub const POLYHOST_SOURCE_PATH: _bindgen_ty_3 = 1;
pub const POLYHOST_SOURCE_BYTES: _bindgen_ty_3 = 2;
pub const POLYHOST_SOURCE_TEXT: _bindgen_ty_3 = 3;
pub type _bindgen_ty_3 = ::std::os::raw::c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct PolyhostSource {
    pub size: u32,
    pub kind: u32,
    pub name: PolyhostSlice,
    pub data: PolyhostSlice,
    pub module: u64,
    pub options: PolyhostSlice,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of PolyhostSource"][::std::mem::size_of::<PolyhostSource>() - 64usize];
    ["Alignment of PolyhostSource"][::std::mem::align_of::<PolyhostSource>() - 8usize];
    [
        "Offset of field: PolyhostSource::size",
    ][::std::mem::offset_of!(PolyhostSource, size) - 0usize];
    [
        "Offset of field: PolyhostSource::kind",
    ][::std::mem::offset_of!(PolyhostSource, kind) - 4usize];
    [
        "Offset of field: PolyhostSource::name",
    ][::std::mem::offset_of!(PolyhostSource, name) - 8usize];
    [
        "Offset of field: PolyhostSource::data",
    ][::std::mem::offset_of!(PolyhostSource, data) - 24usize];
    [
        "Offset of field: PolyhostSource::module",
    ][::std::mem::offset_of!(PolyhostSource, module) - 40usize];
    [
        "Offset of field: PolyhostSource::options",
    ][::std::mem::offset_of!(PolyhostSource, options) - 48usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct PolyhostExport {
    pub size: u32,
    pub reserved: u32,
    pub function: u64,
    pub name: PolyhostSlice,
    pub input_type: PolyhostSlice,
    pub output_type: PolyhostSlice,
    pub doc: PolyhostSlice,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of PolyhostExport"][::std::mem::size_of::<PolyhostExport>() - 80usize];
    ["Alignment of PolyhostExport"][::std::mem::align_of::<PolyhostExport>() - 8usize];
    [
        "Offset of field: PolyhostExport::size",
    ][::std::mem::offset_of!(PolyhostExport, size) - 0usize];
    [
        "Offset of field: PolyhostExport::reserved",
    ][::std::mem::offset_of!(PolyhostExport, reserved) - 4usize];
    [
        "Offset of field: PolyhostExport::function",
    ][::std::mem::offset_of!(PolyhostExport, function) - 8usize];
    [
        "Offset of field: PolyhostExport::name",
    ][::std::mem::offset_of!(PolyhostExport, name) - 16usize];
    [
        "Offset of field: PolyhostExport::input_type",
    ][::std::mem::offset_of!(PolyhostExport, input_type) - 32usize];
    [
        "Offset of field: PolyhostExport::output_type",
    ][::std::mem::offset_of!(PolyhostExport, output_type) - 48usize];
    [
        "Offset of field: PolyhostExport::doc",
    ][::std::mem::offset_of!(PolyhostExport, doc) - 64usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct PolyhostModule {
    pub size: u32,
    pub reserved: u32,
    pub module: u64,
    pub exports: *const PolyhostExport,
    pub exports_len: usize,
    pub descriptors: PolyhostSlice,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of PolyhostModule"][::std::mem::size_of::<PolyhostModule>() - 48usize];
    ["Alignment of PolyhostModule"][::std::mem::align_of::<PolyhostModule>() - 8usize];
    [
        "Offset of field: PolyhostModule::size",
    ][::std::mem::offset_of!(PolyhostModule, size) - 0usize];
    [
        "Offset of field: PolyhostModule::reserved",
    ][::std::mem::offset_of!(PolyhostModule, reserved) - 4usize];
    [
        "Offset of field: PolyhostModule::module",
    ][::std::mem::offset_of!(PolyhostModule, module) - 8usize];
    [
        "Offset of field: PolyhostModule::exports",
    ][::std::mem::offset_of!(PolyhostModule, exports) - 16usize];
    [
        "Offset of field: PolyhostModule::exports_len",
    ][::std::mem::offset_of!(PolyhostModule, exports_len) - 24usize];
    [
        "Offset of field: PolyhostModule::descriptors",
    ][::std::mem::offset_of!(PolyhostModule, descriptors) - 32usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct PolyhostGuest {
    pub size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub name: PolyhostSlice,
    pub version: PolyhostSlice,
    pub open: ::std::option::Option<
        unsafe extern "C" fn(
            call: *mut PolyhostCall,
            source: *const PolyhostSource,
            module: *mut PolyhostModule,
        ) -> PolyhostStatus,
    >,
    pub close: ::std::option::Option<
        unsafe extern "C" fn(
            call: *mut PolyhostCall,
            module: u64,
            held: *mut PolyhostOutput,
        ) -> PolyhostStatus,
    >,
    pub call: ::std::option::Option<
        unsafe extern "C" fn(
            function: u64,
            call: *mut PolyhostCall,
            input: *const u8,
            input_len: usize,
            output: *mut PolyhostOutput,
        ) -> PolyhostStatus,
    >,
    pub cancel: ::std::option::Option<unsafe extern "C" fn(id: u64)>,
    pub shutdown: ::std::option::Option<unsafe extern "C" fn()>,
    pub heap: ::std::option::Option<unsafe extern "C" fn() -> u64>,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of PolyhostGuest"][::std::mem::size_of::<PolyhostGuest>() - 88usize];
    ["Alignment of PolyhostGuest"][::std::mem::align_of::<PolyhostGuest>() - 8usize];
    [
        "Offset of field: PolyhostGuest::size",
    ][::std::mem::offset_of!(PolyhostGuest, size) - 0usize];
    [
        "Offset of field: PolyhostGuest::abi_major",
    ][::std::mem::offset_of!(PolyhostGuest, abi_major) - 4usize];
    [
        "Offset of field: PolyhostGuest::abi_minor",
    ][::std::mem::offset_of!(PolyhostGuest, abi_minor) - 6usize];
    [
        "Offset of field: PolyhostGuest::name",
    ][::std::mem::offset_of!(PolyhostGuest, name) - 8usize];
    [
        "Offset of field: PolyhostGuest::version",
    ][::std::mem::offset_of!(PolyhostGuest, version) - 24usize];
    [
        "Offset of field: PolyhostGuest::open",
    ][::std::mem::offset_of!(PolyhostGuest, open) - 40usize];
    [
        "Offset of field: PolyhostGuest::close",
    ][::std::mem::offset_of!(PolyhostGuest, close) - 48usize];
    [
        "Offset of field: PolyhostGuest::call",
    ][::std::mem::offset_of!(PolyhostGuest, call) - 56usize];
    [
        "Offset of field: PolyhostGuest::cancel",
    ][::std::mem::offset_of!(PolyhostGuest, cancel) - 64usize];
    [
        "Offset of field: PolyhostGuest::shutdown",
    ][::std::mem::offset_of!(PolyhostGuest, shutdown) - 72usize];
    [
        "Offset of field: PolyhostGuest::heap",
    ][::std::mem::offset_of!(PolyhostGuest, heap) - 80usize];
};
pub type PolyhostGuestEntry = ::std::option::Option<
    unsafe extern "C" fn(
        host: *const PolyhostHost,
        guest: *mut PolyhostGuest,
        reason: *mut PolyhostSlice,
    ) -> PolyhostStatus,
>;
