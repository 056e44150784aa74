"""Compare the SavedModel with the Keras model, the records, the web page's JPEGs and the served version."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.base import documents, metrics, rounding
from components.base.answers import Answers
from components.base.errors import PilahError
from components.data import images, photos, resize
from components.publish import export

BATCH_SIZE = 32
MAX_SCORE_DIFFERENCE = 1e-4  # between exported and Keras scores, both float32
MIN_AGREEMENT = 0.99  # share of photos with the same class from the record and from the original file
COMPARED_PHOTOS = 50
WEB_PHOTOS = 500  # enough to know a share of 0.99 to within 0.01; each costs a JPEG and a pass through the model
MIN_WEB_AGREEMENT = 0.95  # share of photos with the same class from the web page's JPEG; below it, a warning is logged
MAX_F1_LOSS = 0.1  # a good refit may lose this much by chance; a failed one loses several times as much
DIVERGED = "The last training on all photos may have diverged: lower --learning-rate."


def load_signature(saved_model: pathlib.Path) -> Callable[[Sequence[bytes]], Answers]:
    """Return the served signature as a function of photos' bytes.

    The function raises NotFiniteError if scores are nan or infinite.
    """
    loaded = tf.saved_model.load(str(saved_model))
    signature = loaded.signatures[export.SIGNATURE]

    def classify(batch: Sequence[bytes], _keep_alive: Any = loaded) -> Answers:
        outputs = {name: output.numpy() for name, output in signature(image_bytes=tf.constant(list(batch))).items()}
        metrics.check_finite(outputs["scores"], "Scores of the exported model", DIVERGED)
        names = [name.decode() for name in outputs["class_names"][0]]
        return Answers(outputs["scores"], names, outputs.get("in_set"), outputs.get("typicality"))

    return classify


def check_floor(f1: float, minimum: float) -> None:
    """Raise PilahError unless the cross-validated macro F1 is at least `minimum`."""
    if not f1 >= minimum:
        raise PilahError(
            f"The winner's cross-validated macro F1 is {rounding.text(f1, '.4f')}, but --min-f1 requires at least "
            f"{minimum}. Check the photos and the leaderboard, or lower --min-f1."
        )


def check_learnt(scores: np.ndarray, labels: np.ndarray, classes: Sequence[str], cross_validated_f1: float) -> float:
    """Return the macro F1 of the refitted model on its training photos.

    It says nothing about other photos. It only checks that the last training succeeded, which no other test does.

    Args:
        scores: float32 [photos, classes], of the records.
        labels: int64 [photos], in [0, classes).
        cross_validated_f1: macro F1 of the scenario that was refitted.

    Raises:
        PilahError: the F1 is more than 0.1 below the cross-validated one.
    """
    matrix = metrics.confusion(labels, scores.argmax(axis=1), len(classes))
    f1 = metrics.score(matrix, classes).f1
    if not f1 >= cross_validated_f1 - MAX_F1_LOSS:
        raise PilahError(
            f"The refitted model has a macro F1 of {rounding.text(f1, '.4f')} on its own training photos, and "
            f"its scenario one of {rounding.text(cross_validated_f1, '.4f')} in cross-validation. The last training "
            "failed: change --seed or lower the learning rate."
        )
    return f1


def check_same_answers(
    model: keras.Model, saved_model: pathlib.Path, photo_bytes: Sequence[bytes], image_size_px: int
) -> tuple[float, np.ndarray]:
    """Compare the exported model's scores with the Keras model's, in batches of 1 and of 32 photos.

    Returns:
        The largest difference, and the Keras model's scores, float32 [photos, classes].

    Raises:
        NotFiniteError: some scores are nan or infinite.
        PilahError: the difference is above 1e-4.
    """
    classify = load_signature(saved_model)
    pixels = tf.stack([resize.decode_and_resize(tf.constant(photo), image_size_px) for photo in photo_bytes])
    # A graph, because in eager mode Keras keeps all layers' activations, 5 GB for ResNet50 and 32 photos.
    forward = tf.function(lambda pixels: model(pixels, training=False))
    expected = np.concatenate(
        [forward(pixels[start : start + BATCH_SIZE]).numpy() for start in range(0, len(pixels), BATCH_SIZE)]
    )
    metrics.check_finite(expected, "Scores of the refitted model", DIVERGED)
    batches = [
        range(start, min(start + BATCH_SIZE, len(photo_bytes))) for start in range(0, len(photo_bytes), BATCH_SIZE)
    ]
    singles = [range(index, index + 1) for index in range(len(photo_bytes))]
    difference = max(
        float(np.abs(classify([photo_bytes[i] for i in rows]).scores - expected[list(rows)]).max())
        for rows in (*singles, *batches)
    )
    if not difference <= MAX_SCORE_DIFFERENCE:
        raise PilahError(
            f"Exported scores must equal the Keras model's within {MAX_SCORE_DIFFERENCE}, but differ by up to "
            f"{difference:.2e} on {len(photo_bytes)} photos. Export again with --from export; if that does not help, "
            "report the problem."
        )
    return difference, expected


def check_no_skew(
    saved_model: pathlib.Path,
    photo_list: Sequence[photos.Photo],
    *,
    record_classes: Sequence[str],
    max_pixels: int,
    progress: Callable[[int, int], None],
) -> tuple[float, np.ndarray]:
    """Compare the classes of photos from their TFRecords and from their original files.

    Files are first converted by `images.plain_bytes`, as in the command-line client.

    Args:
        record_classes: class of each photo that the model predicts from its record.

    Returns:
        The share of the photos, in [0, 1], with the same class, and the scores of the files, float32 [photos, classes].

    Raises:
        NotFiniteError: some scores are nan or infinite.
        PilahError: the share is below 0.99, or a photo has changed since it was listed.
    """
    classify = load_signature(saved_model)
    same, all_scores = 0, []
    for start in range(0, len(photo_list), BATCH_SIZE):
        batch = photo_list[start : start + BATCH_SIZE]
        files = [images.plain_bytes(photos.read_bytes(photo.path, photo.id), max_pixels)[0] for photo in batch]
        answers = classify(files)
        all_scores.append(answers.scores)
        file_classes = [answers.class_names[index] for index in answers.scores.argmax(axis=1)]
        same += sum(a == b for a, b in zip(file_classes, record_classes[start : start + BATCH_SIZE], strict=True))
        progress(start + len(batch), len(photo_list))
    agreement = same / len(photo_list)
    if not agreement >= MIN_AGREEMENT:
        raise PilahError(
            f"Records and original files must give the same class for {MIN_AGREEMENT:.0%} of the photos, but do so for "
            f"only {rounding.text(agreement, '.2%')} of {len(photo_list)}. Rebuild the records with --from dataset."
        )
    return agreement, np.concatenate(all_scores)


@dataclasses.dataclass(frozen=True)
class WebAgreement:
    """Agreement between the JPEGs that the web page sends and the original photos.

    Attributes:
        photos: number of photos compared.
        same_class: share of photos, in [0, 1], with the same class.
        mean_difference: mean absolute difference of all scores.
        max_difference: largest absolute difference of a score.
    """

    photos: int
    same_class: float
    mean_difference: float
    max_difference: float


def compare_web_jpegs(
    saved_model: pathlib.Path,
    photo_list: Sequence[photos.Photo],
    file_scores: np.ndarray,
    *,
    max_pixels: int,
    progress: Callable[[int, int], None],
) -> WebAgreement:
    """Score the web page's JPEGs of up to 500 evenly spaced photos, and compare them with `file_scores`.

    A photo that cannot be converted to such a JPEG counts as having another class.

    Args:
        file_scores: scores of all photos, from `check_no_skew`.

    Raises:
        NotFiniteError: some scores are nan or infinite.
        PilahError: a photo has changed since it was listed.
    """
    classify = load_signature(saved_model)
    rows = photos.spread_rows(len(photo_list), WEB_PHOTOS)
    count = len(rows)
    same, differences = 0, [file_scores[:0]]
    for start in range(0, count, BATCH_SIZE):
        jpegs = {}  # row -> JPEG
        for row in rows[start : start + BATCH_SIZE]:
            photo = photos.read_bytes(photo_list[row].path, photo_list[row].id)
            with contextlib.suppress(images.UnusablePhotoError):
                jpegs[row] = images.web_jpeg(photo, max_pixels)
        if jpegs:
            scores = classify(list(jpegs.values())).scores
            expected = file_scores[list(jpegs)]
            same += int((scores.argmax(axis=1) == expected.argmax(axis=1)).sum())
            differences.append(np.abs(scores - expected))
        progress(min(start + BATCH_SIZE, count), count)
    difference = np.concatenate(differences)
    mean = float(difference.mean()) if difference.size else 0.0
    return WebAgreement(count, same / count, mean, float(difference.max(initial=0.0)))


def check_not_worse(
    candidate: documents.ModelDescription, served: documents.ModelDescription | None, force: bool
) -> str:
    """Compare the candidate's model.json with the served version's, if there is one; return the comparison as text.

    Scores are compared only if photos and folds are the same.

    Raises:
        PilahError: the candidate's F1 is lower, or only its photos are synthetic, and `force` is not set.
    """
    if served is None:
        return "first version"
    if candidate["data"]["drawn"] and not served["data"]["drawn"] and not force:
        raise PilahError(
            f"A model trained on synthetic photos must not replace version {served['version']}, which was trained on "
            "real ones. Choose another --run-dir, or push with --force."
        )
    if served["data"]["photos_and_folds"] != candidate["data"]["photos_and_folds"]:
        return f"other photos or folds than version {served['version']}: not compared"
    new, old = candidate["figures"]["f1"], served["figures"]["f1"]
    comparison = (
        f"macro F1 {rounding.text(new, '.4f')} against {rounding.text(old, '.4f')} of version {served['version']}"
    )
    if not new >= old and not force:
        raise PilahError(
            f"A model is pushed only if it is no worse than the one served: {comparison}. Keep the served one, or push "
            "this one with --force."
        )
    return comparison
