//! Random operations at both ends of an exchange, on two threads, against what must come out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use polyhost_http::exchange::{FileRange, Front, Sink, StoredHead};
use polyhost_http::head::{Parts, Version};
use polyhost_http::limits::Limits;
use polyhost_http::{ConnectionInfo, Data, Endpoint, Events, ExchangeId, Read, ResponseHead, SendFlags, Sent};

/// A small generator, so that a failure can be run again by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

#[test]
fn exchanges_of_different_slots_have_different_generations() {
    let info = Arc::new(ConnectionInfo::new(1, Endpoint::Unnamed, Endpoint::Unnamed, false));
    let mut seen = std::collections::HashSet::new();
    // Both at once, so that they are two slots.
    let mut fronts = [Front::new(), Front::new()];
    for _ in 0..50 {
        for front in &mut fronts {
            let (exchange, ()) = front.begin(&info, &Limits::default(), |_| ());
            assert!(seen.insert(exchange.parts().1), "{exchange:?} has the generation of another");
            exchange.release();
        }
    }
}

/// A flag to wait for: a lost wake-up leaves its thread waiting, and the watchdog ends the test.
#[derive(Default)]
struct Signal {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    fn raise(&self) {
        *self.set.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let mut set = self.set.lock().unwrap();
        while !*set {
            set = self.changed.wait(set).unwrap();
        }
        *set = false;
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.raise();
    }
}

#[derive(Default)]
struct Told {
    signal: Signal,
    aborted: AtomicUsize,
}

impl Events for Told {
    fn body_ready(&self, _: u32, _: u32) {
        self.signal.raise();
    }
    fn writable(&self, _: u32, _: u32) {
        self.signal.raise();
    }
    fn aborted(&self, _: u32, _: u32) {
        self.aborted.fetch_add(1, Ordering::Relaxed);
        self.signal.raise();
    }
}

#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    waiting: VecDeque<usize>,
    heads: usize,
    ended: bool,
}

impl Sink for Received {
    fn fail(&mut self) {}
    fn informational(&mut self, _: &StoredHead) {}
    fn head(&mut self, _: &StoredHead, _: bool) {
        self.heads += 1;
    }
    fn copied(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.waiting.push_back(bytes.len());
    }
    fn owned(&mut self, bytes: Bytes) {
        self.copied(&bytes);
    }
    fn file(&mut self, _: FileRange) {}
    fn end(&mut self, _: &[u8]) {
        self.ended = true;
    }
}

/// The application: reads to the end while it sends what it read, in pieces of its own.
fn echo(exchange: ExchangeId, told: &Told, mut random: Random, stop_at: Option<usize>) {
    let mut head = Some(ResponseHead { status: 200, ..ResponseHead::default() });
    let mut total = 0;
    loop {
        match exchange.read() {
            Read::Data(bytes) => {
                total += bytes.len();
                if stop_at.is_some_and(|at| total > at) {
                    exchange.abort();
                    break;
                }
                let data = if random.below(2) == 0 { Data::Copied(&bytes) } else { Data::Owned(bytes.clone()) };
                match exchange.send(head.take(), data, SendFlags::NONE) {
                    Sent::Accepted => {}
                    Sent::Pending => told.signal.wait(),
                    Sent::Gone => break,
                }
            }
            Read::Pending => told.signal.wait(),
            Read::End => {
                let _ = exchange.send(head.take(), Data::None, SendFlags::END);
                break;
            }
            Read::Failed(_) => break,
            Read::Gone => panic!("gone before the release"),
        }
    }
    exchange.release();
    assert_eq!(Read::Gone, exchange.read());
}

