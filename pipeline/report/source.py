"""The data that every section of the page is rendered from."""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from components.data import photos
from pipeline import run_folder
from pipeline.config import Config
from pipeline.report import calibration, localization, thumbnails
from tuner import scenarios

Contents = Mapping[str, Any] | None  # variables of a section's template; None if it has nothing to show


@dataclasses.dataclass(frozen=True)
class Group:
    """Scenarios with equal predictions, which the page shows as one.

    Attributes:
        indices: their places in the figures' list of scenarios, ascending.
        name: their settings.
    """

    indices: list[int]
    name: str


@dataclasses.dataclass(frozen=True)
class Source:
    """The data that a section is rendered from.

    Attributes:
        figures: contents of figures.json.
        gettext, figure: translate and format for the reader (`report.localization`).
    """

    config: Config
    figures: dict[str, Any]
    gettext: localization.Gettext
    figure: Callable[..., Markup]

    def backbone(self, row: Mapping[str, Any]) -> str:
        """Return the name of a scenario's backbone, marked if it was fine-tuned or only has covariance heads."""
        name = row["backbone"]
        if row["strategy"] != "finetune":
            return name
        if not self.config.ensemble:
            names = dict.fromkeys(head.backbone for head in self.config.finetuning.covariance_heads)
            return str(self.gettext("covariance heads of %(backbones)s", backbones=", ".join(names)))
        return str(self.gettext("%(backbone)s fine-tuned", backbone=name))

    @functools.cached_property
    def groups(self) -> list[Group]:
        """The scenarios, best first; those with equal predictions are one group."""
        indices: dict[int, list[int]] = {}
        for index, row in enumerate(self.figures["scenarios"]):
            indices.setdefault(row["same_as"], []).append(index)
        return [Group(group, self._name(group)) for group in indices.values()]

    def _name(self, indices: Sequence[int]) -> str:
        """Return "ResNet50, Adam / AdamW, 0.5" for scenarios that differ in their optimizer.

        Other hyperparameters that the search varies follow, such as the learning rate; refined scenarios lack some.
        """
        rows = [self.figures["scenarios"][index] for index in indices]
        searched = (self.figures["hyperparameters"] or {"names": []})["names"]
        names = [name for name in scenarios.SEARCHED if name in searched]
        settings = [
            (
                self.backbone(row),
                row["optimizer"],
                str(row["dropout"]),
                *(f"{row[name]:.3g}" if name in row else "\N{EN DASH}" for name in names),  # a refined one has no rate
            )
            for row in rows
        ]
        values = [list(dict.fromkeys(column)) for column in zip(*settings, strict=True)]
        if math.prod(map(len, values)) == len(rows):
            return ", ".join(filter(None, (" / ".join(filter(None, column)) for column in values)))
        return "; ".join(", ".join(filter(None, row)) for row in settings)

    @functools.cached_property
    def photos(self) -> dict[str, photos.Photo]:
        """Photos of the run, id -> photo."""
        return {photo.id: photo for photo in photos.read(self.config.run_dir / run_folder.PHOTOS)}

    def thumbnail(self, photo_id: str) -> dict[str, str | None]:
        """Return a photo's file name and thumbnail; the thumbnail is None if the file is missing or has changed."""
        photo = self.photos.get(photo_id)
        if not photo:
            return {"name": photo_id, "picture": None}
        return {"name": pathlib.Path(photo.path).name, "picture": thumbnails.of_photo(photo)}

    @functools.cached_property
    def heatmaps(self) -> dict[str, np.ndarray]:
        """Heat maps of wrongly classified photos, id -> float32 [height, width]; none without a calibration."""
        return calibration.heatmaps(self.config.run_dir) if self.figures["calibration"] else {}

    def with_heatmap(self, photo_id: str) -> dict[str, str | None]:
        """Return the same as `thumbnail`, and the photo under its heat map, None if one of them is missing."""
        photo, heatmap = self.photos.get(photo_id), self.heatmaps.get(photo_id)
        picture = thumbnails.under_heatmap(photo, heatmap) if photo and heatmap is not None else None
        return {**self.thumbnail(photo_id), "heatmap": picture}
