//! Many calls at a time.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;

use polyhost_bridge::{BoxFuture, CallContext, CancelToken, Capabilities, ErrorKind, LoadOptions, Module, Services};
use polyhost_proto::conformance::v1::{AddRequest, AllTypes, FailRequest};
use prost::Message;

use super::{
    ADD, CALL_SERVICE, ECHO, ECHO_ASYNC, FAIL, RAW_ECHO, RAW_READ_FILE, SPIN, expect_kind, function, service_request,
};
use crate::case::{Case, Cx, block_on, case};
use crate::meeting::Meeting;
use crate::subject::service;

const N: usize = 16;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("concurrency::calls_that_wait_for_each_other_in_a_service_all_arrive")
            .needs(Capabilities::CONCURRENT_WAIT)
            .run(|cx| meet(cx, 1)),
        case("concurrency::calls_into_instances_that_wait_for_each_other_all_arrive")
            .needs(Capabilities::INSTANCES)
            .run(|cx| meet(cx, N)),
        case("concurrency::calls_that_block_in_io_do_not_hold_up_others")
            .needs(Capabilities::CONCURRENT_WAIT)
            .run(|cx| block_in_io(cx, 1)),
        case("concurrency::calls_into_instances_that_block_in_io_do_not_hold_up_others")
            .needs(Capabilities::INSTANCES)
            .run(|cx| block_in_io(cx, N)),
        case("concurrency::an_instance_has_a_state_of_its_own").needs(Capabilities::INSTANCES).run(|cx| {
            // While one call holds an instance, another call finds another.
            let meeting = Arc::new(Meeting::of(2));
            let module = load(cx, 2, meeting.clone());
            let wait = service_request("meet", b"").encode_to_vec();
            let call = (function(&*module, CALL_SERVICE.name()), CallContext::none(), wait);
            for outcome in cx.call_all(&[call.clone(), call]) {
                outcome.unwrap_or_else(|error| panic!("{error:?}"));
            }
            let add = || cx.invoke(&*module, ADD, &AddRequest { n: 1 }).expect("adds").sum;
            let sums: Vec<_> = (0..10).map(|_| add()).collect();
            assert!(sums.iter().all(|sum| (1..=10).contains(sum)), "{sums:?}");
        }),
        case("concurrency::calls_from_many_threads_do_not_mix").run(|cx| {
            let module = cx.module();
            std::thread::scope(|scope| {
                for thread in 0..8 {
                    let module = &*module;
                    scope.spawn(move || {
                        for i in 0..200 {
                            let text = format!("{thread}/{i}");
                            let request =
                                AllTypes { f_string: text.clone(), r_int32: vec![thread; 20], ..AllTypes::default() };
                            assert_eq!(request, cx.invoke(module, ECHO, &request).expect("echoes"));
                            let fail = FailRequest { message: text.clone(), code: 9, ..FailRequest::default() };
                            let error = cx.invoke(module, FAIL, &fail).expect_err("fails");
                            assert_eq!(text, error.guest().expect("was raised").message);
                        }
                    });
                }
            });
        }),
        case("concurrency::no_addition_is_lost").run(|cx| {
            let module = cx.module();
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        for _ in 0..200 {
                            cx.invoke(&*module, ADD, &AddRequest { n: 1 }).expect("adds");
                        }
                    });
                }
            });
            assert_eq!(1600, cx.invoke(&*module, ADD, &AddRequest { n: 0 }).expect("adds").sum);
        }),
        case("concurrency::two_calls_compute_at_the_same_time")
            .needs(Capabilities::PARALLEL)
            .run_alone(at_the_same_time),
        case("concurrency::thousands_of_suspended_calls_need_no_threads")
            .needs(Capabilities::NATIVE_ASYNC)
            .once()
            .run_alone(suspend_thousands),
    ]
}

/// The guest with `instances`, and a service `meet`.
fn load(cx: &Cx<'_>, instances: usize, meeting: Arc<Meeting>) -> Arc<dyn Module> {
    let mut services = Services::new();
    services
        .add(service("meet", move |_, input, output| {
            meeting.arrive()?;
            output.write(input)
        }))
        .expect("is new");
    let options = LoadOptions::new().services(services).instances(instances);
    cx.load(&options).unwrap_or_else(|error| panic!("{error:?}"))
}

