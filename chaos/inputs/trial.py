"""Damaged photos through what a run and the page do with them: `python -m chaos.inputs.trial --seed 1`.

Each of 145,000 files must be accepted by both or refused by both for the same reason of ours, without a crash, a hang,
another exception or growing memory. Files that fail are kept.
"""

import collections
import dataclasses
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator

from chaos import arguments, outcomes
from chaos.inputs import mutations, photo_samples, uploads

PHOTOS = {"JPEG": 25_000, "PNG": 25_000, "WEBP": 25_000, "HEIF": 25_000, "AVIF": 10_000, "TIFF": 10_000}
PHOTOS |= {"JPEG2000": 10_000, "GIF": 10_000, "BMP": 5_000}  # format -> number of files
SHORT = 32  # of each format, with --short
BATCH = 16  # as resize.PHOTOS_AT_ONCE
WORKERS = 2
HANG_SECONDS = 120  # for a batch; the page allows 20 s for a photo on a busy machine
MIB = 1024 * 1024
NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


@dataclasses.dataclass
class Tally:
    """What became of the files of one worker.

    Attributes:
        counts: (format, reason) -> number of files; the reason is "accepted" for photos that are used.
        failures: (format, index, sentence) of each file that was not treated as it must be.
        memory_mib: memory of the process after each batch.
        noise: kind of a line that libraries wrote to standard error -> number of lines, for the run and the page.
    """

    counts: collections.Counter[tuple[str, str]] = dataclasses.field(default_factory=collections.Counter)
    failures: list[tuple[str, int, str]] = dataclasses.field(default_factory=list)
    memory_mib: list[float] = dataclasses.field(default_factory=list)
    noise: dict[str, collections.Counter[str]] = dataclasses.field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        self.counts.update(other.counts)
        self.failures += other.failures
        self.memory_mib += other.memory_mib
        for where, lines in other.noise.items():
            self.noise.setdefault(where, collections.Counter()).update(lines)


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
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logs = {where: folder / f"{where}-{os.getpid()}.log" for where in ("page", "run")}
    _write_errors_to(logs["page"])
    from chaos.inputs import decoders  # not earlier, as the page's decoding process inherits standard error

    decoders.start()
    _write_errors_to(logs["run"])
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
            lines = new.decode(errors="replace").splitlines()
            tally.noise[where] = collections.Counter(NUMBER.sub("N", line)[:100] for line in lines)
        pipe.send(tally)
    pipe.send(None)


def _write_errors_to(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _memory_mib() -> float:
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


def treat_all(seed: int, photos: dict[str, int], folder: pathlib.Path) -> Tally:
    """Treat all files in WORKERS processes, or those for which there is time until this process is to end."""
    workers = [Worker(seed, list(batches(photos, number)), folder) for number in range(WORKERS)]
    whole, running, shown = Tally(), workers, time.monotonic()
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
        _print_memory(worker.tally.memory_mib)
        whole.add(worker.tally)
    return whole


def _print_memory(memory_mib: list[float]) -> None:
    tenth = max(1, len(memory_mib) // 10)
    marks = ", ".join(f"{max(memory_mib[at : at + tenth]):.0f}" for at in range(0, len(memory_mib), tenth))
    print(f"Largest memory of the process in each tenth of its batches: {marks} MiB")


def _print_reasons(tally: Tally, photos: dict[str, int]) -> None:
    for file_format in photos:
        reasons = collections.Counter({reason: n for (name, reason), n in tally.counts.items() if name == file_format})
        print(f"{file_format}: {', '.join(f'{reason} {count:,}' for reason, count in reasons.most_common())}")
    for where, lines in tally.noise.items():
        print(f"Lines of libraries on standard error of the {where}: {lines.total():,}")
        for line, count in lines.most_common(20):
            print(f"  {count:,} times: {line}")


def _outcomes(tally: Tally, seed: int, photos: dict[str, int], folder: pathlib.Path) -> list[outcomes.Outcome]:
    failures = collections.defaultdict(list)
    for file_format, index, sentence in tally.failures:
        path = folder / f"{file_format}-{index}"
        path.write_bytes(file_of(seed, file_format, index, photo_samples.of(file_format)))
        failures[file_format].append(f"{path}: {sentence}")
    results = []
    for name, count in photos.items():
        treated = sum(number for (file_format, _), number in tally.counts.items() if file_format == name)
        results.append(outcomes.Outcome(f"damaged {name}", treated, count - treated, failures=tuple(failures[name])))
    noise = tuple(f"{count} lines: {line}" for line, count in tally.noise.get("page", collections.Counter()).items())
    return [*results, outcomes.Outcome("lines of libraries in the page's log", len(tally.memory_mib), failures=noise)]


def main() -> int:
    args = arguments.parser(__doc__).parse_args()
    photos = dict.fromkeys(PHOTOS, SHORT) if args.short else PHOTOS
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pilah-inputs-"))
    tally = treat_all(args.seed, photos, folder)
    _print_reasons(tally, photos)
    results = _outcomes(tally, args.seed, photos, folder)
    results += uploads.trial(args.seed, args.short, folder)
    for log in folder.glob("*.log"):
        log.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
    return outcomes.report(results)


if __name__ == "__main__":
    sys.exit(main())
