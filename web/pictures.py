"""Uploaded bytes -> the JPEG that the page stores and sends, and its thumbnail."""

import io

from PIL import Image

from components.data import images

THUMBNAIL_SIDE_PX = 160
REFUSALS = {  # reason of images.UnusablePhotoError -> HTTP status, and the page's word for the reason
    "empty": (400, "empty"),
    "not an image": (415, "format"),
    "truncated": (400, "broken"),
    "too small": (400, "small"),
    "too large": (413, "pixels"),
    "too many parts": (400, "parts"),
    "animated": (400, "animated"),
}


class BadPictureError(Exception):
    """An upload that is refused.

    `status` is the HTTP status: 400 for a file that is damaged or not one still picture, 413 for one that is too large,
    415 for a format that is not read, 503 where the disk is full. `reason` is a word for programs and for translation,
    with `values` to fill in.
    """

    def __init__(self, status: int, reason: str, **values: object):
        super().__init__(reason)
        self.status, self.reason, self.values = status, reason, values


def plain(upload: bytes, max_pixels: int) -> bytes:
    """Return the JPEG to store: upright, at most 1024 pixels a side, without metadata, decoded to its last byte.

    The format is told by content, whatever the file is called. Transparency becomes white.

    Raises:
        BadPictureError: the upload is refused, with HTTP status and reason.
    """
    try:
        return images.web_jpeg(upload, max_pixels)
    except images.UnusablePhotoError as error:
        status, reason = REFUSALS[error.reason]
        values = dict(error.values)
        if error.reason == "too large":
            values["limit"] //= 1_000_000  # messages say it in millions
        raise BadPictureError(status, reason, **values) from error


def thumbnail(picture: bytes) -> bytes:
    """Return a JPEG of at most 160 pixels a side of what `plain` returned."""
    with Image.open(io.BytesIO(picture)) as image:
        image.draft("RGB", (THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))
        image.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))
        return images.encode_jpeg(image)
