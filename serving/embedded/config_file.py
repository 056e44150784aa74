"""Reload the file of --model_config_file at intervals, so that an edit takes effect without a restart."""

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
    """Apply the file `path` to `models` every `seconds`, in a thread, until `models` is closed.

    An unchanged file is applied too, as in TensorFlow Serving: a label that was refused may be valid now. The outcome
    is logged when it differs from the previous one; at the start, `config` is in effect.
    """

    def run() -> None:
        previous: _Outcome = config, ""
        while not models.stopping.wait(seconds):
            outcome = _apply(path, models)
            if outcome != previous and not models.stopping.is_set():
                if error := outcome[1]:
                    log.error("Failed to reload %s: %s", path, error)
                else:
                    log.info("Reloaded %s", path)
            previous = outcome

    threading.Thread(target=run, name="config", daemon=True).start()


def _apply(path: pathlib.Path, models: versions.Models) -> _Outcome:
    config = None
    try:
        config = flags.read_models(path)
        models.configure(config)
    except ValueError as error:
        return config, str(error)
    except Exception as error:  # of any kind: the next attempt may succeed
        return config, " ".join(status.from_exception(error).message.split())
    return config, ""
