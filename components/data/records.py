"""Photo list -> TFRecord shards, written by a TensorFlow Datasets builder with Beam; and a reader for them."""

import collections
import contextlib
import dataclasses
import json
import pathlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from apache_beam.options.pipeline_options import PipelineOptions
from tensorflow_datasets.core import dataset_builder, splits

from components.base import artifacts
from components.base.errors import PilahError
from components.data import images, photos, resize, stratified_folds

PHOTOS_PER_SHARD = (
    128  # about 12 MB per shard at 224x224, and enough shards to keep all workers busy from 1,000 photos on
)
REJECT_COLUMNS = ("id", "path", "label", "reason", "detail")
SPLIT = "photos"
# FnApiRunner, because DirectRunner may download a binary. Threads suffice, because the work is done outside of Python.
LOCAL_RUNNER = ("--runner=FnApiRunner", "--direct_running_mode=multi_threading", "--direct_num_workers=0")


def schema(classes: Sequence[str], image_size_px: int) -> tfds.features.FeaturesDict:
    """Return the features of a record. The image is a lossless PNG, to have equal pixels in training and serving."""
    return tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(image_size_px, image_size_px, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=classes),
            "fold": tfds.features.Scalar(np.int64),
            "original_width_px": tfds.features.Scalar(np.int64),
            "original_height_px": tfds.features.Scalar(np.int64),
        }
    )


@dataclasses.dataclass(frozen=True)
class Shard:
    """The path of a shard to write, and its photos in order."""

    path: str
    photos: tuple[photos.Photo, ...]


def write_shard(
    shard: Shard, features: tfds.features.FeaturesDict, image_size_px: int, max_pixels: int
) -> dict[str, Any]:
    """Write a shard; return its path, and its numbers of photos and bytes and its rejects, or an error or a failure.

    A Beam element is a whole shard, so that no pixels pass between steps. Memory does not grow with the number of
    photos, shards are the same on every runner, and a retried bundle writes the same file.
    """
    try:
        rejects = _write_photos(shard, features, image_size_px, max_pixels)
    except PilahError as error:  # returned as data, because Beam would hide it in a traceback
        return {"path": shard.path, "error": str(error)}
    except (OSError, tf.errors.OpError) as error:
        return {"path": shard.path, "failure": str(error)}
    written = len(shard.photos) - len(rejects)
    return {"path": shard.path, "photos": written, "bytes": pathlib.Path(shard.path).stat().st_size, "rejects": rejects}


def _write_photos(
    shard: Shard, features: tfds.features.FeaturesDict, image_size_px: int, max_pixels: int
) -> list[dict[str, str]]:
    """Write the usable photos of a shard; return the rows of rejects.csv for the others.

    Raises:
        PilahError: a photo cannot be read, or has changed since it was listed.
    """
    rejects = []
    with artifacts.atomic_write(pathlib.Path(shard.path)) as part, tf.io.TFRecordWriter(str(part)) as writer:
        for start in range(0, len(shard.photos), resize.PHOTOS_AT_ONCE):
            batch = shard.photos[start : start + resize.PHOTOS_AT_ONCE]
            files = [photos.read_bytes(photo.path, photo.id) for photo in batch]
            for photo, square in zip(batch, resize.make(files, image_size_px, max_pixels), strict=True):
                if isinstance(square, images.UnusablePhotoError):
                    beam.metrics.Metrics.counter("rejects", square.reason).inc()
                    rejects.append(make_reject(photo, square))
                else:
                    writer.write(features.serialize_example(features.encode_example(make_example(photo, square))))
    return rejects


def make_example(photo: photos.Photo, square: resize.Square) -> dict[str, Any]:
    """Return the values of a record."""
    width_px, height_px = square.original_size_px
    return {
        "id": photo.id,
        "image": square.png,
        "label": photo.label,
        "fold": photo.fold,
        "original_width_px": width_px,
        "original_height_px": height_px,
    }


