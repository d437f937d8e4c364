//! The service `conformance.v1.Conformance` in Rust, for closures and for a shared library alike.

use std::hint::black_box;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use polyhost_bridge::{Code, Error, ErrorKind, Export, Frame, GuestError, LogLevel, Result};
use polyhost_proto::conformance::v1::misbehave_request::Deed;
use polyhost_proto::conformance::v1::*;
use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};

/// What a guest can ask of its host during a call.
pub(crate) trait Host {
    /// Calls a host service.
    fn service(&self, name: &str, input: &[u8]) -> Result<Vec<u8>>;
    /// Writes a line to the log.
    fn log(&self, level: LogLevel, message: &str);
    /// The metadata of the call.
    fn metadata(&self) -> Vec<(String, String)>;
    /// The time left, where there is a deadline.
    fn remaining(&self) -> Option<Duration>;
    /// Fails once the call is to stop.
    fn check(&self) -> Result<()>;
}

/// The state of one loaded module.
pub(crate) struct Conformance {
    sum: AtomicI64,
    all_types: MessageDescriptor,
}

pub(crate) type Handler = fn(&Conformance, &dyn Host, &[u8]) -> Result<Vec<u8>>;

impl Conformance {
    pub(crate) fn new() -> Self {
        let pool = DescriptorPool::decode(polyhost_proto::DESCRIPTORS).expect("a test compares it with its source");
        let all_types = pool.get_message_by_name(&AllTypes::full_name()).expect("it is among them");
        Conformance { sum: AtomicI64::new(0), all_types }
    }

    /// What it exports, and what runs it.
    pub(crate) fn exports() -> Vec<(Export, Handler)> {
        vec![
            (Export::bytes("raw/Echo").with_doc("Returns its input."), |_, _, input| Ok(input.to_vec())),
            (Export::bytes("raw/ReadFile").with_doc("Reads the file of that path."), |_, _, path| read_file(path)),
            (Export::bytes("raw/Trace").with_doc("Tells the call's trace."), |_, host, _| {
                let metadata = host.metadata();
                let value = |name| metadata.iter().find(|(key, _)| key == name).map_or("", |(_, value)| &**value);
                Ok(format!("{}\n{}", value("traceparent"), value("tracestate")).into_bytes())
            }),
            export::<AllTypes, AllTypes>("Echo", Conformance::echo),
            export::<AllTypes, AllTypes>("EchoAsync", Conformance::echo),
            export::<FailRequest, Nothing>("Fail", |_, _, input| fail(&decode(input)?)),
            export::<CallServiceRequest, CallServiceReply>("CallService", |_, host, input| call_service(host, input)),
            export::<Nothing, ContextReply>("Context", |_, host, input| context(host, decode(input)?)),
            export::<LogRequest, Nothing>("Log", |_, host, input| log(host, &decode(input)?)),
            export::<AddRequest, AddReply>("Add", |this, _, input| {
                let n = decode::<AddRequest>(input)?.n;
                let sum = this.sum.fetch_add(n, Ordering::Relaxed).wrapping_add(n);
                Ok(AddReply { sum }.encode_to_vec())
            }),
            export::<SpinRequest, Nothing>("Spin", |_, host, input| {
                if decode::<SpinRequest>(input)?.how() == spin_request::How::Wait {
                    return Err(Error::status(Code::Unimplemented, "native code has to look whether it is cancelled"));
                }
                loop {
                    host.check()?;
                }
            }),
            export::<RecurseRequest, RecurseReply>("Recurse", |_, _, input| {
                let depth = recurse(decode::<RecurseRequest>(input)?.depth);
                Ok(RecurseReply { depth }.encode_to_vec())
            }),
            export::<GrowRequest, GrowReply>("Grow", |_, _, input| {
                let size = usize::try_from(decode::<GrowRequest>(input)?.size).unwrap_or(usize::MAX);
                let mut payload = Vec::new();
                payload
                    .try_reserve_exact(size)
                    .map_err(|cause| Error::status(Code::ResourceExhausted, cause.to_string()))?;
                payload.resize(size, 0);
                Ok(GrowReply { payload }.encode_to_vec())
            }),
            export::<MisbehaveRequest, Nothing>("Misbehave", |_, host, input| misbehave(host, &decode(input)?)),
        ]
    }

    /// Unknown fields have to come back too, which prost drops and prost-reflect keeps.
    fn echo(&self, _host: &dyn Host, input: &[u8]) -> Result<Vec<u8>> {
        let message = DynamicMessage::decode(self.all_types.clone(), input)
            .map_err(|cause| not_the_message(&AllTypes::full_name(), cause))?;
        Ok(message.encode_to_vec())
    }
}

fn export<Req: Name, Rep: Name>(method: &str, handler: Handler) -> (Export, Handler) {
    let name = format!("conformance.v1.Conformance/{method}");
    (Export::messages(name, Req::full_name(), Rep::full_name()), handler)
}

fn decode<M: Message + Name + Default>(input: &[u8]) -> Result<M> {
    M::decode(input).map_err(|cause| not_the_message(&M::full_name(), cause))
}

fn not_the_message(name: &str, cause: prost::DecodeError) -> Error {
    Error::new(ErrorKind::Decode, format!("the input is not a {name}: {cause}")).caused_by(cause)
}

