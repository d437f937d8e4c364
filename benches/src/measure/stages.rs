//! Where the time of a call goes.
//!
//! Without a clock in the guest: a stage is done so many times within one call, and what a time more costs its caller is
//! what the stage costs. The call itself, with the message that asks for it, costs the same for any number of times.

use std::hint::black_box;
use std::time::Instant;

use polyhost::{CallContext, Function, Module, Output};
use polyhost_proto::bench::v1::{RepeatRequest, Stage};
use prost::Message;

use super::clock;
use crate::stats::median;

/// How a caller makes a request's bytes of its message, and reads a reply; each so many times.
#[derive(Clone, Copy)]
pub(crate) struct Codec {
    encode: fn(&[u8], u64) -> Result<(), String>,
    decode: fn(&[u8], u64) -> Result<(), String>,
}

impl Codec {
    /// Of a method with these messages.
    pub(crate) fn of<Req: Message + Default, Rep: Message + Default>() -> Codec {
        Codec { encode: encode::<Req>, decode: decode::<Rep> }
    }

    /// Nanoseconds to make the bytes of a request.
    ///
    /// # Errors
    /// Where the bytes are none.
    pub(crate) fn encode(self, request: &[u8]) -> Result<f64, String> {
        // The message itself is made once each time, and so falls out.
        a_time_more(|times| timed(|| (self.encode)(request, times)))
    }

    /// Nanoseconds to read a reply.
    ///
    /// # Errors
    /// Where the bytes are none.
    pub(crate) fn decode(self, reply: &[u8]) -> Result<f64, String> {
        a_time_more(|times| timed(|| (self.decode)(reply, times)))
    }
}

fn encode<M: Message + Default>(bytes: &[u8], times: u64) -> Result<(), String> {
    let message = M::decode(bytes).map_err(|e| e.to_string())?;
    (0..times).for_each(|_| drop(black_box(black_box(&message).encode_to_vec())));
    Ok(())
}

fn decode<M: Message + Default>(bytes: &[u8], times: u64) -> Result<(), String> {
    for _ in 0..times {
        black_box(M::decode(black_box(bytes)).map_err(|e| e.to_string())?);
    }
    Ok(())
}

/// The export of guests that does a stage so many times.
const REPEAT: &str = "bench.v1.Stages/Repeat";

/// Nanoseconds of a method's own code in the guest, with its reading and writing of bytes; `None` where the guest has
/// nothing to tell it.
///
/// # Errors
/// What the guest fails with.
pub(crate) fn guest(module: &dyn Module, method: &str, inputs: Vec<Vec<u8>>) -> Result<Option<f64>, String> {
    if !module.exports().iter().any(|export| export.name() == REPEAT) {
        return Ok(None);
    }
    let function = module.function(REPEAT).map_err(|e| e.to_string())?;
    let mut request = RepeatRequest { method: method.to_owned(), stage: Stage::Encode.into(), times: 0, inputs };
    // A method that it does not repeat, and any other failure, shows in the first call.
    if repeat(&*function, &mut request, 1).is_err() {
        return Ok(None);
    }
    a_time_more(|times| timed(|| repeat(&*function, &mut request, times))).map(Some)
}

fn repeat(function: &dyn Function, request: &mut RepeatRequest, times: u64) -> Result<(), String> {
    request.times = u32::try_from(times).map_err(|_| "a stage takes no time at all".to_owned())?;
    let mut output = Output::new();
    function.call(&CallContext::none(), &request.encode_to_vec(), &mut output).map_err(|e| e.to_string())
}

fn timed(run: impl FnOnce() -> Result<(), String>) -> Result<f64, String> {
    let started = Instant::now();
    run()?;
    Ok(clock::nanos(started, Instant::now()))
}

/// What is long against the clock, and what else is in a call.
const LONG: f64 = 2e6;
/// Pairs of a short and a long call.
const PAIRS: usize = 11;
const MOST: u64 = 1 << 30;

/// What doing it once more takes: the slope from so many times to twice as many.
fn a_time_more(mut nanos_of: impl FnMut(u64) -> Result<f64, String>) -> Result<f64, String> {
    let mut times = 1;
    while nanos_of(times)? < LONG && times < MOST {
        times *= 2;
    }
    let mut slopes = Vec::with_capacity(PAIRS);
    for _ in 0..PAIRS {
        let (once, twice) = (nanos_of(times)?, nanos_of(2 * times)?);
        slopes.push((twice - once) / times as f64);
    }
    Ok(median(&mut slopes).max(0.0))
}

#[cfg(test)]
mod tests {
    use polyhost::native::NativeModule;
    use polyhost::{Code, Error, Export};
    use polyhost_proto::bench::v1::{SumReply, SumRequest};

    use super::*;

    #[test]
    fn what_a_call_costs_besides_falls_out() {
        // A call of 1 ms, and 70 ns each time.
        assert_eq!(Ok(70.0), a_time_more(|times| Ok(1e6 + 70.0 * times as f64)));
        // A stall in some of them is no slope.
        let mut calls = 0;
        let stalled = a_time_more(|times| {
            calls += 1;
            Ok(70.0 * times as f64 + if calls % 7 == 0 { 5e7 } else { 0.0 })
        });
        assert_eq!(Ok(70.0), stalled);
        assert_eq!(Err("no".to_owned()), a_time_more(|_| Err("no".to_owned())));
        assert_eq!(Ok(0.0), a_time_more(|_| Ok(5.0)), "it ends where nothing takes any time");
    }

    #[test]
    fn messages_are_written_and_read() {
        let codec = Codec::of::<SumRequest, SumReply>();
        let request = SumRequest { integers: vec![1, 2, 3], doubles: vec![0.5] }.encode_to_vec();
        let reply = SumReply { integers: 6, doubles: 0.5 }.encode_to_vec();
        assert!(codec.encode(&request).is_ok_and(|nanos| nanos >= 0.0));
        assert!(codec.decode(&reply).is_ok_and(|nanos| nanos >= 0.0));
        assert!(codec.decode(b"\xff").is_err() && codec.encode(b"\xff").is_err());
    }

    #[test]
    fn a_guest_that_tells_nothing_is_no_failure() {
        let module = |name: &str| {
            NativeModule::builder("guest")
                .export(Export::bytes(name), |_cx, _, _| Err(Error::status(Code::NotFound, "no such method")))
                .build()
                .expect("it is one")
        };
        assert_eq!(Ok(None), guest(&*module("other"), "a", vec![vec![]]));
        assert_eq!(Ok(None), guest(&*module(REPEAT), "a", vec![vec![]]));
    }
}
