"""Load the versions of each model that appear on disk, each before an older version is unloaded."""

import contextlib
import dataclasses
import logging
import pathlib
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tensorflow_serving.apis import get_model_status_pb2, model_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving.embedded import model_config, predict, status

log = logging.getLogger("serving")
State = get_model_status_pb2.ModelVersionStatus.State
Load = Callable[[str, int, pathlib.Path], predict.Servable]


class VersionStatus(NamedTuple):
    """The state of a version, and its error if it could not be loaded."""

    state: int  # a value of State
    error: status.StatusError | None


@dataclasses.dataclass
class _Version:
    path: pathlib.Path
    state: int = State.START  # a value of State
    error: status.StatusError | None = None
    servable: predict.Servable | None = None
    requests: int = 0  # in progress


class Models:
    """The configured models, each with the versions that its policy selects.

    A request holds its version through `handle`, and finishes on the version it started with.

    Args:
        load: loads (model name, version, folder) into a servable, or raises StatusError.
        allow_unavailable_labels: whether a new label may name a version that is not available yet.
    """

    def __init__(self, load: Load, allow_unavailable_labels: bool = True):
        self._load, self._allow_unavailable_labels = load, allow_unavailable_labels
        self._update_lock = threading.Lock()  # one update at a time
        self._changed = threading.Condition()  # guards all attributes below
        self._configs: dict[str, model_server_config_pb2.ModelConfig] = {}
        self._versions: dict[str, dict[int, _Version]] = {}
        # (name, version) -> its files when it failed to load
        self._failed: dict[tuple[str, int], model_config.FileStats] = {}
        self._unreadable: dict[str, str] = {}  # name -> the error that was logged for its folder
        self.stopping = threading.Event()  # set by `close`
        self._grace_seconds: float | None = None  # for requests to finish before their version is unloaded

    def configure(self, config: model_server_config_pb2.ModelServerConfig) -> None:
        """Serve exactly the models of `config`; return when each of them has an available version.

        Raises:
            StatusError: INVALID_ARGUMENT, `config` is not a valid list of models; FAILED_PRECONDITION, a label names a
                version that is not available; UNAVAILABLE, `close` was called; UNKNOWN, a model has no version that
                could be loaded. In all but the last case the previous configuration stays in effect.
        """
        configs = {model.name: model for model in config.model_config_list.config}
        with self._update_lock:  # held to the end, so that another configuration does not change what is reported
            if self.stopping.is_set():
                raise status.StatusError(status.Code.UNAVAILABLE, "The server is stopping.")
            model_config.check(config, self._configs)
            self._check_labels(configs)
            with self._changed:
                self._configs = configs
            self._update()
            failed = {name: self._failure_reasons(name) for name in configs if not self._available(name)}
        if failed:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
            raise status.StatusError(status.Code.UNKNOWN, f"Some models did not become available: {reasons}")

    def poll(self, seconds: float) -> None:
        """Check for new versions every `seconds`, in a thread, until `close`."""

        def run() -> None:
            while not self.stopping.wait(seconds):
                try:
                    with self._update_lock:
                        self._update()
                except Exception:
                    log.exception("Failed to check for new versions; retrying in %s s", seconds)

        threading.Thread(target=run, name="poll", daemon=True).start()

    def close(self, grace_seconds: float | None = None) -> None:
        """Unload every version as soon as its requests have finished, or after `grace_seconds` each."""
        self.stopping.set()
        self._grace_seconds = grace_seconds
        with self._update_lock:
            with self._changed:
                self._configs = {}
            self._update()

    @contextlib.contextmanager
    def handle(self, spec: model_pb2.ModelSpec) -> Iterator[predict.Servable]:
        """Yield the servable of the version or label in `spec`, else of the latest version, and keep it loaded.

        Raises:
            StatusError: INVALID_ARGUMENT, no name or an unknown label; NOT_FOUND, no such version.
        """
        if not spec.name:
            raise status.invalid_argument("ModelSpec has no name specified.")
        with self._changed:
            available = self._available(spec.name)
            number = self._version_number(spec)
            version = available.get(max(available, default=0) if number is None else number)
            if version is None or version.servable is None:
                request = f"Latest({spec.name})" if number is None else f"Specific({spec.name}, {number})"
                raise status.StatusError(status.Code.NOT_FOUND, f"Servable not found for request: {request}")
            version.requests += 1
        try:
            yield version.servable
        finally:
            with self._changed:
                version.requests -= 1
                self._changed.notify_all()

    def statuses(self, spec: model_pb2.ModelSpec) -> dict[int, VersionStatus]:
        """Return the status of each version of a model since the start, the latest first, or of `spec`'s version.

        Labels are ignored, as in TensorFlow Serving (model_servers/get_model_status_impl.cc).

        Raises:
            StatusError: NOT_FOUND, there is no such model or version.
        """
        with self._changed:
            number = spec.version.value if spec.HasField("version") else None
            versions = self._versions.get(spec.name, {})
            if number is not None and number not in versions:
                raise status.StatusError(status.Code.NOT_FOUND, f"Could not find version {number} of model {spec.name}")
            if not versions:
                raise status.StatusError(status.Code.NOT_FOUND, f"Could not find any versions of model {spec.name}")
            numbers = sorted(versions, reverse=True) if number is None else [number]
            return {number: VersionStatus(versions[number].state, versions[number].error) for number in numbers}

    def is_configured(self, name: str) -> bool:
        return name in self._configs

    def _version_number(self, spec: model_pb2.ModelSpec) -> int | None:
        choice = spec.WhichOneof("version_choice")
        if choice == "version_label":
            labels = self._configs[spec.name].version_labels if spec.name in self._configs else {}
            if spec.version_label not in labels:
                raise status.invalid_argument(f"Unrecognized servable version label: {spec.version_label}")
            return labels[spec.version_label]
        return spec.version.value if choice == "version" else None

    def _available(self, name: str) -> dict[int, _Version]:
        versions = self._versions.get(name, {})
        return {number: version for number, version in versions.items() if version.state == State.AVAILABLE}

    def _failure_reasons(self, name: str) -> str:
        errors = [
            f"version {number}: {version.error.message}"
            for number, version in self._versions.get(name, {}).items()
            if version.error
        ]
        return ", ".join(errors) or f"no numbered folder with a SavedModel in {self._configs[name].base_path}"

    def _check_labels(self, configs: dict[str, model_server_config_pb2.ModelConfig]) -> None:
        """Check that labels name available versions, by TensorFlow Serving's rules.

        With `allow_unavailable_labels` (--allow_version_labels_for_unavailable_models), only labels that change their
        version are checked.
        """
        with self._changed:
            for name, config in configs.items():
                previous = self._configs[name].version_labels if name in self._configs else {}
                for label, version in config.version_labels.items():
                    is_moved = label in previous and previous[label] != version
                    if (is_moved or not self._allow_unavailable_labels) and version not in self._available(name):
                        raise status.StatusError(
                            status.Code.FAILED_PRECONDITION,
                            f"Request to assign label to version {version} of model {name}, which is not currently "
                            "available for inference",
                        )

    def _update(self) -> None:
        """Load the versions that the configuration selects, then unload all others."""
        for name in [*self._configs, *(self._versions.keys() - self._configs.keys())]:
            config = self._configs.get(name)
            try:
                folders = model_config.version_folders(config) if config else {}
            except OSError as error:  # a disk that is briefly unavailable must not end serving
                if self._unreadable.get(name) != str(error):
                    log.error("Failed to list the versions of %s, retrying: %s", name, error)
                self._unreadable[name] = str(error)
                continue
            self._unreadable.pop(name, None)
            for number in sorted(folders, reverse=True):
                self._ensure_loaded(name, number, folders[number])
            available = self._available(name)
            if not folders or available.keys() & folders.keys():  # keeps the last available version
                for number in available.keys() - folders.keys():
                    self._unload(name, number, available[number])

    def _ensure_loaded(self, name: str, number: int, path: pathlib.Path) -> None:
        previous = self._versions.get(name, {}).get(number)
        if previous and previous.path == path and previous.state == State.AVAILABLE:
            return
        files = model_config.file_stats(path)
        if self._failed.get((name, number)) == files:
            return
        version = _Version(path, State.LOADING)
        if not (previous and previous.servable):
            self._put(name, number, version)
        try:
            version.servable = self._load(name, number, path)
        except Exception as error:
            version.error = status.from_exception(error)
            version.state = State.END
            self._failed[name, number] = files
            log.error("Failed to load %s version %d: %s", name, number, version.error.message)
            return
        version.state = State.AVAILABLE
        self._put(name, number, version)
        log.info("%s version %d is available", name, number)
        if previous and previous.servable:
            self._drain(previous)

    def _put(self, name: str, number: int, version: _Version) -> None:
        with self._changed:
            self._versions.setdefault(name, {})[number] = version

    def _unload(self, name: str, number: int, version: _Version) -> None:
        with self._changed:
            version.state = State.UNLOADING
        self._drain(version)
        log.info("%s version %d is unloaded", name, number)

    def _drain(self, version: _Version) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not version.requests, self._grace_seconds)
            servable, version.servable = version.servable, None
        try:
            if servable:
                servable.close()
        except Exception:
            log.exception("Failed to close a version; its memory may not be freed")
        version.state = State.END
