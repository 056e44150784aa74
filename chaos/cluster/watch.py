"""The files of a run on a cluster: whether finished ones are written again, and whether all are as expected."""

import contextlib
import hashlib
import io
import pathlib
import threading
import time
import zipfile

import h5py

from chaos.kills import run_files

PAUSE_SECONDS = 0.05
MODEL = "model/model.keras"


class Watch:
    """Looks at the folds and views of a run until the block ends.

    Attributes:
        again: those that were finished, and then written again or removed.
    """

    def __init__(self, run_dir: pathlib.Path):
        self.run_dir, self.again = run_dir, list[str]()
        self._seen: dict[str, tuple[int, int]] = {}  # file -> inode, and time at which it was written
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        self.look()

    def look(self) -> None:
        """Compare all finished files with what they were when they were seen first."""
        now = {}
        for name in run_files.finished_work(self.run_dir):
            try:
                status = (self.run_dir / name).stat()
            except FileNotFoundError:
                continue
            now[name] = (status.st_ino, status.st_mtime_ns)
        self.again += [name for name, before in self._seen.items() if now.get(name) != before]
        self._seen = now

    def _watch(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(FileNotFoundError):  # a file that was removed in the meantime
                self.look()
            time.sleep(PAUSE_SECONDS)


def differences(expected: pathlib.Path, run_dir: pathlib.Path) -> tuple[list[str], list[str], list[str]]:
    """Return the files that a run lacks, that it has in addition, and that have another content than in `expected`."""
    lost, doubled, changed = run_files.compare(run_files.inventory(expected), run_files.inventory(run_dir))
    if not lost and weights(expected / MODEL) != weights(run_dir / MODEL):
        changed.append(f"{MODEL} has other weights")
    return lost, doubled, changed


def weights(model: pathlib.Path) -> dict[str, str]:
    """Return the names of the weights of a Keras model -> digest of their values."""
    found: dict[str, str] = {}

    def add(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = hashlib.sha256(item[()].tobytes()).hexdigest()

    with zipfile.ZipFile(model) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(add)
    return found
