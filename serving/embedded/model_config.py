"""Check the configuration of the models, and find the versions on disk that it selects."""

import pathlib
from collections.abc import Container

from tensorflow_serving.config import model_server_config_pb2

from serving.embedded import status

PLATFORM = "tensorflow"
MAX_VERSION = 2**63 - 1
GRAPH_FILES = ("saved_model.pb", "saved_model.pbtxt")
FileStats = frozenset[tuple[str, int, int]]  # path, size in bytes, modification time in nanoseconds


def check(config: model_server_config_pb2.ModelServerConfig, served: Container[str]) -> None:
    """Check the new configuration `config` of a server with the models named in `served`.

    Raises:
        StatusError: INVALID_ARGUMENT, `config` is not a valid list of models.
    """
    if config.WhichOneof("config") != "model_config_list":
        raise status.invalid_argument(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
            "supported"
        )
    names: set[str] = set()
    for model in config.model_config_list.config:
        if not model.name or not model.base_path:
            raise status.invalid_argument(f"Every model needs a name and a base_path (got {str(model).strip()!r}).")
        if not pathlib.PurePath(model.base_path).is_absolute():
            raise status.invalid_argument(
                f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
            )
        platform = model.model_platform
        if not platform and model.model_type == model_server_config_pb2.TENSORFLOW:  # deprecated field
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


def version_folders(config: model_server_config_pb2.ModelConfig) -> dict[int, pathlib.Path]:
    """Return the folder of each version on disk that the version policy selects.

    Folders without a graph are skipped: they are still being copied.

    Raises:
        OSError: the base path cannot be read.
    """
    folders = {
        int(path.name): path
        for path in pathlib.Path(config.base_path).iterdir()
        if path.name.isascii() and path.name.isdecimal() and int(path.name) <= MAX_VERSION
        if any((path / file).is_file() for file in GRAPH_FILES)
    }
    policy = config.model_version_policy
    match policy.WhichOneof("policy_choice"):
        case "all":
            selected = set(folders)
        case "specific":
            selected = set(policy.specific.versions)
        case _:
            selected = set(sorted(folders)[-max(1, policy.latest.num_versions) :])
    return {number: path for number, path in folders.items() if number in selected}


def file_stats(path: pathlib.Path) -> FileStats:
    """Return the size and modification time of each file below `path`, to detect changes."""
    stats = ((file, file.stat()) for file in path.rglob("*") if file.is_file())
    return frozenset((str(file), stat.st_size, stat.st_mtime_ns) for file, stat in stats)
