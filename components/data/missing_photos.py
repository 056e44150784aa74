"""Photos of the last run that are missing: removed on purpose, or on a disk that is not mounted."""

import collections
import pathlib
from collections.abc import Collection, Sequence

from components.base.errors import PilahError
from components.data import folders, photos

FOLDERS_SHOWN = 3  # in a message


def find(
    previous: Sequence[photos.Photo], present: Collection[str], roots: Sequence[pathlib.Path]
) -> list[photos.Photo]:
    """Return the photos of `previous` that were below one of `roots` and whose ids are not in `present`.

    A photo that was moved or renamed is present.
    """
    return [
        photo
        for photo in previous
        if photo.id not in present and any(root in pathlib.Path(photo.path).parents for root in roots)
    ]


def check_folders(missing: Sequence[photos.Photo], present: Collection[str]) -> None:
    """Raise PilahError if all photos of a folder are missing, as they would be if its disk were not mounted.

    Args:
        present: paths of the files that exist now.
    """
    counts = collections.Counter(pathlib.Path(photo.path).parent for photo in missing)
    remaining = {path.parent for path in map(pathlib.Path, present) if path.parent in counts and folders.is_photo(path)}
    emptied = [f"{folder} ({count})" for folder, count in sorted(counts.items()) if folder not in remaining]
    if emptied:
        more = f" and {len(emptied) - FOLDERS_SHOWN} more" if len(emptied) > FOLDERS_SHOWN else ""
        raise PilahError(
            f"All photos of {', '.join(emptied[:FOLDERS_SHOWN])}{more} are missing since the last run. Check that the "
            "disk is mounted, or confirm with --accept-missing that they were removed."
        )
