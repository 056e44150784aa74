"""Damaged photos through what a run and the page do with them: `python -m chaos.inputs.trial --seed 1`.

Each of 145,000 files must be accepted by both or refused by both for the same reason of ours, without a crash, a hang,
another exception or an error in the page's log. The page may refuse few as too costly. After a warm-up, the memory of
the processes that treat the files must not grow. Files that fail are kept.
"""

import collections
import ctypes
import gc
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator

from chaos import arguments, outcomes
from chaos.inputs import mutations, photo_samples, tallies, uploads
from chaos.inputs.tallies import Tally
from serving import process_limits

PHOTOS = {"JPEG": 25_000, "PNG": 25_000, "WEBP": 25_000, "HEIF": 25_000, "AVIF": 10_000, "TIFF": 10_000}
PHOTOS |= {"JPEG2000": 10_000, "GIF": 10_000, "BMP": 5_000}  # format -> number of files
SHORT = 32  # of each format, with --short
BATCH = 16  # as resize.PHOTOS_AT_ONCE
WORKERS = 2
HANG_SECONDS = 120  # for a batch; the page allows 20 s for a photo on a busy machine
MIB = 1024 * 1024


def file_of(seed: int, file_format: str, index: int, samples: list[bytes]) -> bytes:
    """Return the damaged file `index` of a format; the same for the same seed."""
    return mutations.mutated(random.Random(f"{seed} {file_format} {index}"), samples)


def batches(photos: dict[str, int], worker: int) -> Iterator[tuple[str, range]]:
    """Yield the format and the indices of each batch of a worker, of all formats in turn."""
    for start in range(worker * BATCH, max(photos.values()), WORKERS * BATCH):
        for file_format, count in photos.items():
            if start < count:
                yield file_format, range(start, min(start + BATCH, count))


def work(
    pipe: multiprocessing.connection.Connection, seed: int, todo: list[tuple[str, range]], folder: pathlib.Path
) -> None:
    """Treat the files of `todo`; send the number of each batch before it, and its tally after it."""
    process_limits.limit_heaps()  # as the servers do, because fragments of many heaps look like growing memory
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logs = {where: folder / f"{where}-{os.getpid()}.log" for where in ("page", "run")}
    _write_errors_to(logs["page"])
    from chaos.inputs import decoders  # not earlier, as the page's decoding process inherits standard error

    decoders.start()
    _write_errors_to(logs["run"])
    decoders.warm_up()
    gc.freeze()  # so that the collections before each measurement of memory are short
    samples = {name: photo_samples.of(name) for name in photo_samples.FORMATS}
    sizes = dict.fromkeys(logs, 0)
    for number, (file_format, indices) in enumerate(todo):
        pipe.send(number)
        tally = Tally()
        files = [file_of(seed, file_format, index, samples[file_format]) for index in indices]
        for index, (reason, failure) in zip(indices, decoders.treat(files), strict=True):
            tally.counts[file_format, reason] += 1
            if failure:
                tally.failures.append((file_format, index, failure))
        tally.memory_mib.append(_memory_mib())
        for where, log in logs.items():
            new = log.read_bytes()[sizes[where] :]
            sizes[where] += len(new)
            tally.add_noise(where, new)
        pipe.send(tally)
    pipe.send(None)


