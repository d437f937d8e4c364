//! Entering, leaving and draining; limits.

use super::*;
use std::sync::mpsc;

#[test]
fn refuses_after_close_and_waits_for_who_is_inside() {
    let lifecycle = Arc::new(Lifecycle::new());
    let (entered, is_in) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let other = lifecycle.clone();
    let thread = std::thread::spawn(move || {
        let _guard = other.enter().expect("open");
        let _nested = other.enter().expect("open");
        entered.send(()).expect("the test waits");
        gone.recv().expect("the test says go");
    });
    is_in.recv().expect("the thread is in");
    assert!(lifecycle.close());
    assert!(!lifecycle.close());
    assert_eq!(2, lifecycle.drain(Duration::ZERO));
    assert_eq!(ErrorKind::Closed, lifecycle.enter().expect_err("closed").kind());
    go.send(()).expect("the thread waits");
    assert_eq!(0, lifecycle.drain(Duration::MAX));
    thread.join().expect("no panic");
}

#[test]
fn the_own_calls_do_not_hold_up_a_drain() {
    let lifecycle = Lifecycle::new();
    let guard = lifecycle.enter().expect("open");
    lifecycle.close();
    assert_eq!((0, 1), (lifecycle.drain(Duration::MAX), lifecycle.inside_here()));
    drop(guard);
    assert_eq!(0, lifecycle.inside_here());
}

#[test]
fn depth_is_limited_and_given_back() {
    let lifecycle = Lifecycle::new();
    for _ in 0..2 {
        let guards: Vec<_> = (0..MAX_DEPTH).map(|_| lifecycle.enter().expect("not too deep")).collect();
        assert_eq!(ErrorKind::Exhausted, lifecycle.enter().expect_err("too deep").kind());
        // Innermost first, as calls end.
        guards.into_iter().rev().for_each(drop);
    }
}

#[test]
fn a_chain_that_is_too_deep_is_named() {
    let (shop, bank) =
        (Lifecycle::of("test", "shop", &Limits::new().depth(3)), Lifecycle::of("test", "bank", &Limits::new()));
    let _inside = (shop.enter().expect("1"), bank.enter().expect("2"), shop.enter().expect("3"));
    let _deeper = bank.enter().expect("has a limit of its own");
    let error = shop.enter().expect_err("too deep");
    assert_eq!(ErrorKind::Exhausted, error.kind());
    let text = error.to_string();
    assert!(text.contains("4 deep") && text.contains("shop → bank → shop → bank → shop;"), "{text}");
}

#[test]
fn both_ends_of_a_long_chain_are_shown() {
    let chain: Vec<String> = (1..=12).map(|i| i.to_string()).collect();
    let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
    assert_eq!("1 → 2 → 3 → 4 → … 4 more … → 9 → 10 → 11 → 12", in_short(&chain));
}

#[test]
fn calls_are_limited_and_those_that_come_back_are_one() {
    let lifecycle = Arc::new(Lifecycle::of("test", "m", &Limits::new().calls(2)));
    for _ in 0..3 {
        let outer = lifecycle.enter().expect("the first");
        let nested = lifecycle.enter().expect("the same");
        let suspended = lifecycle.suspend().expect("the second");
        assert_eq!(ErrorKind::Exhausted, lifecycle.suspend().expect_err("the third").kind());
        let other = lifecycle.clone();
        let refused = std::thread::spawn(move || other.enter().map(drop).expect_err("the third").kind());
        assert_eq!(ErrorKind::Exhausted, refused.join().expect("no panic"));
        drop(nested);
        drop(suspended);
        let other = lifecycle.clone();
        std::thread::spawn(move || drop(other.enter().expect("the second"))).join().expect("no panic");
        drop(outer);
    }
    lifecycle.close();
    assert_eq!(ErrorKind::Closed, lifecycle.enter().expect_err("closed").kind());
    assert_eq!((0, 0), (lifecycle.drain(Duration::MAX), lifecycle.counted.load(Ordering::SeqCst)));
}

#[test]
fn a_reply_is_limited_as_long_as_the_call_lasts() {
    let lifecycle = Lifecycle::of("test", "m", &Limits::new().reply(4));
    let mut output = Output::with_limit(100);
    output.write(b"kept").expect("room");
    let error = lifecycle.enter().expect("open").within(&mut output, |output| {
        output.write(b"1234").expect("exactly the limit");
        output.write(b"5").expect_err("beyond")
    });
    assert_eq!(ErrorKind::Exhausted, error.kind());
    output.write(b"5").expect("the caller's own limit again");
}

#[test]
fn suspended_calls_count() {
    let lifecycle = Arc::new(Lifecycle::new());
    let guard = lifecycle.suspend().expect("open");
    lifecycle.close();
    assert_eq!(1, lifecycle.drain(Duration::ZERO));
    assert!(lifecycle.suspend().is_err());
    drop(guard);
    assert_eq!(0, lifecycle.drain(Duration::MAX));
}
