"""The file of --model_config_file, read again at intervals: an edit takes effect without a restart."""

import logging
import pathlib
import threading

from tensorflow_serving.config import model_server_config_pb2

from serving.embedded import flags, status, versions

log = logging.getLogger("serving")
_Outcome = tuple[model_server_config_pb2.ModelServerConfig | None, str]  # what was read, and the error or ""


def poll(
    path: pathlib.Path, seconds: float, models: versions.Models, config: model_server_config_pb2.ModelServerConfig
) -> None:
    """Apply `path` to `models` every `seconds`, in a thread, until `models` is closed; `config` is in effect already.

    It is applied even if unchanged, as by TensorFlow Serving: a label that was refused may be allowed to move now. A
    line is logged when the outcome differs from the one before.
    """

    def run() -> None:
        previous: _Outcome = config, ""
        while not models.stopping.wait(seconds):
            outcome = _apply(path, models)
            if outcome != previous and not models.stopping.is_set():
                if error := outcome[1]:
                    log.error("Reading %s again failed: %s", path, error)
                else:
                    log.info("%s was read again and is in effect", path)
            previous = outcome

    threading.Thread(target=run, name="config", daemon=True).start()


def _apply(path: pathlib.Path, models: versions.Models) -> _Outcome:
    config = None
    try:
        config = flags.read_models(path)
        models.configure(config)
    except ValueError as error:
        return config, str(error)
    except Exception as error:  # whatever it is, the next read may succeed
        return config, " ".join(status.from_exception(error).message.split())
    return config, ""
