//! Whoever completes a response writes it, where nothing stands in the way: to wake the connection's task for that would
//! cost more than the writing.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::task::{Context, Poll};

use super::input::Body;
use super::{Connection, Phase};
use crate::app::Finisher;
use crate::transport::Transport;

/// A connection as its task: a future that ends with it.
pub(crate) struct ConnectionTask<T: Transport>(Arc<Place<T>>);

/// Where the connection is, whoever drives it. Nobody waits for another: who comes second leaves word.
struct Place<T: Transport> {
    connection: Mutex<Option<Connection<T>>>,
    /// The task came while another thread was at it.
    missed: AtomicBool,
}

impl<T: Transport> ConnectionTask<T> {
    pub(crate) fn new(connection: Connection<T>) -> Self {
        let info = connection.info.clone();
        let place = Arc::new(Place { connection: Mutex::new(Some(connection)), missed: AtomicBool::new(false) });
        let finisher: Weak<Place<T>> = Arc::downgrade(&place);
        info.finish_by(finisher);
        ConnectionTask(place)
    }
}

impl<T: Transport> Place<T> {
    /// For the task; without a guard, it will be woken.
    fn enter(&self) -> Option<MutexGuard<'_, Option<Connection<T>>>> {
        let enter = || match self.connection.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => {
                let mut guard = poisoned.into_inner();
                // A panic has left it in the middle of something.
                guard.take();
                Some(guard)
            }
            Err(TryLockError::WouldBlock) => None,
        };
        enter().or_else(|| {
            self.missed.store(true, Ordering::Relaxed);
            // With its counterpart in `finish`: either the lock is seen free here, or the word is seen there.
            fence(Ordering::SeqCst);
            enter()
        })
    }
}

impl<T: Transport> Future for ConnectionTask<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(mut place) = self.0.enter() else { return Poll::Pending };
        if place.as_mut().is_some_and(|connection| Pin::new(connection).poll(cx).is_pending()) {
            return Poll::Pending;
        }
        let ended = place.take();
        // What it tells the application at its end is told without the lock.
        drop(place);
        drop(ended);
        Poll::Ready(())
    }
}

impl<T: Transport> Drop for ConnectionTask<T> {
    fn drop(&mut self) {
        let connection = self.0.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(connection);
    }
}

impl<T: Transport> Finisher for Place<T> {
    fn finish(&self) -> bool {
        let Ok(mut place) = self.connection.try_lock() else { return false };
        let finished = place.as_mut().is_some_and(Connection::finish_response);
        drop(place);
        fence(Ordering::SeqCst);
        finished && !self.missed.swap(false, Ordering::Relaxed)
    }
}

impl<T: Transport> Connection<T> {
    /// Writes a complete response on a thread that may be the application's. `true`: there is nothing left to do before
    /// the client sends more, or takes what is sent, for which the task waits already.
    ///
    /// No request begins here, and the application is told of nothing: it is in the middle of a call.
    fn finish_response(&mut self) -> bool {
        let waits_for_client = self.body == Body::None && self.input.is_empty() && !self.ended;
        if self.phase != Phase::Exchange || !waits_for_client {
            return false;
        }
        let Some(waker) = self.waker.clone() else { return false };
        let drained = self.drain(None, false);
        match self.after_drain(&drained) {
            Some(phase) => self.phase = phase,
            None => return false,
        }
        if self.output.has_file() {
            return false;
        }
        let written = matches!(self.poll_flush(&mut Context::from_waker(&waker)), Poll::Ready(Ok(())));
        if !written || self.phase != Phase::Head || self.shared.is_stopping() {
            return false;
        }
        self.wait_for_head();
        true
    }
}
