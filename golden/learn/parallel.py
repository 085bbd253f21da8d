# SPDX-License-Identifier: Apache-2.0
"""Training runs side by side, each on one thread."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Event
from typing import TypeVar

import torch

__all__ = ["Stopped", "one_thread", "run_parallel"]

Job = TypeVar("Job")
Result = TypeVar("Result")


class Stopped(Exception):
    """Another run failed, so this one ended early; its checkpoint is up to date."""


def run_parallel(
    function: Callable[[Job], Result], jobs: Sequence[Job], stop: Event
) -> list[Result]:
    """Results of ``function`` on ``jobs``, on every core.

    The first error sets ``stop``, whereupon the other calls are expected to raise
    :class:`Stopped`; it is raised when all have ended.
    """
    with ThreadPoolExecutor(min(len(jobs), _cores())) as pool:
        futures = [pool.submit(function, job) for job in jobs]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:  # also when this thread is interrupted
            if not all(future.done() for future in futures):
                stop.set()
                pool.shutdown(cancel_futures=True)
    errors = [error for f in futures if not f.cancelled() and (error := f.exception())]
    for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
        raise error
    return [future.result() for future in futures]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread, and as many as before at the end."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