/// Each of the calls waits in a host service until all of them are there.
fn meet(cx: &Cx<'_>, instances: usize) {
    let module = load(cx, instances, Arc::new(Meeting::of(N)));
    let call = function(&*module, CALL_SERVICE.name());
    let input = |i: usize| service_request("meet", &[i as u8]).encode_to_vec();
    let calls: Vec<_> = (0..N).map(|i| (call.clone(), CallContext::none(), input(i))).collect();
    for (i, reply) in cx.call_all(&calls).into_iter().enumerate() {
        let reply = reply.unwrap_or_else(|error| panic!("{error:?}"));
        // Field 1, one byte.
        assert_eq!([0x0a, 1, i as u8], *reply);
    }
}

/// Each of the calls blocks in the guest's own I/O: it reads a pipe that is written to once all are there. Meanwhile
/// another call goes through.
fn block_in_io(cx: &Cx<'_>, instances: usize) {
    // One more than those that block, for the other call.
    let spare = if instances > 1 { instances + 1 } else { 1 };
    let module = cx.load(&LoadOptions::new().instances(spare)).expect("loads");
    if module.exports().iter().all(|export| export.name() != RAW_READ_FILE) {
        cx.skip("the guest's language lets it read no files");
    }
    let pipes = Pipes::new();
    let read = function(&*module, RAW_READ_FILE);
    let call = |path: &PathBuf| (read.clone(), CallContext::none(), path.display().to_string().into_bytes());
    let calls: Vec<_> = pipes.0.iter().map(call).collect();
    let gate = Meeting::gate();
    let (opened, is_open) = mpsc::channel();
    std::thread::scope(|scope| {
        let all = scope.spawn(|| cx.call_all(&calls));
        for path in &pipes.0 {
            let (opened, gate) = (opened.clone(), &gate);
            scope.spawn(move || {
                // Waits for the guest to open it too, which then reads on until this end is closed.
                let mut pipe = OpenOptions::new().write(true).open(path).expect("it is there");
                opened.send(()).expect("the case waits");
                let _ = gate.arrive();
                let _ = pipe.write_all(b"x");
            });
        }
        let arrived = (0..N).map_while(|_| is_open.recv_timeout(crate::PATIENCE).ok()).count();
        let other = cx.call(&function(&*module, RAW_ECHO), &CallContext::none(), b"hi");
        // Before anything can fail: they have to come back.
        gate.open();
        let replies = all.join().expect("no panic");
        pipes.let_go();
        assert_eq!(N, arrived, "the others were held up by those that block");
        assert_eq!(b"hi", &*other.expect("goes through"));
        for reply in replies {
            assert_eq!(b"x", &*reply.unwrap_or_else(|error| panic!("{error:?}")));
        }
    });
}

/// Pipes with names, in a folder of their own.
struct Pipes(Vec<PathBuf>);

impl Pipes {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("polyhost-pipes-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).expect("there is room for temporary files");
        let pipes = Pipes((0..N).map(|n| folder.join(n.to_string())).collect());
        let status = Command::new("mkfifo").args(&pipes.0).status().expect("every Unix has it");
        assert!(status.success(), "mkfifo: {status}");
        pipes
    }

