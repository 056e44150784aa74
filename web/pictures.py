"""Convert uploads to the JPEG that the page stores and sends to the model, and to thumbnails."""

import io
from collections.abc import Mapping

from PIL import Image

from components.data import images

THUMBNAIL_SIDE_PX = 160
RETRY_AFTER_SECONDS = 10
REFUSALS = {  # reason of images.UnusablePhotoError -> HTTP status, reason in the API and in web.messages
    "empty": (400, "empty"),
    "not an image": (415, "format"),
    "truncated": (400, "broken"),
    "too small": (400, "small"),
    "too large": (413, "pixels"),
    "too many parts": (400, "parts"),
    "too costly": (400, "costly"),
    "animated": (400, "animated"),
}


class BadPictureError(Exception):
    """An upload that is refused.

    Attributes:
        status: HTTP status: 400 for a file that is damaged or not a single still photo, 413 for one that is too large,
            415 for an unsupported format, 503 if the disk is full or too many uploads wait.
        reason: key of a message in `web.messages`, which the API returns too.
        values: numbers in that message.
    """

    def __init__(self, status: int, reason: str, **values: object):
        super().__init__(reason)
        self.status, self.reason, self.values = status, reason, values

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of the response: when to try again, if that helps."""
        return {"Retry-After": str(RETRY_AFTER_SECONDS)} if self.reason == "busy" else {}


def plain(upload: bytes, max_pixels: int) -> bytes:
    """Return the JPEG to store: upright, at most 1024 pixels a side, without metadata, decoded to its last byte.

    The format is detected from the content, not from the file name. Transparent areas become white.

    Raises:
        BadPictureError: the upload is refused, with HTTP status and reason.
    """
    try:
        return images.web_jpeg(upload, max_pixels)
    except images.UnusablePhotoError as error:
        raise refusal(error.reason, error.values) from error


def refusal(reason: str, values: Mapping[str, int]) -> BadPictureError:
    """Return the refusal for a reason of images.UnusablePhotoError."""
    status, message = REFUSALS[reason]
    if reason == "too large":
        values = {**values, "limit": values["limit"] // 1_000_000}  # the message is in millions
    return BadPictureError(status, message, **values)


def thumbnail(picture: bytes) -> bytes:
    """Return a JPEG of at most 160 pixels a side, made from the JPEG that `plain` returned."""
    with Image.open(io.BytesIO(picture)) as image:
        image.draft("RGB", (THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))
        image.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))
        return images.encode_jpeg(image)