fn read_file(path: &[u8]) -> Result<Vec<u8>> {
    let path = String::from_utf8_lossy(path);
    std::fs::read(&*path).map_err(|cause| Error::status(Code::NotFound, format!("{path}: {cause}")).caused_by(cause))
}

fn fail(request: &FailRequest) -> Result<Vec<u8>> {
    let error = descend(request, request.depth);
    if !request.wrapped {
        return Err(error);
    }
    let mut outer = GuestError::new("conformance::Failure", format!("wrapped: {}", request.message));
    outer.frames.push(frame("fail", line!()));
    outer.cause = error.guest().cloned().map(Box::new);
    Err(Error::from_guest(outer))
}

/// Rust keeps no stack in an error: each function adds itself as the error passes.
fn descend(request: &FailRequest, depth: u32) -> Error {
    if depth > 0 {
        let inner = descend(request, depth - 1);
        let mut guest = inner.guest().cloned().unwrap_or_default();
        guest.frames.push(frame("descend", line!()));
        return inner.with_guest(guest);
    }
    let mut guest = GuestError::new("conformance::Failure", &request.message);
    guest.status = Code::from_number(request.code);
    guest.frames.push(frame("descend", line!()));
    Error::from_guest(guest)
}

fn frame(function: &str, line: u32) -> Frame {
    Frame::new(format!("{}::{function}", module_path!()), file!(), line)
}

fn call_service(host: &dyn Host, input: &[u8]) -> Result<Vec<u8>> {
    let request: CallServiceRequest = decode(input)?;
    let mut reply = CallServiceReply::default();
    for _ in 0..request.times.max(1) {
        match host.service(&request.service, &request.input) {
            Ok(output) => reply.output = output,
            Err(failed) if request.catch => {
                reply.code = failed.code().number();
                reply.message = failed.to_string();
                break;
            }
            Err(failed) if failed.kind() != ErrorKind::Service => return Err(failed),
            Err(failed) => {
                let mut raised = GuestError::new("ServiceError", failed.message());
                raised.status = Some(failed.code());
                raised.frames.push(frame("call_service", line!()));
                return Err(Error::from_guest(raised).caused_by(failed));
            }
        }
    }
    Ok(reply.encode_to_vec())
}

fn context(host: &dyn Host, _request: Nothing) -> Result<Vec<u8>> {
    let remaining = host.remaining();
    let reply = ContextReply {
        metadata: host.metadata().into_iter().collect(),
        has_deadline: remaining.is_some(),
        remaining_nanos: remaining.map_or(0, |left| i64::try_from(left.as_nanos()).unwrap_or(i64::MAX)),
        cancelled: host.check().is_err(),
    };
    Ok(reply.encode_to_vec())
}

fn log(host: &dyn Host, request: &LogRequest) -> Result<Vec<u8>> {
    let Some(level) = LogLevel::from_name(&request.level) else {
        return Err(Error::status(Code::InvalidArgument, format!("no log level {}", request.level)));
    };
    host.log(level, &request.message);
    Ok(Vec::new())
}

/// `depth` deep, and without end for 0: then the process ends, as the compiler guards Rust's stack and no host can.
#[inline(never)]
fn recurse(depth: u32) -> u32 {
    if depth == 1 { 1 } else { black_box(recurse(black_box(depth.wrapping_sub(1)))).wrapping_add(1) }
}

fn misbehave(host: &dyn Host, request: &MisbehaveRequest) -> Result<Vec<u8>> {
    match request.deed() {
        Deed::Unspecified => {}
        Deed::Exit => std::process::exit(9),
        Deed::ThrowOnThread => {
            // The panic ends that thread alone.
            let _ = std::thread::spawn(|| panic!("on purpose: on a thread of the guest")).join();
        }
        Deed::Null => {
            // SAFETY: none; that is the deed.
            unsafe { black_box(std::ptr::null::<u8>()).read_volatile() };
        }
        Deed::Abort => std::process::abort(),
        Deed::Log => {
            while host.check().is_ok() {
                host.log(LogLevel::Info, &"x".repeat(100));
            }
        }
        Deed::IgnoreCancel => {
            host.log(LogLevel::Info, "goes on");
            loop {
                std::hint::spin_loop();
            }
        }
        Deed::Fork => fork(),
        // SAFETY: none; that is the deed.
        Deed::CloseFiles => (3..1 << 16).for_each(|descriptor| _ = unsafe { libc::close(descriptor) }),
        Deed::ChangeFolder => std::env::set_current_dir("/").expect("it is there"),
        Deed::TakeSignal => {
            // SAFETY: none; that is the deed.
            unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
        }
        Deed::SetLocale => {
            // SAFETY: a string that ends with a null.
            unsafe { libc::setlocale(libc::LC_ALL, c"C.UTF-8".as_ptr()) };
        }
        deed @ (Deed::KeepBuffer | Deed::UseKeptBuffer | Deed::UnobservedTask | Deed::Allocate) => {
            return Err(Error::status(Code::Unimplemented, format!("Rust has no way to {}", deed.as_str_name())));
        }
    }
    Ok(Vec::new())
}

fn fork() {
    // SAFETY: the new process ends without running anything of this one's.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(0);
        }
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
}
