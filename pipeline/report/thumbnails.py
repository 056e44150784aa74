"""Photos -> small pictures inside the page, and one photo in the views that training sees."""

import base64
import io

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from components.base.errors import PilahError
from components.data import augment, images, photos

SIDE_PX = 128
QUALITY = 75


def of_photo(photo: photos.Photo) -> str | None:
    """The photo as a data URI of at most `SIDE_PX` a side, or None where its file is gone or has changed."""
    try:
        with Image.open(io.BytesIO(photos.read_bytes(photo.path, photo.id))) as image:
            image.draft("RGB", (2 * SIDE_PX, 2 * SIDE_PX))  # JPEG decodes at a smaller scale, several times faster
            small = images.to_rgb(ImageOps.exif_transpose(image))
            small.thumbnail((SIDE_PX, SIDE_PX))
            return _data_uri(small)
    except (OSError, PilahError):
        return None


def views(
    photo: photos.Photo, count: int, augmentation: augment.Augmentation, image_size_px: int, max_pixels: int
) -> list[str]:
    """View 0 to `count` of the photo as the backbones see them; none where the file is gone or has changed."""
    try:
        plain, _ = images.plain_bytes(photos.read_bytes(photo.path, photo.id), max_pixels)
        pixels = images.decode_and_resize(tf.constant(plain), image_size_px)
    except (PilahError, images.UnusablePhotoError, tf.errors.InvalidArgumentError):
        return []
    maps = np.concatenate(
        [augment.transforms([photo.id], view, augmentation, image_size_px) for view in range(count + 1)]
    )
    seen = augment.apply(tf.repeat(pixels[tf.newaxis], count + 1, axis=0), tf.constant(maps)).numpy()
    pictures = [Image.fromarray(view) for view in seen]
    for picture in pictures:
        picture.thumbnail((SIDE_PX, SIDE_PX))
    return [_data_uri(picture) for picture in pictures]


def inline(picture: bytes, kind: str) -> str:
    """A data URI of a picture of MIME type image/`kind`."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def _data_uri(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=QUALITY, optimize=True)
    return inline(stream.getvalue(), "jpeg")
