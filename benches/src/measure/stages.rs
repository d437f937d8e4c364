//! Where the time of a call goes.
//!
//! Without a clock in the guest: a stage is done so many times within one call, and what a time more costs its caller is
//! what the stage costs. The call itself, with the message that asks for it, costs the same for any number of times.

use std::hint::black_box;
use std::time::Instant;

use polyhost::Output;
use polyhost_proto::bench::v1::{RepeatRequest, Stage};
use prost::Message;

use super::clock;
use crate::contenders::Caller;
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

/// Nanoseconds of the caller's encoding, the share of a call that is the guest's own code, and nanoseconds of the caller's
/// decoding; or why they are not known.
pub(crate) type Told = Result<(f64, f64, f64), String>;

/// The export of guests that does a stage so many times.
pub(crate) const REPEAT: &str = "bench.v1.Stages/Repeat";

/// The share of a call that is a method's own code in the guest, with its reading and writing of bytes, by way of a
/// caller of [`REPEAT`]. `call` gives the nanoseconds that a call takes now.
///
/// # Errors
/// What the guest fails with, such as that it has no such method.
pub(crate) fn guest(
    repeater: &mut dyn Caller,
    method: &str,
    inputs: Vec<Vec<u8>>,
    call: impl FnMut() -> Result<f64, String>,
) -> Result<f64, String> {
    let mut request = RepeatRequest { method: method.to_owned(), stage: Stage::Encode.into(), times: 0, inputs };
    let mut output = Output::new();
    let nanos_of = |times| {
        request.times = u32::try_from(times).map_err(|_| "a stage takes no time at all".to_owned())?;
        let bytes = request.encode_to_vec();
        output.clear();
        timed(|| repeater.call(&bytes, &mut output).map_err(|e| e.to_string()))
    };
    a_time_more_of(nanos_of, call)
}

fn timed(run: impl FnOnce() -> Result<(), String>) -> Result<f64, String> {
    let started = Instant::now();
    run()?;
    Ok(clock::nanos(started, Instant::now()))
}

/// What is long against the clock, and against what a call takes now more and now less.
const LONG: f64 = 2e6;
/// From here on, one time is long enough by itself.
const SLOW: f64 = 1e8;
/// Pairs of a short and a long call: as many, unless they took longer than this.
const PAIRS: usize = 11;
const BUDGET: f64 = 1e9;
const MOST: u64 = 1 << 30;

/// What doing it once more takes: the slope from so many times to twice as many.
fn a_time_more(nanos_of: impl FnMut(u64) -> Result<f64, String>) -> Result<f64, String> {
    a_time_more_of(nanos_of, || Ok(1.0))
}

/// The same, of what `whole` takes. The two are asked in turn, so that what slows the machine slows both alike.
fn a_time_more_of(
    mut nanos_of: impl FnMut(u64) -> Result<f64, String>,
    mut whole: impl FnMut() -> Result<f64, String>,
) -> Result<f64, String> {
    // The first call may compile, or connect.
    let mut quicker_of_two = |times| Ok::<_, String>(nanos_of(times)?.min(nanos_of(times)?));
    let one = quicker_of_two(1)?;
    let (mut times, mut nanos) = (1, one);
    while one < SLOW && nanos - one < LONG && times < MOST {
        times *= 2;
        nanos = quicker_of_two(times)?;
    }
    let pairs = ((BUDGET / (3.0 * nanos)) as usize).clamp(1, PAIRS);
    let mut shares = Vec::with_capacity(pairs);
    for _ in 0..pairs {
        let (once, twice) = (nanos_of(times)?, nanos_of(2 * times)?);
        shares.push((twice - once) / times as f64 / whole()?);
    }
    Ok(median(&mut shares).max(0.0))
}

#[cfg(test)]
mod tests {
    use polyhost_proto::bench::v1::{SumReply, SumRequest};

    use super::*;
    use crate::contenders::FunctionCaller;

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
        // A first call that takes long does not stand for the others.
        let mut calls = 0;
        let compiled = a_time_more(|times| {
            calls += 1;
            Ok(70.0 * times as f64 + if calls == 1 { 5e7 } else { 0.0 })
        });
        assert_eq!(Ok(70.0), compiled);
        assert_eq!(Err("no".to_owned()), a_time_more(|_| Err("no".to_owned())));
        assert_eq!(Ok(0.0), a_time_more(|_| Ok(5.0)), "it ends where nothing takes any time");
    }

    #[test]
    fn a_machine_that_slows_down_slows_the_whole_too() {
        let pace = std::cell::Cell::new(1.0);
        let part = |times| Ok(pace.get() * (1e6 + 70.0 * times as f64));
        let whole = || {
            let now = pace.replace(pace.get() * 1.5);
            Ok(now * 280.0)
        };
        assert!(a_time_more_of(part, whole).is_ok_and(|share| (share - 0.25).abs() < 1e-6));
        assert_eq!(Err("no".to_owned()), a_time_more_of(|times| Ok(1e6 * times as f64), || Err("no".to_owned())));
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
    fn a_guest_that_tells_nothing_says_why() {
        let mut repeater = FunctionCaller::new(crate::peer::stages::repeater());
        let error = guest(&mut repeater, "bench.v1.Bench/None", vec![vec![]], || Ok(1.0)).expect_err("there is none");
        assert!(error.contains("no method bench.v1.Bench/None"), "{error}");
        let share = guest(&mut repeater, "bench.v1.Bench/Echo", vec![vec![7; 64]], || Ok(1e9));
        assert!(share.is_ok_and(|share| (0.0..1.0).contains(&share)));
    }

    #[test]
    fn a_slow_guest_is_asked_less_often() {
        let mut calls = 0;
        let slow = a_time_more(|times| {
            calls += 1;
            Ok(2e9 * times as f64)
        });
        assert_eq!((Ok(2e9), 4), (slow, calls));
    }
}
