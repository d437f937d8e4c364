"""Event loops for `async def` exports: one for each module that has any.

A loop has a thread of its own, but whoever calls an export runs the first step of its task on
the calling thread, in the loop's place: many tasks never suspend, and a step here costs less than
waking a thread. The turn makes sure that one thread at a time does the loop's work, so for guests
it is the one thread that asyncio promises. While the loop waits for I/O nobody has the turn.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import selectors
import sys
import threading
from asyncio import events, tasks
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from polyhost._call import current_call

if TYPE_CHECKING:
    from polyhost import _native
else:
    try:
        from polyhost import _native
    except ImportError:
        _native = None


class _Selector(selectors.DefaultSelector):
    """Gives the turn away while it waits."""

    def __init__(self, turn: threading.Lock) -> None:
        super().__init__()
        self._turn = turn

    def select(self, timeout: float | None = None) -> Any:
        self._turn.release()
        try:
            return super().select(timeout)
        finally:
            self._turn.acquire()


class HostLoop(asyncio.SelectorEventLoop):
    """A loop whose work may be done by other threads than its own, in turn."""

    def __init__(self, turn: threading.Lock) -> None:
        super().__init__(_Selector(turn))
        # Debugging takes another thread for a mistake.
        self.set_debug(False)
        # What a thread in the loop's place does with the first callback: runs it.
        self._first: list[tuple[Callable[..., Any], tuple[Any, ...], Any]] | None = None
        # Whether the loop got something to do while another thread was in its place.
        self._touched = False

    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        self._touched = True
        if self._first is not None:
            self._first.append((callback, args, context))
            self._first = None
            return None  # type: ignore[return-value]  # Tasks do not look at it.
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        self._touched = True
        return super().call_at(when, callback, *args, context=context)

    def start_here(self, make_task: Callable[[], asyncio.Task[Any]]) -> asyncio.Task[Any]:
        """Makes a task and runs its first step on this thread, which has the turn."""
        first: list[Any] = []
        self._first = first
        try:
            task = make_task()
        finally:
            self._first = None
        callback, args, context = first[0]
        self._touched = False
        try:
            (context or contextvars.copy_context()).run(callback, *args)
        except (SystemExit, KeyboardInterrupt):
            # asyncio lets these through, after it has told the task.
            pass
        if self._touched:
            # The loop waits, for as long as it knew nothing of this.
            self.call_soon_threadsafe(_nothing)
        return task


def _nothing() -> None:
    pass


class Steps:
    """A coroutine whose steps the host runs, so that one that does not end can be stopped."""

    __slots__ = ("_coroutine", "_ticket")

    def __init__(self, ticket: Any, coroutine: Any) -> None:
        self._ticket = ticket
        self._coroutine = coroutine

    def send(self, value: Any) -> Any:
        return _native.step(self._ticket, self._coroutine.send, value)

    def throw(self, *error: Any) -> Any:
        return _native.step(self._ticket, self._coroutine.throw, *error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        # What asyncio shows of a coroutine: its name, frame and code.
        return getattr(self._coroutine, name)


# A turn is given back soon where the loop goes on to wait. Where it has work, that comes first.
_PATIENCE = 0.001


class Loop:
    """The loop of one module."""

    def __init__(self, mailbox: Any, descriptor: int) -> None:
        self._mailbox = mailbox
        self._descriptor = descriptor
        self._turn = threading.Lock()
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._stopping = False
        self._turn.acquire()
        self._loop = HostLoop(self._turn)
        self._loop.add_reader(descriptor, self._mail)
        # How the loop is told of asynchronous generators: a matter of each thread.
        self._hooks: Any = ()
        self._loop.call_soon(self._keep_hooks)

    def _keep_hooks(self) -> None:
        self._hooks = sys.get_asyncgen_hooks()

    def run(self) -> None:
        """The life of the loop's thread, until the host says stop."""
        while not self._stopping:
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt):
                # asyncio lets these through, after it has told the task. They end that, and not
                # the loop.
                continue
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.call_soon(self._loop.stop)
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
        self._turn.release()

    def start(self, number: int, ticket: Any, alone: int | None) -> bool:
        """Starts a call on this thread. False where the loop is at work: send it by mail.

        A thread that does the work of a loop and waits for the call runs it `alone`, on a loop
        made for that: if it waited for another loop, that could be waiting for this one. What it
        gives is a descriptor, from which a byte can be read when the call is cancelled.
        """
        outer = put_aside()
        try:
            if alone is not None:
                self._start_alone(number, ticket, alone)
                return True
            if not (self._turn.acquire(False) or self._turn.acquire(timeout=_PATIENCE)):
                return False
            hooks = sys.get_asyncgen_hooks()
            try:
                events._set_running_loop(self._loop)
                sys.set_asyncgen_hooks(*self._hooks)
                self._begin(number, ticket, self._loop, self._loop.start_here)
            finally:
                sys.set_asyncgen_hooks(*hooks)
                events._set_running_loop(None)
                self._turn.release()
            return True
        finally:
            take_back(outer)

    def _start_alone(self, number: int, ticket: Any, wake: int) -> None:
        """Runs a call to its end, on a loop of its own."""
        loop = asyncio.new_event_loop()
        try:
            task = self._begin(number, ticket, loop, _start)
            if task is not None:
                loop.add_reader(wake, _cancel, task, wake)
            while task is not None and number in self._tasks:
                try:
                    loop.run_until_complete(asyncio.wait([task]))
                except (SystemExit, KeyboardInterrupt):
                    continue
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def _begin(
        self,
        number: int,
        ticket: Any,
        loop: asyncio.AbstractEventLoop,
        start: Callable[[Callable[[], asyncio.Task[Any]]], asyncio.Task[Any]],
    ) -> asyncio.Task[Any] | None:
        begun = _native.begin(ticket)
        if begun is None:
            return None
        coroutine, call = begun
        token = current_call.set(call)
        try:
            # The task takes a copy of the context.
            steps: Any = Steps(ticket, coroutine)
            task = start(lambda: self._task(number, steps, loop))
        finally:
            current_call.reset(token)
        if task.done():
            self._finish(number, ticket, task)
        else:
            task.add_done_callback(lambda task: self._finish(number, ticket, task))
        return task

    def _task(
        self, number: int, coroutine: Any, loop: asyncio.AbstractEventLoop
    ) -> asyncio.Task[Any]:
        task = self._tasks[number] = asyncio.Task(coroutine, loop=loop)
        return task

    def _finish(self, number: int, ticket: Any, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(number, None)
        try:
            reply = task.result()
        except BaseException as error:
            _native.finish(ticket, None, error)
        else:
            _native.finish(ticket, reply, None)

    def _mail(self) -> None:
        os.read(self._descriptor, 64)
        for number, ticket in _native.take(self._mailbox):
            if number == 0:
                self._stopping = True
                self._loop.stop()
            elif ticket is None:
                task = self._tasks.get(number)
                if task is not None:
                    task.cancel()
            else:
                # In the loop's own thread, which is the loop's place.
                self._begin(number, ticket, self._loop, _start)


def _cancel(task: asyncio.Task[Any], wake: int) -> None:
    os.read(wake, 1)
    task.cancel()


def _start(make_task: Callable[[], asyncio.Task[Any]]) -> asyncio.Task[Any]:
    """Leaves the first step to the loop."""
    return make_task()


def put_aside() -> Any:
    """Hides the loop that runs on this thread, and its task, from a call that is nested in them."""
    outer = events._get_running_loop()
    if outer is None:
        return None
    # Since 3.14 a thread, and not a loop, has one current task.
    swap = getattr(tasks, "_swap_current_task", None)
    task = swap(outer, None) if swap is not None else None
    events._set_running_loop(None)
    return outer, task, swap


def take_back(aside: Any) -> None:
    if aside is not None:
        outer, task, swap = aside
        events._set_running_loop(outer)
        if swap is not None:
            swap(outer, task)
