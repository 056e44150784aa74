"""The version that was pushed, asked for over the wire: is it there, and does it answer as it was validated?"""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.base import artifacts, metrics
from components.base.errors import PilahError
from components.publish import push
from pipeline import recipe, run_folder
from pipeline.config import Config
from serving import client

log = logging.getLogger("pilah")
WAIT_SECONDS = 120.0  # for a server to find, load and warm up the version
MAX_SCORE_DIFFERENCE = 1e-3  # between scores served and validated: the server may have other kernels, or a GPU


def check(config: Config, target: str) -> None:
    """Wait until the newest version is available at `target` (HOST:PORT), and compare its answers with validation's.

    Raises:
        PilahError: the version does not become available in 2 minutes, or answers otherwise; or nobody knows what it
            should answer, and to which photos.
    """
    base = config.run_dir / run_folder.SERVED
    version = push.versions(base)[-1]
    kept = base / str(version) / run_folder.ANSWERS
    answers = artifacts.read_json(kept) if kept.exists() else {}
    if not answers.get("photos"):
        raise PilahError(
            f"{kept.parent} has no answers to compare with: an earlier Pilah pushed it. Push again with --from push."
        )
    usable = {photo.id: photo for photo in run_folder.usable_photos(config.run_dir)}
    if gone := [photo_id for photo_id in answers["photos"] if photo_id not in usable]:
        raise PilahError(
            f"Version {version} was validated on {len(answers['photos'])} photos, of which {len(gone)} are missing "
            f"from the run, such as {gone[0]}. Restore them, or push a version of the photos that are there."
        )
    photos = recipe.plain_bytes(config, [usable[photo_id] for photo_id in answers["photos"]])
    with client.Client(target, push.MODEL_NAME) as server:
        wait_until_available(server, version, WAIT_SECONDS)
        difference = check_same_answers(server, version, photos, answers)
    log.info("%s serves version %d: %d photos, scores differ by at most %.1e", target, version, len(photos), difference)


def wait_until_available(server: client.Client, version: int, seconds: float) -> None:
    """Return when the server has loaded `version`.

    Raises:
        PilahError: it has not, in so many seconds.
    """
    deadline = time.monotonic() + seconds
    last = "no answer yet"
    while time.monotonic() < deadline:
        try:
            available = server.available_versions()
        except client.ServingUnavailable as error:
            last = str(error)
        else:
            if version in available:
                return
            last = f"versions {available}"
        time.sleep(0.5)
    raise PilahError(
        f"Version {version} is not available at {server.target} after {seconds:g} s ({last}). Start a server on this "
        "run's served folder (make serve)."
    )


def check_same_answers(
    server: client.Client, version: int, photos: Sequence[bytes], answers: Mapping[str, Any]
) -> float:
    """The largest difference between the scores served for `photos` and those of `answers`.

    Raises:
        PilahError: it is above 1e-3, or the classes are others.
    """
    metrics.check_finite(np.array(answers["scores"]), "Validated scores", "Validate and push again: --from validate.")
    difference = 0.0
    for photo, expected in zip(photos, answers["scores"], strict=True):
        scores = server.classify(photo, model_version=version).scores
        if list(scores) != answers["classes"]:
            raise PilahError(
                f"The classes served at {server.target} are {list(scores)}, and must be {answers['classes']}. Point "
                "the server at this run's served folder."
            )
        difference = max(difference, float(np.abs(np.subtract(list(scores.values()), expected)).max()))
    if not difference <= MAX_SCORE_DIFFERENCE:
        raise PilahError(
            f"Scores of {server.target} must equal the validated ones within {MAX_SCORE_DIFFERENCE}, and differ by "
            f"{difference:.2e}. Point the server at this run's served folder, or check its build."
        )
    return difference