    /// Lets those go who wait for a guest that never came.
    fn let_go(&self) {
        for path in &self.0 {
            // On Linux this waits for nobody.
            drop(OpenOptions::new().read(true).write(true).open(path).expect("it is there"));
        }
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        let folder = self.0[0].parent().expect("it is in one");
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// Two threads that are never seen waiting while they compute: a lock in the runtime would put one of them to sleep
/// again and again, and each time the kernel counts.
fn at_the_same_time(cx: &Cx<'_>) {
    if !(cx.has(Capabilities::INTERRUPT) || cx.has(Capabilities::COOPERATIVE_CANCEL)) {
        cx.skip("nothing could end the calls again");
    }
    let module = cx.module();
    let spin = function(&*module, SPIN.name());
    let stop = CancelToken::new();
    let context = CallContext::none().with_cancel(&stop);
    std::thread::scope(|scope| {
        let before: Vec<_> = threads().into_iter().map(|thread| thread.id).collect();
        let calls = [(spin.clone(), context.clone(), Vec::new()), (spin, context, Vec::new())];
        let spinning = scope.spawn(move || cx.call_all(&calls));
        let ticks = 20;
        let busy = || -> Vec<Thread> {
            threads().into_iter().filter(|it| !before.contains(&it.id) && it.ticks >= ticks).collect()
        };
        // Both have computed for a while: that is the event. Reading /proc is all this thread does.
        let mut first = busy();
        while first.len() < 2 && !spinning.is_finished() {
            first = busy();
        }
        let started: Vec<_> = first.iter().map(|it| (it.id, it.ticks, it.waits)).collect();
        let mut waits = vec![0; started.len()];
        while !spinning.is_finished() {
            let now = threads();
            let found: Vec<_> = started.iter().filter_map(|(id, ..)| now.iter().find(|it| it.id == *id)).collect();
            waits = started.iter().zip(&found).map(|((_, _, before), it)| it.waits - before).collect();
            if found.iter().zip(&started).all(|(it, (_, before, _))| it.ticks >= before + ticks) {
                break;
            }
        }
        stop.cancel();
        for outcome in spinning.join().expect("no panic") {
            expect_kind(ErrorKind::Cancelled, &outcome.expect_err("spins until it is cancelled"));
        }
        // In 200 ms of computing each. Whoever takes turns at the usual 5 ms waits 40 times.
        assert!(waits.len() == 2 && waits.iter().all(|&it| it < 20), "while they computed they waited {waits:?} times");
    });
}

/// More calls than there may be workers and places in their queue, all suspended at the same time.
fn suspend_thousands(cx: &Cx<'_>) {
    let echo = function(&*cx.module(), ECHO_ASYNC.name());
    let request = |text: &str| AllTypes { f_string: text.into(), ..AllTypes::default() }.encode_to_vec();
    let stop = CancelToken::new();
    let context = CallContext::none().with_cancel(&stop);
    let mut calls: Vec<_> = (0..3000).map(|_| cx.future(&echo, &context, &request("suspend"))).collect();
    let early = block_on(poll_all_once(&mut calls));
    assert!(early.is_empty(), "{} did not suspend, the first: {:?}", early.len(), early[0]);
    // Nobody stands in the way of the next one.
    let reply = block_on(cx.future(&echo, &CallContext::none(), &request("hi"))).expect("echoes");
    assert_eq!(request("hi"), &*reply);
    stop.cancel();
    for call in calls {
        expect_kind(ErrorKind::Cancelled, &block_on(call).expect_err("was cancelled"));
    }
}

/// Polls each once, and returns what was there.
async fn poll_all_once<T>(futures: &mut [BoxFuture<'static, T>]) -> Vec<T> {
    std::future::poll_fn(|context| {
        let now = futures.iter_mut().filter_map(|future| match future.as_mut().poll(context) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        });
        Poll::Ready(now.collect())
    })
    .await
}

struct Thread {
    id: u32,
    /// Processor time in hundredths of a second.
    ticks: u64,
    /// How often it went to sleep.
    waits: u64,
}

/// The threads of this process, as Linux tells.
fn threads() -> Vec<Thread> {
    let folder = std::fs::read_dir("/proc/self/task").expect("this is Linux");
    let thread = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.ok()?.path();
        // One that has ended meanwhile is left out.
        let stat = std::fs::read_to_string(path.join("stat")).ok()?;
        let status = std::fs::read_to_string(path.join("status")).ok()?;
        // proc_pid_stat(5): `id (name) state …`, user and system time are fields 14 and 15.
        let (head, tail) = stat.rsplit_once(')')?;
        let (id, _name) = head.split_once(" (")?;
        let fields: Vec<_> = tail.split_whitespace().collect();
        let number = |field: &str| field.parse::<u64>().ok();
        let waits = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        Some(Thread {
            id: id.parse().ok()?,
            ticks: number(fields.get(11)?)? + number(fields.get(12)?)?,
            waits: number(waits.trim())?,
        })
    };
    folder.filter_map(thread).collect()
}