/// The front: one exchange, with pieces and pauses as the seed says; `leave_at`: the client goes away then.
fn front(front: &mut Front, body: &[u8], mut random: Random, leave_at: Option<usize>) -> Received {
    let signal = Arc::new(Signal::default());
    let waker = Waker::from(signal.clone());
    let mut received = Received::default();
    let mut at = 0;
    let mut over = false;
    loop {
        let drained = front.drain(&mut received, Some(&waker));
        let mut moved = drained.some;
        if drained.released {
            return received;
        }
        while random.below(4) > 0 && received.waiting.pop_front().is_some() {
            moved = true;
        }
        front.settle(received.waiting.iter().sum::<usize>() as u64);
        if !over && leave_at.is_some_and(|leave| at > leave) {
            front.abort_by_peer();
            over = true;
        }
        if drained.reads && !over && at < body.len() {
            let len = (1 + random.below(20_000) as usize).min(body.len() - at);
            front.push_body(Bytes::copy_from_slice(&body[at..at + len]), len as u64);
            at += len;
            moved = true;
        } else if !over && at == body.len() {
            front.end_body(Bytes::new());
            over = true;
        }
        if !moved && received.waiting.is_empty() {
            signal.wait();
        }
    }
}

fn begin(slot: &mut Front, length: usize, told: &'static Told) -> ExchangeId {
    let info = Arc::new(ConnectionInfo::new(1, Endpoint::Unnamed, Endpoint::Unnamed, false));
    let length = length.to_string();
    let headers = [(&b"host"[..], &b"a"[..]), (b"content-length", length.as_bytes())];
    let parts = Parts {
        method: b"POST",
        target: b"/",
        version: Version::Http11,
        host: None,
        headers: headers.into_iter(),
        has_body: true,
    };
    slot.fill(|head| head.fill(parts, &Limits::default())).unwrap();
    let (exchange, ()) = slot.begin(&info, &Limits::default(), |_| ());
    assert!(exchange.listen(told, 0));
    exchange
}

fn run(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut slot = Front::new();
    let mut stale: Vec<ExchangeId> = Vec::new();
    for _ in 0..20 {
        let told: &'static Told = Box::leak(Box::default());
        let length = 1 + random.below(300_000) as usize;
        let body: Vec<u8> = (0..length).map(|n| (n as u64 ^ seed) as u8).collect();
        let event = random.below(4);
        let at = random.below(length as u64) as usize;
        let (stop_at, leave_at) = ((event == 1).then_some(at), (event == 2).then_some(at));
        let exchange = begin(&mut slot, length, told);
        let (ours, theirs) = (Random(random.below(u64::MAX) | 1), Random(random.below(u64::MAX) | 1));
        let late = stale.clone();
        let app = thread::spawn(move || {
            for stale in late {
                assert_eq!(Sent::Gone, stale.send(None, Data::Copied(b"late"), SendFlags::END | SendFlags::ABORT));
                stale.release();
            }
            echo(exchange, told, theirs, stop_at);
        });
        let received = front(&mut slot, &body, ours, leave_at);
        app.join().unwrap();
        stale.push(exchange);
        assert!(body.starts_with(&received.bytes), "seed {seed}");
        assert!(received.heads <= 1, "seed {seed}");
        if stop_at.is_none() && leave_at.is_none() {
            assert!(received.ended && body == received.bytes, "seed {seed}");
            assert_eq!(0, told.aborted.load(Ordering::Relaxed), "seed {seed}");
        }
    }
}

#[test]
fn both_ends_agree() {
    let (done, finished) = mpsc::channel();
    thread::spawn(move || {
        (1..40).for_each(run);
        done.send(()).unwrap();
    });
    finished.recv_timeout(Duration::from_secs(120)).expect("an end waits for a wake-up that does not come");
}

#[test]
fn a_sender_wakes_the_front_once() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(count.clone());
    let mut slot = Front::new();
    let exchange = begin(&mut slot, 1, Box::leak(Box::default()));
    let mut received = Received::default();
    slot.drain(&mut received, Some(&waker));
    for n in 0..10 {
        let head = (n == 0).then(|| ResponseHead { status: 200, ..ResponseHead::default() });
        assert_eq!(Sent::Accepted, exchange.send(head, Data::Copied(b"x"), SendFlags::NONE));
    }
    assert_eq!(1, count.0.load(Ordering::Relaxed));
    slot.drain(&mut received, None);
    exchange.release();
    assert_eq!(1, count.0.load(Ordering::Relaxed), "a front that runs is not woken");
    assert_eq!(Poll::Ready(()), exchange.poll_aborted(&mut Context::from_waker(&waker)));
}
