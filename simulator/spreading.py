"""Has many runs made at a time: by processes of this device, or by a cluster of Dask's, on this device or elsewhere.

Each way is a context that gives a function from jobs to figures, which come in the order in which they are ready; when
the context ends, for whatever reason, no process of ours is left. Dask is imported by `on_dask` alone. Knows nothing of
what a run is about.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import logging
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

from protocol.errors import LocalError
from simulator.sweep import Job, RunFigures, run_job

__all__ = ["Spread", "cores", "in_processes", "need_dask", "on_dask"]

Spread = Callable[[Iterable[Job]], Iterator[RunFigures]]
"""Makes the runs. Raises LocalError as a run does, or when those who make them can't go on."""

_NEEDED = ("dask", "distributed", "cryptography")
_AHEAD = 2
"""So many jobs for each worker are handed over before they are asked for."""
_CONNECT_S, _CLOSE_S = 15.0, 10.0
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ROUTES = ("distributed.scheduler.http.routes", "distributed.worker.http.routes")


def need_dask() -> None:
    """Raise LocalError when Dask, or what makes the keys of its cluster, is not installed."""
    for name in _NEEDED:
        if importlib.util.find_spec(name) is None:
            fix = "run pip install 'meshai-grid[sweep]'"
            raise LocalError("sweeps need Dask", f"the package {name} is not installed", fix)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def in_processes(workers: int) -> Iterator[Spread]:
    """Spread runs over that many processes of this device; a single one is this process itself."""
    if workers <= 1:
        yield lambda jobs: map(run_job, jobs)
        return
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    with _none_left_behind():
        try:
            yield lambda jobs: _pooled(pool, workers, iter(jobs))
        except BaseException:
            with _uninterrupted():
                _kill((pool._processes or {}).values())
                pool.shutdown(cancel_futures=True)
            raise
        pool.shutdown()


def _pooled(pool: ProcessPoolExecutor, workers: int, jobs: Iterator[Job]) -> Iterator[RunFigures]:
    with _deaf_to_interrupts():
        waiting: set[Future[RunFigures]] = {
            pool.submit(run_job, job) for job in itertools.islice(jobs, workers * _AHEAD)
        }
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        waiting |= {pool.submit(run_job, job) for job in itertools.islice(jobs, len(done))}
        for future in done:
            try:
                yield future.result()
            except BrokenProcessPool:
                raise _died() from None


@contextmanager
def on_dask(workers: int, scheduler: str = "") -> Iterator[Spread]:
    """Spread runs with Dask: over that many processes of this device, or over the cluster whose `scheduler` is named.

    The cluster of this device listens on loopback only, to those who have its keys, which are made anew each time, and
    shows no pages. Raises LocalError when Dask is missing or the scheduler can't be reached.
    """
    need_dask()
    import distributed

    with contextlib.ExitStack() as stack:
        address: Any = scheduler
        if not scheduler:
            address = stack.enter_context(_cluster_here(workers))
        client = stack.enter_context(_connected(distributed, address))
        ahead = _AHEAD * max(1, workers if not scheduler else sum(client.nthreads().values()))
        yield lambda jobs: _submitted(distributed, client, ahead, iter(jobs))


@contextmanager
def _cluster_here(workers: int) -> Iterator[Any]:
    import dask
    import distributed

    cluster_of: Any = distributed.LocalCluster

    no_pages: dict[str, Any] = {route: [] for route in _ROUTES}
    with (
        tempfile.TemporaryDirectory(prefix="meshai-sweep-") as folder,
        _none_left_behind(),
        dask.config.set(no_pages),
        contextlib.ExitStack() as ending,
    ):
        with _put_off(), _deaf_to_interrupts():
            cluster = cluster_of(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                security=True,
                memory_limit=None,
                local_directory=folder,
                silence_logs=logging.CRITICAL,
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            )
            ending.callback(_close, cluster)
        yield cluster


def _close(one: Any) -> None:
    with _uninterrupted():
        one.close(timeout=_CLOSE_S)


@contextmanager
def _connected(distributed: Any, address: Any) -> Iterator[Any]:
    try:
        client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:  # a timeout is an OSError
        raise LocalError(
            f"no scheduler of Dask's answers at {address}",
            str(error).partition("\n")[0][:200],
            "check the address, such as tcp://192.168.1.7:8786",
        ) from None
    try:
        yield client
    finally:
        _close(client)


def _submitted(distributed: Any, client: Any, ahead: int, jobs: Iterator[Job]) -> Iterator[RunFigures]:
    def submit(job: Job) -> Any:
        return client.submit(run_job, job, pure=False)

    waiting = distributed.as_completed([submit(job) for job in itertools.islice(jobs, ahead)], loop=client.loop)
    for future in waiting:
        for job in itertools.islice(jobs, 1):
            waiting.add(submit(job))
        try:
            yield future.result()
        except (distributed.scheduler.KilledWorker, distributed.client.FutureCancelledError):
            raise _died() from None
        except ImportError as error:
            raise LocalError(
                "the cluster can't make our runs", f"its workers have no {error.name}", "install meshai-grid there"
            ) from None


def _died() -> LocalError:
    return LocalError("a process that made runs has died", "perhaps for want of memory", "use fewer --workers")


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes begun within the block, and by threads begun within it, never hear Ctrl-C, which a terminal tells all
    processes: it is for this one to end them. Here it is heard when the block is over.
    """
    resource_tracker.ensure_running()  # its start within the block would let interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _put_off() -> Iterator[None]:
    """Let what ends a process wait until the block is over: half a cluster can't be ended well."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: arrived.append(number)) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if arrived:
        signal.raise_signal(arrived[0])


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let nothing that ends a process cut tidying short: a second Ctrl-C would leave others running."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _none_left_behind() -> Iterator[None]:
    """Kill what was started within the block and is still there at its end."""
    before = set(multiprocessing.active_children())
    try:
        yield
    finally:
        with _uninterrupted():
            _kill(process for process in multiprocessing.active_children() if process not in before)


def _kill(processes: Iterable[Any]) -> None:
    """End processes that hold nothing worth keeping."""
    for process in list(processes):
        process.kill()
        process.join()
