"""What the sections of the page are made of, and the photos that several of them show."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from components.data import photos
from pipeline import run_folder
from pipeline.config import Config
from pipeline.report import localization, thumbnails

Contents = Mapping[str, Any] | None  # what a section gives its template; None where it has nothing to show


@dataclasses.dataclass(frozen=True)
class Source:
    """What a section is made of.

    Attributes:
        figures: as `report.figures.compute` gives them.
        folder: where the page will stand, for pictures beside it.
        gettext, figure: translate and format for the reader (`report.localization`).
    """

    config: Config
    folder: pathlib.Path
    figures: dict[str, Any]
    gettext: localization.Gettext
    figure: Callable[..., Markup]

    def backbone(self, row: Mapping[str, Any]) -> str:
        """The backbone of a scenario, with the word for it where it was trained too."""
        name = row["backbone"]
        return str(self.gettext("%(backbone)s fine-tuned", backbone=name)) if row["strategy"] == "finetune" else name

    @functools.cached_property
    def photos(self) -> dict[str, photos.Photo]:
        """By id."""
        return {photo.id: photo for photo in photos.read(self.config.run_dir / run_folder.PHOTOS)}

    def shown(self, photo_id: str) -> dict[str, str | None]:
        """Name and small picture of a photo; without a picture where its file is gone or has changed."""
        photo = self.photos.get(photo_id)
        if not photo:
            return {"name": photo_id, "picture": None}
        return {"name": pathlib.Path(photo.path).name, "picture": thumbnails.of_photo(photo)}