def make_reject(photo: photos.Photo, error: images.UnusablePhotoError) -> dict[str, str]:
    """Return the row of rejects.csv."""
    detail = " ".join(error.detail.split())
    return {"id": photo.id, "path": photo.path, "label": photo.label, "reason": error.reason, "detail": detail}


class _Info(tfds.core.DatasetInfo):
    """Information about the records."""

    def initialize_from_bucket(self) -> None:
        """Do nothing; the original searches Google's datasets, and leaves a temporary folder behind."""


class PhotoRecords(dataset_builder.FileReaderBuilder):
    """TensorFlow Datasets builder of a single split, `photos`, in the order of the photo list.

    The Beam writers of TensorFlow Datasets group whole records by key, which local runners do in memory. Here Beam
    distributes lists of photos, and each worker writes its own shards. After `download_and_prepare`, `rejects` has the
    rows of rejects.csv.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(
        self,
        data_dir: pathlib.Path,
        photo_list: Sequence[photos.Photo],
        *,
        image_size_px: int,
        max_pixels: int,
        beam_args: Sequence[str],
        progress: Callable[[int, int], None],
    ):
        self.photo_list = photo_list
        self.image_size_px = image_size_px
        self.max_pixels = max_pixels
        self.beam_args = beam_args
        self.progress = progress
        self.rejects: list[dict[str, str]] = []
        super().__init__(data_dir=data_dir)

    def _info(self) -> tfds.core.DatasetInfo:
        classes = photos.class_names(self.photo_list)
        return _Info(builder=self, features=schema(classes, self.image_size_px))

    def _log_download_bytes(self) -> None:
        """Log nothing, because nothing is downloaded."""

    _log_download_done = _log_download_bytes

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        template = self._get_filename_template(split_name=SPLIT)
        starts = range(0, len(self.photo_list), PHOTOS_PER_SHARD)
        shards = [
            Shard(
                str(template.sharded_filepath(shard_index=index, num_shards=len(starts))),
                tuple(self.photo_list[start : start + PHOTOS_PER_SHARD]),
            )
            for index, start in enumerate(starts)
        ]
        report = f"{template.filepath_prefix()}.report.jsonl"
        options = PipelineOptions([*LOCAL_RUNNER, *self.beam_args])  # the later option wins
        with _shards_counted(shards, self.progress), beam.Pipeline(options=options) as pipeline:
            _ = (
                pipeline
                | "ListShards" >> beam.Create(shards)
                | "SpreadShards" >> beam.Reshuffle()
                | "WriteShard" >> beam.Map(write_shard, self.info.features, self.image_size_px, self.max_pixels)
                | "DescribeShard" >> beam.Map(json.dumps)
                | "SaveReport" >> beam.io.WriteToText(report, shard_name_template="")
            )
        shard_reports = sorted(
            map(json.loads, pathlib.Path(report).read_text().splitlines()), key=lambda shard: shard["path"]
        )
        if errors := [shard["error"] for shard in shard_reports if "error" in shard]:
            raise PilahError(errors[0])
        if failures := [shard["failure"] for shard in shard_reports if "failure" in shard]:
            raise OSError(failures[0])
        self.rejects = [reject for shard in shard_reports for reject in shard["rejects"]]
        info = splits.SplitInfo(
            name=SPLIT,
            shard_lengths=[shard["photos"] for shard in shard_reports],
            num_bytes=sum(shard["bytes"] for shard in shard_reports),
            filename_template=template,
        )
        self.info.set_splits(splits.SplitDict([info]))


def build(
    folder: pathlib.Path,
    photo_list: Sequence[photos.Photo],
    *,
    image_size_px: int,
    max_pixels: int,
    max_rejects: float,
    folds: int,
    beam_args: Sequence[str],
    progress: Callable[[int, int], None],
    unreadable: Sequence[Mapping[str, str]] = (),
) -> list[dict[str, str]]:
    """Write the shards and rejects.csv of `photo_list` into `folder`, and return the rejects.

    Everything else in `folder` is removed first. rejects.csv is replaced last, so that a killed run still has it.

    Args:
        max_pixels: width x height above which a photo is rejected.
        max_rejects: maximum share of rejects among all files, in [0, 1].
        beam_args: Beam pipeline options, as on its command line.
        unreadable: rows of unreadable.csv, for files that could not be listed as photos; they count as rejects.

    Raises:
        PilahError: there are too many rejects; a class has fewer usable photos than `folds`, or none in a fold; or a
            photo has changed since it was listed.
    """
    rejects_csv = folder / photos.REJECTS
    for path in folder.glob("*"):
        if path.is_dir():
            artifacts.remove(path)
        elif path != rejects_csv:
            path.unlink()
    builder = PhotoRecords(
        folder,
        photo_list,
        image_size_px=image_size_px,
        max_pixels=max_pixels,
        beam_args=beam_args,
        progress=progress,
    )
    builder.download_and_prepare()
    rejects = [*({"id": "", **row} for row in unreadable), *builder.rejects]
    artifacts.write_csv(rejects_csv, REJECT_COLUMNS, rejects)
    usable = photos.accepted(photo_list, folder)
    if builder.info.splits[SPLIT].num_examples != len(usable):
        raise RuntimeError(
            f"{folder} must have {len(usable)} records, one for each usable photo "
            f"(got {builder.info.splits[SPLIT].num_examples})."
        )
    _check_rejects(rejects, len(photo_list) + len(unreadable), max_rejects, rejects_csv)
    labels = [photo.label for photo in usable]
    stratified_folds.check_class_sizes(labels, photos.class_names(photo_list), folds)
    if missing := stratified_folds.untested(labels, np.array([photo.fold for photo in usable]), folds):
        raise PilahError(
            f"Without the photos listed in {rejects_csv} there are no test photos of {missing}. Remove these files to "
            "assign the others to new folds, or lower --folds."
        )
    return rejects


def _check_rejects(
    rejects: Sequence[Mapping[str, str]], files: int, max_rejects: float, rejects_csv: pathlib.Path
) -> None:
    if len(rejects) <= max_rejects * files:
        return
    reasons = collections.Counter(reject["reason"] for reject in rejects)
    larger = "raise --max-pixels for those too large, " if "too large" in reasons else ""
    raise PilahError(
        f"At most {max_rejects:.1%} of the photos may be unusable, but {len(rejects)} of {files} are "
        f"({', '.join(f'{reason} {count}' for reason, count in reasons.most_common())}). Repair or remove those listed "
        f"in {rejects_csv}, {larger}or raise --max-rejects."
    )


def read(folder: pathlib.Path, start: int = 0, end: int | None = None) -> tf.data.Dataset:
    """Return the records in `folder`, from number `start` to before `end`, in the order of photos.accepted.

    Each is a dict: id string [], image uint8 [size, size, 3], label, fold, original_width_px and original_height_px
    int64 [].
    """
    (metadata,) = folder.glob("*/*/dataset_info.json")
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    split = tfds.core.ReadInstruction(SPLIT, from_=start, to=end, unit="abs")
    return tfds.builder_from_directory(metadata.parent).as_dataset(split=split, shuffle_files=False, read_config=config)


@contextlib.contextmanager
def _shards_counted(shards: Sequence[Shard], progress: Callable[[int, int], None]) -> Iterator[None]:
    """Report the number of photos in finished shards every second while the block runs."""
    stop = threading.Event()
    total = sum(len(shard.photos) for shard in shards)

    def count() -> None:
        while not stop.wait(1.0):
            progress(sum(len(shard.photos) for shard in shards if pathlib.Path(shard.path).exists()), total)

    counter = threading.Thread(target=count, daemon=True)
    counter.start()
    try:
        yield
    finally:
        stop.set()
        counter.join()
    progress(total, total)
