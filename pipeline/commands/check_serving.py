"""Check of a model server: it has the pushed version, and its answers are those of the validation."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.base import artifacts, documents, metrics
from components.base.errors import PilahError
from components.publish import push
from pipeline import recipe, run_folder
from pipeline.config import Config
from serving import channel, client

log = logging.getLogger("pilah")
WAIT_SECONDS = 120.0  # to find, load and warm up the version
MAX_SCORE_DIFFERENCE = 1e-3  # between served and validated scores: the server may have other kernels, or a GPU


def check_address(address: str) -> None:
    """Check the form of an address, before the run starts.

    Raises:
        PilahError: `address` is not HOST:PORT.
    """
    try:
        channel.check_address(address)
    except ValueError as error:
        raise PilahError(f"--check-serving {error}") from error


def check(config: Config, address: str) -> str:
    """Wait until the server at `address` has the newest version, and compare its answers with those of the validation.

    Returns:
        The result, as a line for the user.

    Raises:
        PilahError: the version is not available within 2 minutes, its answers differ, or the validation's answers or
            photos are missing.
    """
    base = config.run_dir / run_folder.SERVED
    version = push.versions(base)[-1]
    path = base / str(version) / run_folder.ANSWERS
    answers = artifacts.read_json(path, documents.Answers) if path.exists() else {}
    if not answers.get("photos"):
        raise PilahError(
            f"{path.parent} has no answers to compare with: an earlier Pilah pushed it. Push again with --from push."
        )
    usable = {photo.id: photo for photo in run_folder.usable_photos(config.run_dir)}
    if missing := [photo_id for photo_id in answers["photos"] if photo_id not in usable]:
        raise PilahError(
            f"Version {version} was validated on {len(answers['photos'])} photos, of which {len(missing)} are "
            f"missing from the run, such as {missing[0]}. Restore them, or train and push a version without them."
        )
    photos = recipe.plain_bytes(config, [usable[photo_id] for photo_id in answers["photos"]])
    with client.Client(address, push.MODEL_NAME) as server:
        try:
            wait_until_available(server, version, WAIT_SECONDS)
            difference = check_same_answers(server, version, photos, answers)
        except (client.ServingUnavailable, client.ServingRejected) as error:
            raise PilahError(str(error)) from error
    return f"{address} serves version {version}: {len(photos)} photos, scores differ by at most {difference:.1e}"


def wait_until_available(server: client.Client, version: int, seconds: float) -> None:
    """Wait until the server has loaded `version`.

    Raises:
        PilahError: the version is not available within `seconds`, or the address belongs to an HTTP server.
        ServingRejected: the server has no model service.
    """
    deadline = time.monotonic() + seconds
    state = ""
    while not state or time.monotonic() < deadline:
        is_first = not state
        try:
            available = server.available_versions()
        except client.ServingUnavailable as error:
            if http_error := channel.http_error(server.target):
                raise PilahError(http_error) from error
            state = error.reason.rstrip(".")
        else:
            if version in available:
                return
            state = f"it serves {available or 'no version'}"
        if is_first:
            log.warning("waiting up to %g s for version %d at %s: %s", seconds, version, server.target, state)
        time.sleep(0.5)
    raise PilahError(
        f"Version {version} is not available at {server.target} after {seconds:g} s: {state}. Serve this run's folder "
        "(make serve, or docker compose up serving, which a container of Compose reaches as serving:8500), and name "
        "the gRPC port."
    )


def check_same_answers(
    server: client.Client, version: int, photos: Sequence[bytes], answers: Mapping[str, Any]
) -> float:
    """Return the largest difference between the scores served for `photos` and those of `answers`.

    Raises:
        PilahError: the difference is above 1e-3, or the classes differ.
    """
    metrics.check_finite(np.array(answers["scores"]), "Validated scores", "Validate and push again: --from validate.")
    difference = 0.0
    for photo, expected in zip(photos, answers["scores"], strict=True):
        scores = server.classify(photo, model_version=version).scores
        if list(scores) != answers["classes"]:
            raise PilahError(
                f"The classes served at {server.target} must be {answers['classes']} (got {list(scores)}). Point the "
                "server at this run's served folder."
            )
        difference = max(difference, float(np.abs(np.subtract(list(scores.values()), expected)).max()))
    if not difference <= MAX_SCORE_DIFFERENCE:
        raise PilahError(
            f"Scores of {server.target} must equal the validated ones within {MAX_SCORE_DIFFERENCE} (they differ by "
            f"{difference:.2e}). Point the server at this run's served folder, or check its build."
        )
    return difference
