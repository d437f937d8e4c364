use super::*;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;
use std::time::Duration;

#[test]
fn listeners_run_once_and_late_ones_at_once() {
    let token = CancelToken::new();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = || {
        let count = count.clone();
        move |reason| {
            assert_eq!(CancelReason::Cancelled, reason);
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    let _kept = token.on_cancel(counter());
    drop(token.on_cancel(counter()));
    token.cancel();
    token.cancel();
    let _late = token.on_cancel(counter());
    assert_eq!(2, count.load(Ordering::Relaxed));
}

#[test]
fn a_listener_that_panics_holds_up_nobody() {
    struct Rude;
    impl Drop for Rude {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let token = CancelToken::new();
    let rude = Rude;
    let subscription = token.on_cancel(move |_| _ = &rude);
    let (sender, receiver) = mpsc::channel();
    let _other = token.on_cancel(move |reason| sender.send(reason).expect("the test waits"));
    token.cancel();
    assert_eq!(Ok(CancelReason::Cancelled), receiver.recv());
    // On another thread than the listener's, which would wait for its end.
    std::thread::spawn(|| drop(subscription)).join().expect("no panic");
}

#[test]
fn a_listener_that_runs_is_waited_for_where_that_is_asked_for() {
    for waits in [true, false] {
        let token = CancelToken::new();
        let (entered, is_in) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let (left, is_out) = mpsc::channel();
        let gone = Mutex::new(gone);
        let subscription = token.on_cancel(move |_| {
            entered.send(()).expect("the test waits");
            gone.lock().expect("no panic").recv().expect("the test says go");
            left.send(()).expect("the test waits");
        });
        std::thread::scope(|scope| {
            scope.spawn(|| token.cancel());
            is_in.recv().expect("it runs");
            if waits {
                let taken_off = scope.spawn(|| drop(subscription));
                go.send(()).expect("it waits");
                taken_off.join().expect("no panic");
                is_out.try_recv().expect("was waited for");
            } else {
                drop(subscription.without_wait());
                is_out.try_recv().expect_err("still runs");
                go.send(()).expect("it waits");
                is_out.recv().expect("goes on to its end");
            }
        });
    }
}

#[test]
fn a_deadline_fires_without_anybody_asking() {
    let token = CancelToken::with_deadline(Instant::now() + Duration::from_millis(5));
    let (sender, receiver) = mpsc::channel();
    let _subscription = token.on_cancel(move |reason| sender.send(reason).expect("the test waits"));
    assert_eq!(Ok(CancelReason::DeadlineExceeded), receiver.recv());
    assert_eq!(Some(CancelReason::DeadlineExceeded), token.reason());
}

#[test]
fn a_child_follows_its_parent_only() {
    let parent = CancelToken::new();
    let child = parent.child();
    let grandchild = child.child();
    child.cancel();
    assert_eq!(None, parent.reason());
    assert_eq!(Some(CancelReason::Cancelled), grandchild.reason());
    parent.cancel();
    assert_eq!(Some(CancelReason::Cancelled), parent.child().reason());
}

#[test]
fn a_child_keeps_the_deadline_of_a_parent_that_nobody_else_holds() {
    let parent = CancelToken::with_deadline(Instant::now() + Duration::from_millis(5));
    let child = parent.child();
    drop(parent);
    let (sender, receiver) = mpsc::channel();
    let _subscription = child.on_cancel(move |reason| sender.send(reason).expect("the test waits"));
    assert_eq!(Ok(CancelReason::DeadlineExceeded), receiver.recv());
}

#[test]
fn past_deadlines_are_cancelled_from_the_start() {
    assert_eq!(Some(CancelReason::DeadlineExceeded), CancelToken::with_deadline(Instant::now()).reason());
}
