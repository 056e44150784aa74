"""Photo list -> TFRecord shards, written by a TensorFlow Datasets builder with Beam; and a reader for them."""

import collections
import contextlib
import os
import pathlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from tensorflow_datasets.core import dataset_builder, splits

from components.base import artifacts
from components.base.errors import PilahError
from components.data import photos, shards, stratified_folds

PHOTOS_PER_SHARD = (
    128  # about 12 MB per shard at 224x224, and enough shards to keep all workers busy from 1,000 photos on
)
REJECT_COLUMNS = ("id", "path", "label", "reason", "detail")
SPLIT = "photos"
# FnApiRunner, because DirectRunner may download a binary. Threads suffice, because the work is done outside of Python.
LOCAL_RUNNER = (
    *("--runner=FnApiRunner", "--direct_running_mode=multi_threading", "--direct_num_workers=0"),
    "--job_server_timeout=60",  # seconds, for the runners that have a job server; Beam waits 300 s
)


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
        # removed with the files that killed workers have left; another name for each build, because workers cache it
        list_path = pathlib.Path(template.filepath_prefix()).with_name(f"{artifacts.PART}{secrets.token_hex(8)}.csv")
        photos.write(list_path, self.photo_list)
        planned = [
            shards.Shard(
                str(template.sharded_filepath(shard_index=index, num_shards=len(starts))),
                list_path,
                start,
                min(start + PHOTOS_PER_SHARD, len(self.photo_list)),
            )
            for index, start in enumerate(starts)
        ]
        serialize = self.info.features.serialize_example
        options = PipelineOptions([*LOCAL_RUNNER, *self.beam_args])  # the later option wins
        if "DataflowRunner" in (options.view_as(StandardOptions).runner or ""):
            raise PilahError(
                "--runner=DataflowRunner cannot write records, because its workers do not see the run folder. Use a "
                "runner whose workers mount it, or leave --runner out."
            )
        with shards.counted(planned, self.progress), self._naming_the_runner(), beam.Pipeline(options=options) as root:
            _ = (
                root
                | "ListShards" >> beam.Create(planned)
                | "SpreadShards" >> beam.Reshuffle()
                | "WriteShard" >> beam.Map(shards.write, serialize, self.image_size_px, self.max_pixels)
            )
        reports = shards.read_reports(planned)
        self.rejects = [reject for report in reports for reject in report["rejects"]]
        info = splits.SplitInfo(
            name=SPLIT,
            shard_lengths=[report["photos"] for report in reports],
            num_bytes=sum(report["bytes"] for report in reports),
            filename_template=template,
        )
        self.info.set_splits(splits.SplitDict([info]))

    @contextlib.contextmanager
    def _naming_the_runner(self) -> Iterator[None]:
        """Raise PilahError with the cause in one line if the runner that the user chose fails."""
        try:
            yield
        except Exception as error:
            is_disk = any(os.strerror(code) in str(error) for code in artifacts.DISK_ERRORS)
            if not self.beam_args or isinstance(error, OSError) or is_disk:
                raise
            # Beam puts the tracebacks of its job server and its worker above the cause
            causes = [line.strip() for line in str(error).splitlines() if line.strip(" >")]
            raise PilahError(
                f"The Beam runner failed ({causes[-1] if causes else type(error).__name__}). Check the options after "
                "--, and that its job server and its workers run and have Pilah's code, as docs/beam.md describes."
            ) from error


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
