"""What became of the damaged photos that a process treated, and whether that is a failure as a whole."""

import collections
import dataclasses
import re
from collections.abc import Iterable

NUMBER = re.compile(r"0x[0-9a-f]+|\d+")
MAX_COSTLY_SHARE = 0.01  # of the files of a format, but always one file; none of 13,500 were
MIN_BATCHES = 100  # with fewer, memory is not compared: the libraries are still loading
MAX_GROWTH_MIB = 50  # it was 4 MiB for 4,500 photos


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

    def add_noise(self, where: str, output: bytes) -> None:
        """Count the kinds of lines in what libraries wrote to standard error of the "run" or the "page"."""
        lines = output.decode(errors="replace").splitlines()
        self.noise.setdefault(where, collections.Counter()).update(NUMBER.sub("N", line)[:100] for line in lines)

    def reasons(self, file_format: str) -> collections.Counter[str]:
        """Return reason -> number of files of a format."""
        return collections.Counter({reason: n for (name, reason), n in self.counts.items() if name == file_format})


def total(tallies: Iterable[Tally]) -> Tally:
    whole = Tally()
    for tally in tallies:
        whole.add(tally)
    return whole


def too_many_costly(costly: int, files: int) -> str | None:
    """Return how many files took the page too much time or memory, if more did than a decoder that works refuses."""
    return f"{costly:,} of {files:,} files are too costly" if costly > max(1, MAX_COSTLY_SHARE * files) else None


def growth(memory_mib: list[float]) -> str | None:
    """Return by how much memory grew from the third tenth of the batches to the last, if that is too much."""
    tenth = len(memory_mib) // 10
    before, after = max(memory_mib[2 * tenth : 3 * tenth]), max(memory_mib[-tenth:])
    return f"memory grew from {before:.0f} to {after:.0f} MiB" if after > before + MAX_GROWTH_MIB else None


def show(tallies: list[Tally], formats: Iterable[str]) -> None:
    """Print the memory of each process, the reasons of each format, and the most frequent lines of libraries."""
    for tally in tallies:
        tenth = max(1, len(tally.memory_mib) // 10)
        tenths = [tally.memory_mib[at : at + tenth] for at in range(0, len(tally.memory_mib), tenth)]
        marks = ", ".join(f"{max(part):.0f}" for part in tenths)
        print(f"Largest memory of the process in each tenth of its batches: {marks} MiB")
    whole = total(tallies)
    for name in formats:
        print(f"{name}: {', '.join(f'{reason} {count:,}' for reason, count in whole.reasons(name).most_common())}")
    for where, lines in whole.noise.items():
        print(f"Lines of libraries on standard error of the {where}: {lines.total():,}")
        for line, count in lines.most_common(20):
            print(f"  {count:,} times: {line}")
