"""Which versions of which models are served: found by polling, the newest loaded before an older one goes."""

import contextlib
import dataclasses
import logging
import pathlib
import threading
from collections.abc import Callable, Container, Iterator

from tensorflow_serving.apis import get_model_status_pb2, model_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving.embedded import predict, status

log = logging.getLogger("serving")
State = get_model_status_pb2.ModelVersionStatus.State
Load = Callable[[str, int, pathlib.Path], predict.Servable]
PLATFORM = "tensorflow"
_Files = frozenset[tuple[str, int, int]]  # paths, sizes in bytes, times of change
MAX_VERSION = 2**63 - 1
GRAPH_FILES = ("saved_model.pb", "saved_model.pbtxt")


@dataclasses.dataclass
class _Version:
    path: pathlib.Path
    state: int = State.START  # one of State
    error: status.StatusError | None = None
    servable: predict.Servable | None = None
    requests: int = 0  # under way


class Models:
    """The models of a configuration, each with the versions that its policy asks for.

    Requests hold a version through `handle`, and end on the version they began with.

    Args:
        load: gives the servable of (model name, version, folder), or raises StatusError.
    """

    def __init__(self, load: Load):
        self._load = load
        self._updating = threading.Lock()  # one change at a time
        self._changed = threading.Condition()  # guards all below
        self._configs: dict[str, model_server_config_pb2.ModelConfig] = {}
        self._versions: dict[str, dict[int, _Version]] = {}
        self._failed: dict[tuple[str, int], _Files] = {}  # what was in a version's folder when it could not be loaded
        self._stopping = threading.Event()
        self._grace_seconds: float | None = None  # for requests to end before their version goes

    def configure(self, config: model_server_config_pb2.ModelServerConfig) -> None:
        """Serve exactly the models of `config`; return when each of them has a version to answer with.

        Raises:
            StatusError: INVALID_ARGUMENT, not a valid list of models; FAILED_PRECONDITION, a label on a version that is
                not available; UNKNOWN, a model of which no version could be loaded. The configuration before it stays
                in the first two cases.
        """
        _check(config, self._configs)
        wanted = {model.name: model for model in config.model_config_list.config}
        with self._updating:
            self._check_labels(wanted)
            with self._changed:
                self._configs = wanted
            self._update()
        with self._changed:
            failed = {name: self._why(name) for name in wanted if not self._available(name)}
        if failed:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
            raise status.StatusError(status.Code.UNKNOWN, f"Some models did not become available: {reasons}")

    def poll(self, seconds: float) -> None:
        """Look for new versions every so many seconds, in a thread, until `close`."""

        def look() -> None:
            while not self._stopping.wait(seconds):
                try:
                    with self._updating:
                        self._update()
                except Exception:
                    log.exception("Looking for new versions failed; trying again in %s s", seconds)

        threading.Thread(target=look, name="poll", daemon=True).start()

    def close(self, grace_seconds: float | None = None) -> None:
        """Unload every version once its requests have ended, or after `grace_seconds` each all the same."""
        self._stopping.set()
        self._grace_seconds = grace_seconds
        with self._updating:
            with self._changed:
                self._configs = {}
            self._update()

    @contextlib.contextmanager
    def handle(self, spec: model_pb2.ModelSpec) -> Iterator[predict.Servable]:
        """The servable that `spec` names by version, by label, or as the newest; kept loaded inside the block.

        Raises:
            StatusError: INVALID_ARGUMENT, no name or an unknown label; NOT_FOUND, no such version.
        """
        if not spec.name:
            raise status.invalid_argument("ModelSpec has no name specified.")
        with self._changed:
            available = self._available(spec.name)
            number = self._number(spec)
            found = available.get(max(available, default=0) if number is None else number)
            if found is None or found.servable is None:
                wanted = f"Latest({spec.name})" if number is None else f"Specific({spec.name}, {number})"
                raise status.StatusError(status.Code.NOT_FOUND, f"Servable not found for request: {wanted}")
            found.requests += 1
        try:
            yield found.servable
        finally:
            with self._changed:
                found.requests -= 1
                self._changed.notify_all()

    def statuses(self, spec: model_pb2.ModelSpec) -> dict[int, tuple[int, status.StatusError | None]]:
        """State and error of each version ever seen of a model, the newest first, or of the one of `spec`'s number.

        Labels are passed over, as TensorFlow Serving does (model_servers/get_model_status_impl.cc).

        Raises:
            StatusError: NOT_FOUND, there is none.
        """
        with self._changed:
            number = spec.version.value if spec.HasField("version") else None
            versions = self._versions.get(spec.name, {})
            if number is not None and number not in versions:
                raise status.StatusError(status.Code.NOT_FOUND, f"Could not find version {number} of model {spec.name}")
            if not versions:
                raise status.StatusError(status.Code.NOT_FOUND, f"Could not find any versions of model {spec.name}")
            wanted = sorted(versions, reverse=True) if number is None else [number]
            return {one: (versions[one].state, versions[one].error) for one in wanted}

    def is_configured(self, name: str) -> bool:
        return name in self._configs

    def _number(self, spec: model_pb2.ModelSpec) -> int | None:
        choice = spec.WhichOneof("version_choice")
        if choice == "version_label":
            labels = self._configs[spec.name].version_labels if spec.name in self._configs else {}
            if spec.version_label not in labels:
                raise status.invalid_argument(f"Unrecognized servable version label: {spec.version_label}")
            return labels[spec.version_label]
        return spec.version.value if choice == "version" else None

    def _available(self, name: str) -> dict[int, _Version]:
        versions = self._versions.get(name, {})
        return {number: one for number, one in versions.items() if one.state == State.AVAILABLE}

    def _why(self, name: str) -> str:
        errors = [
            f"version {number}: {one.error.message}"
            for number, one in self._versions.get(name, {}).items()
            if one.error
        ]
        return ", ".join(errors) or f"no numbered folder with a SavedModel in {self._configs[name].base_path}"

    def _check_labels(self, wanted: dict[str, model_server_config_pb2.ModelConfig]) -> None:
        """A label may move to an available version alone; a new one may go before its version.

        So does TensorFlow Serving with --allow_version_labels_for_unavailable_models, as docker-compose.yml starts it.
        """
        with self._changed:
            for name in wanted.keys() & self._configs.keys():
                before = self._configs[name].version_labels
                for label, version in wanted[name].version_labels.items():
                    moves = label in before and before[label] != version
                    if moves and version not in self._available(name):
                        raise status.StatusError(
                            status.Code.FAILED_PRECONDITION,
                            f"Request to assign label to version {version} of model {name}, which is not currently "
                            "available for inference",
                        )

    def _update(self) -> None:
        for name in [*self._configs, *(self._versions.keys() - self._configs.keys())]:
            config = self._configs.get(name)
            try:
                aspired = _aspired(config) if config else {}
            except OSError as error:  # a disk that is away for a moment must not end what is served
                log.error("Looking for versions of %s failed: %s", name, error)
                continue
            for number in sorted(aspired, reverse=True):
                self._ensure_loaded(name, number, aspired[number])
            available = self._available(name)
            if not aspired or available.keys() & aspired.keys():  # never the last one that answers
                for number in available.keys() - aspired.keys():
                    self._unload(name, number, available[number])

    def _ensure_loaded(self, name: str, number: int, path: pathlib.Path) -> None:
        before = self._versions.get(name, {}).get(number)
        if before and before.path == path and before.state == State.AVAILABLE:
            return
        files = _files(path)
        if self._failed.get((name, number)) == files:
            return
        version = _Version(path, State.LOADING)
        if not (before and before.servable):
            self._put(name, number, version)
        try:
            version.servable = self._load(name, number, path)
        except Exception as error:
            version.error = status.from_exception(error)
            version.state = State.END
            self._failed[name, number] = files
            log.error("Loading %s version %d failed: %s", name, number, version.error.message)
            return
        version.state = State.AVAILABLE
        self._put(name, number, version)
        log.info("%s version %d is available", name, number)
        if before and before.servable:
            self._drain(before)

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
            log.exception("closing a version failed; what it held may stay in memory")
        version.state = State.END


