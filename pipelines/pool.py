"""Workers for blocks and tiles (decision D7): a `concurrent.futures` executor, whatever stands behind it.

Threads serve small builds and small machines: what takes long here (compiled loops, GDAL, GEOS, compression) runs
without the interpreter's lock, and nothing has to be imported, copied or sent twice. Processes serve the rest.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.context
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import forkserver
from typing import TypeVar

from twin.errors import BuildError

Task = TypeVar("Task")
Result = TypeVar("Result")

#: What workers import once, in the fork server, before the first of them is made.
_PRELOAD = ["pipelines.lean"]
#: More workers than this get in one another's way in one process: about half of a task holds the interpreter's lock.
MOST_THREADS = 2
#: Features from which processes earn back the second they take to start.
MANY_FEATURES = 250_000


class _Here(Executor):
    """Runs tasks in this process, at once."""

    def submit(self, fn: Callable[..., Result], /, *args: object, **kwargs: object) -> Future[Result]:
        """Runs the task; its result or error is in the future."""
        future: Future[Result] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


def worker_count(asked: int) -> int:
    """How many workers: as asked, or one per core this process may use."""
    return asked or len(os.sched_getaffinity(0))


def start_early(count: int) -> None:
    """Starts the fork server now if it may be needed, so that it imports while this process does."""
    if count > MOST_THREADS:
        _context()
        forkserver.ensure_running()


def _context() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    return context


@contextmanager
def workers(count: int, features: int) -> Iterator[Executor]:
    """An executor with `count` workers for a build of so many features; with 1, tasks run in the calling thread.

    Processes come from a fork server: forking this process itself would copy the threads of GDAL, Arrow and lazrs in
    an unusable state.
    """
    if count <= 1:
        yield _Here()
        return
    if count <= MOST_THREADS or features < MANY_FEATURES:
        threads = ThreadPoolExecutor(count, thread_name_prefix="worker")
        try:
            yield threads
        finally:
            threads.shutdown(cancel_futures=True)
        return
    executor = ProcessPoolExecutor(count, mp_context=_context(), initializer=_follow_the_parent)
    with _nameless_main():
        try:
            yield executor
        finally:
            executor.shutdown(cancel_futures=True)


@contextmanager
def _nameless_main() -> Iterator[None]:
    """Hides where the main module came from, or every worker would run that script again before its first task.

    No task is defined there. It would cost a quarter of a second a worker, and a caller's script without
    `if __name__ == "__main__"` would start its own build once more in each of them.
    """
    main = sys.modules["__main__"]
    hidden = {name: vars(main)[name] for name in ("__file__", "__spec__") if name in vars(main)}
    for name in hidden:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)


def _follow_the_parent() -> None:
    """Leaves interrupts to the parent; and a worker whose parent was killed goes too, it does not wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()


def _leave_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def run_all(
    executor: Executor, function: Callable[[Task], Result], tasks: Iterable[Task], ahead: int
) -> Iterator[tuple[Task, Result]]:
    """Results as they come, never more than `ahead` tasks in flight, so that results do not pile up in memory.

    The first tasks are in flight when this returns, whether or not anybody asks for a result yet.

    Raises:
        BuildError: A worker was killed, for want of memory as a rule; when a result is asked for.
    """
    todo = iter(tasks)
    flying = {executor.submit(function, task): task for task in islice(todo, ahead)}
    return _results(executor, function, todo, flying)


def _results(
    executor: Executor, function: Callable[[Task], Result], todo: Iterator[Task], flying: dict[Future[Result], Task]
) -> Iterator[tuple[Task, Result]]:
    try:
        while flying:
            done, _ = wait(flying, return_when=FIRST_COMPLETED)
            for future in done:
                task = flying.pop(future)
                for more in islice(todo, 1):
                    flying[executor.submit(function, more)] = more
                yield task, future.result()
    except BrokenProcessPool as error:
        raise BuildError(
            "a worker process was killed, most likely because memory ran out",
            next_step="set fewer `workers` under [output], and run the same command: it goes on where it stopped",
        ) from error
