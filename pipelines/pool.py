"""Worker processes for blocks and tiles (decision D7): a `concurrent.futures` executor, whatever stands behind it."""

from __future__ import annotations

import multiprocessing
import multiprocessing.context
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
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
    """Starts the fork server now, so that it imports while this process does."""
    if count > 1:
        _context()
        forkserver.ensure_running()


def _context() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    return context


@contextmanager
def workers(count: int) -> Iterator[Executor]:
    """An executor of `count` processes; with 1, tasks run in this process.

    Processes come from a fork server: forking this process itself would copy the threads of GDAL, Arrow and lazrs in
    an unusable state.
    """
    if count <= 1:
        yield _Here()
        return
    executor = ProcessPoolExecutor(count, mp_context=_context(), initializer=_follow_the_parent)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


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

    Raises:
        BuildError: A worker was killed, for want of memory as a rule.
    """
    todo = iter(tasks)
    flying = {executor.submit(function, task): task for task in islice(todo, ahead)}
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