def _write_errors_to(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _memory_mib() -> float:
    """Return the memory of this process without what Python and glibc can free, as they do so at random moments."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


class Worker:
    """A process that treats batches. If it crashes or hangs, the files of the batch are tried one by one."""

    def __init__(self, seed: int, todo: list[tuple[str, range]], folder: pathlib.Path) -> None:
        self.seed, self.todo, self.folder = seed, todo, folder
        self.tally = Tally()
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, remote = context.Pipe(duplex=False)
        self.process = context.Process(target=work, args=(remote, self.seed, self.todo, self.folder), daemon=True)
        self.process.start()
        remote.close()
        self.at, self.heard = 0, time.monotonic()

    def read(self) -> bool:
        """Read one message; return False when all is done."""
        try:
            message = self.pipe.recv()
        except EOFError:
            self.process.join()
            return self._failed(f"the process ended with exit code {self.process.exitcode}")
        self.heard = time.monotonic()
        if message is None:
            self.process.join()
            return False
        if isinstance(message, Tally):
            for file_format, index, sentence in message.failures:
                print(f"{file_format} {index}: {sentence}", flush=True)
            self.tally.add(message)
            self.at += 1
        return True

    def check_time(self) -> bool:
        """End the process if it hangs; return False when nothing is left to do."""
        if time.monotonic() < self.heard + HANG_SECONDS:
            return True
        self.process.kill()
        self.process.join()
        return self._failed(f"the batch took more than {HANG_SECONDS} s")

    def _failed(self, what: str) -> bool:
        """Start again after the batch; its files come first, one by one, or a single file has failed."""
        file_format, indices = self.todo[self.at]
        self.todo = self.todo[self.at + 1 :]
        if len(indices) == 1:
            print(f"{file_format} {indices[0]}: {what}", flush=True)
            self.tally.failures.append((file_format, indices[0], what))
            self.tally.counts[file_format, "crashed"] += 1
        else:
            self.todo = [*((file_format, range(index, index + 1)) for index in indices), *self.todo]
        self.pipe.close()
        if self.todo:
            self._start()
        return bool(self.todo)


def treat_all(seed: int, photos: dict[str, int], folder: pathlib.Path) -> list[Tally]:
    """Treat all files, or those for which there is time until this process is to end; return each worker's tally."""
    workers = [Worker(seed, list(batches(photos, number)), folder) for number in range(WORKERS)]
    running, shown = workers, time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while running:
            ready = multiprocessing.connection.wait([worker.pipe for worker in running], timeout=5)
            running = [worker for worker in running if (worker.read() if worker.pipe in ready else worker.check_time())]
            if time.monotonic() > shown + 60:
                shown = time.monotonic()
                print(f"{sum(sum(worker.tally.counts.values()) for worker in workers):,} files", flush=True)
    except KeyboardInterrupt:
        print("Interrupted: the files that are left count as lost.")
    for worker in workers:
        worker.process.kill()
    return [worker.tally for worker in workers]


def _outcomes(
    worker_tallies: list[Tally], seed: int, photos: dict[str, int], folder: pathlib.Path
) -> list[outcomes.Outcome]:
    whole = tallies.total(worker_tallies)
    failures = collections.defaultdict(list)
    for file_format, index, sentence in whole.failures:
        path = folder / f"{file_format}-{index}"
        path.write_bytes(file_of(seed, file_format, index, photo_samples.of(file_format)))
        failures[file_format].append(f"{path}: {sentence}")
    results = []
    for name, count in photos.items():
        reasons = whole.reasons(name)
        if failure := tallies.too_many_costly(reasons["too costly"], reasons.total()):
            failures[name].append(failure)
        lost = count - reasons.total()
        results.append(outcomes.Outcome(f"damaged {name}", reasons.total(), lost, failures=tuple(failures[name])))
    noise = tuple(f"{count} lines: {line}" for line, count in whole.noise.get("page", collections.Counter()).items())
    measured = [tally for tally in worker_tallies if len(tally.memory_mib) >= tallies.MIN_BATCHES]
    growing = tuple(failure for tally in measured if (failure := tallies.growth(tally.memory_mib)))
    return [
        *results,
        outcomes.Outcome("lines of libraries in the page's log", len(whole.memory_mib), failures=noise),
        outcomes.Outcome("memory of a process that treats photos", len(measured), failures=growing),
    ]


def main() -> int:
    args = arguments.parser(__doc__).parse_args()
    photos = dict.fromkeys(PHOTOS, SHORT) if args.short else PHOTOS
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pilah-inputs-"))
    worker_tallies = treat_all(args.seed, photos, folder)
    tallies.show(worker_tallies, photos)
    results = _outcomes(worker_tallies, args.seed, photos, folder)
    results += uploads.trial(args.seed, args.short, folder)
    for log in folder.glob("*.log"):
        log.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
    return outcomes.report(results)


if __name__ == "__main__":
    sys.exit(main())
