"""Photo bytes -> pixels: the check that a file is a usable photo, and the one resize that records and serving share."""

import io
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import pillow_heif
import tensorflow as tf
from PIL import Image, ImageOps, UnidentifiedImageError

pillow_heif.register_heif_opener(thumbnails=False)
TENSORFLOW_READS = {("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "L")}  # (format, Pillow mode), upright
PHONES_SAVE = ("MPO", "HEIF")  # with previews and depths beside the photo, which are no animation
EXIF_ORIENTATION = 0x0112
Answer = TypeVar("Answer")


class UnusablePhotoError(Exception):
    """The bytes are not one usable photo; `reason` is one of a few short words, to count by."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def plain_bytes(photo: bytes, max_pixels: int) -> tuple[bytes, tuple[int, int]]:
    """The photo as bytes that TensorFlow decodes to upright RGB, and its upright (width, height) in pixels.

    A grey or RGB JPEG or PNG that stands upright is returned as it is, by its header alone: whether it is whole is told
    by TensorFlow, which is stricter than Pillow, and decodes it anyway. Anything else that Pillow reads (CMYK, 16-bit,
    palette, transparent, WebP, HEIC, turned by EXIF) is turned upright, laid on white, and becomes a lossless RGB PNG.

    Raises:
        UnusablePhotoError: reason "empty", "not an image", "animated", "too large" or "truncated".
    """
    if not photo:
        raise UnusablePhotoError("empty", "0 bytes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own bomb warning: the limit here is max_pixels
        try:
            image: Image.Image = Image.open(io.BytesIO(photo))
        except Image.DecompressionBombError as error:  # above Pillow's own, far higher limit
            raise UnusablePhotoError("too large", str(error)) from error
        except UnidentifiedImageError as error:  # its own text holds a memory address, another one each time
            raise UnusablePhotoError("not an image", "no known image format") from error
        except Exception as error:  # Pillow's readers raise whatever they stumble on: KeyError, struct.error, ...
            raise UnusablePhotoError("not an image", str(error)) from error
        try:
            frames = 1 if image.format in PHONES_SAVE else getattr(image, "n_frames", 1)
        except Exception as error:
            raise UnusablePhotoError("truncated", str(error)) from error
        if frames > 1:
            raise UnusablePhotoError("animated", f"{frames} frames")
        if image.width * image.height > max_pixels:
            raise UnusablePhotoError("too large", f"{image.width}x{image.height} pixels, limit {max_pixels}")
        try:
            turned = image.getexif().get(EXIF_ORIENTATION, 1) != 1
            if (image.format, image.mode) in TENSORFLOW_READS and not turned and "transparency" not in image.info:
                return photo, image.size
            image.load()
            upright = to_rgb(ImageOps.exif_transpose(image))
        except Exception as error:
            raise UnusablePhotoError("truncated", str(error)) from error
    png = io.BytesIO()
    upright.save(png, "PNG", compress_level=1)
    return png.getvalue(), upright.size


def each(
    photos: Sequence[bytes], together: Callable[[Sequence[bytes]], Iterable[Answer]]
) -> list[Answer | UnusablePhotoError]:
    """What `together` makes of each plain photo, by TensorFlow.

    If that does not forgive what Pillow has forgiven, it is asked about one by one, to know which photo it is.
    """
    if not photos:
        return []
    try:
        return list(together(photos))
    except tf.errors.InvalidArgumentError as error:
        if len(photos) == 1:
            return [UnusablePhotoError("truncated", error.message)]
        return [one for photo in photos for one in each([photo], together)]


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow image as 8-bit RGB: 16-bit scaled to 8, transparency laid on white."""
    if image.mode.startswith("I") or image.mode == "F":
        scale = 1 / 257 if image.mode.startswith("I") else 1.0  # 65535 -> 255
        return image.convert("F").point(lambda value: value * scale).convert("L").convert("RGB")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def decode_and_resize(photo: tf.Tensor, image_size_px: int) -> tf.Tensor:
    """Plain photo bytes (string, []) -> uint8 RGB [image_size_px, image_size_px, 3], antialiased.

    Records and the served signature both call this, so that a photo has the same pixels in training and in serving.
    The photo is stretched to a square, as Keras's flow_from_directory does.
    """
    pixels = tf.io.decode_image(photo, channels=3, expand_animations=False)
    pixels.set_shape([None, None, 3])
    pixels = tf.image.resize(pixels, [image_size_px, image_size_px], method="bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)