def _check(config: model_server_config_pb2.ModelServerConfig, served: Container[str]) -> None:
    if config.WhichOneof("config") != "model_config_list":
        raise status.invalid_argument(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
            "supported"
        )
    names: set[str] = set()
    for model in config.model_config_list.config:
        if not model.name or not model.base_path:
            raise status.invalid_argument(f"A model needs a name and a base_path. Received: {model!s}".strip())
        if not pathlib.PurePath(model.base_path).is_absolute():
            raise status.invalid_argument(
                f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
            )
        platform = model.model_platform
        if not platform and model.model_type == model_server_config_pb2.TENSORFLOW:  # the old way to say it
            platform = PLATFORM
        if not platform:
            raise status.invalid_argument(
                "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
                "ModelServerConfig::model_platform."
            )
        if platform != PLATFORM and model.name in served:
            raise status.invalid_argument(
                f"Illegal to change a model's platform. For model {model.name} platform was {PLATFORM} and new "
                f"platform requested is {platform}"
            )
        if platform != PLATFORM:
            raise status.invalid_argument(f"Model {model.name} requests unsupported platform {platform}")
        if model.name in names:
            raise status.invalid_argument(f"Illegal to list model {model.name} multiple times in config list")
        names.add(model.name)


def _aspired(config: model_server_config_pb2.ModelConfig) -> dict[int, pathlib.Path]:
    """The versions on disk that the policy asks for; folders without a graph are still being copied.

    Raises:
        OSError: the base path cannot be read.
    """
    found = {
        int(path.name): path
        for path in pathlib.Path(config.base_path).iterdir()
        if path.name.isascii() and path.name.isdecimal() and int(path.name) <= MAX_VERSION
        if any((path / file).is_file() for file in GRAPH_FILES)
    }
    policy = config.model_version_policy
    match policy.WhichOneof("policy_choice"):
        case "all":
            wanted = set(found)
        case "specific":
            wanted = set(policy.specific.versions)
        case _:
            wanted = set(sorted(found)[-max(1, policy.latest.num_versions) :])
    return {number: path for number, path in found.items() if number in wanted}


def _files(path: pathlib.Path) -> _Files:
    stats = ((file, file.stat()) for file in path.rglob("*") if file.is_file())
    return frozenset((str(file), stat.st_size, stat.st_mtime_ns) for file, stat in stats)
