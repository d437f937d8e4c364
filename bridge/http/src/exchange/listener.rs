//! Who is told of an exchange's events, and the telling, which happens when the lock is no longer held.

use std::task::Waker;

use super::Events;

/// The application's ears.
#[derive(Default)]
pub(super) struct Listener {
    pub(super) events: Option<(&'static dyn Events, u32)>,
    /// Of a task that waits for the request body.
    pub(super) read: Option<Waker>,
    /// Of a task that waits for room in the response buffer.
    pub(super) write: Option<Waker>,
    /// Of a task that waits for the client to go away.
    pub(super) abort: Option<Waker>,
}

#[derive(Clone, Copy)]
pub(super) enum Event {
    BodyReady,
    Writable,
    Aborted,
}

/// An event on its way.
#[must_use]
pub(super) struct Notice {
    events: Option<(&'static dyn Events, u32)>,
    generation: u32,
    event: Event,
    wakers: [Option<Waker>; 3],
}

impl Listener {
    pub(super) fn notice(&mut self, event: Event, generation: u32) -> Notice {
        let wakers = match event {
            Event::BodyReady => [self.read.take(), None, None],
            Event::Writable => [self.write.take(), None, None],
            Event::Aborted => self.take_wakers(),
        };
        Notice { events: self.events, generation, event, wakers }
    }

    pub(super) fn take_wakers(&mut self) -> [Option<Waker>; 3] {
        [self.read.take(), self.write.take(), self.abort.take()]
    }

    pub(super) fn clear(&mut self) {
        *self = Listener::default();
    }
}

impl Notice {
    pub(super) fn tell(self) {
        if let Some((events, context)) = self.events {
            match self.event {
                Event::BodyReady => events.body_ready(context, self.generation),
                Event::Writable => events.writable(context, self.generation),
                Event::Aborted => events.aborted(context, self.generation),
            }
        }
        self.wakers.into_iter().flatten().for_each(Waker::wake);
    }
}
