"""The run, the web page and the command-line client give each photo the same verdict and the same pixels."""

import io

import grpc
import hostile_photos
import numpy as np
import pytest
import tensorflow as tf
import upload_files
from PIL import Image
from upload_files import DARK, LIGHT, animated, cut, drawn, encoded, exif, half_transparent, saved

from components.data import images, resize
from serving import client
from serving.client import __main__ as command
from web import pictures

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, about damaged metadata
OK = "accepted"
SMALL = (64, 48)
PHOTOS = {  # name -> (function that returns its bytes, verdict)
    # ordinary photos
    "JPEG": (lambda: encoded("JPEG", size=SMALL), OK),
    "grey JPEG": (lambda: encoded("JPEG", "L", SMALL), OK),
    "JPEG turned by EXIF": (lambda: encoded("JPEG", size=SMALL, exif=exif(6)), OK),
    "JPEG with odd EXIF": (lambda: encoded("JPEG", size=SMALL, exif=upload_files.ODD_EXIF[1]), OK),
    "JPEG with broken EXIF": (lambda: encoded("JPEG", size=SMALL, exif=b"Exif\0\0" + b"\xff" * 99), OK),
    "JPEG that lacks only its end marker": (lambda: cut("JPEG", -2), OK),
    "JPEG with a segment behind its scan": (upload_files.jpeg_with_a_segment_behind_its_scan, OK),
    "CMYK JPEG": (lambda: encoded("JPEG", "CMYK", SMALL), OK),
    "MPO": (lambda: animated("MPO"), OK),
    "PNG": (lambda: encoded("PNG", size=SMALL), OK),
    "palette PNG with transparency": (lambda: half_transparent("P", "PNG"), OK),
    "PNG with an unknown critical chunk": (lambda: hostile_photos.png_with(upload_files.chunk(b"CXIf", b"?")), OK),
    "RGBA PNG": (lambda: half_transparent("RGBA", "PNG"), OK),
    "16-bit grey PNG": (lambda: upload_files.grey_of_16_bits(0x8000), OK),
    "16-bit grey TIFF": (lambda: saved(Image.new("I;16", SMALL, 0x8000), "TIFF"), OK),
    "16-bit colour PNG": (lambda: upload_files.png(16, 16, (b"\0" + b"\x80\xff" * 48) * 16, depth=16), OK),
    "TIFF": (lambda: encoded("TIFF", size=SMALL), OK),
    "TIFF turned by its orientation": (lambda: encoded("TIFF", size=SMALL, exif=exif(6)), OK),
    "JPEG 2000": (lambda: encoded("JPEG2000", size=SMALL), OK),
    "AVIF": (lambda: encoded("AVIF", size=SMALL), OK),
    "WebP": (lambda: encoded("WEBP", size=SMALL), OK),
    "BMP": (lambda: encoded("BMP", size=SMALL), OK),
    "GIF": (lambda: encoded("GIF", size=SMALL), OK),
    "HEIC": (lambda: encoded("HEIF", size=SMALL), OK),
    "HEIC of a burst": (lambda: animated("HEIF"), OK),
    "16 x 16": (lambda: encoded("PNG", size=(16, 16)), OK),
    # formats that are not read
    "EPS": (lambda: encoded("EPS"), "not an image"),
    "TIFF with JPEG compression": (lambda: saved(Image.new("RGB", SMALL), "TIFF", compression="jpeg"), "not an image"),
    "PSD": (upload_files.psd, "not an image"),
    "PPM": (lambda: encoded("PPM"), "not an image"),
    "text": (lambda: b"a plastic bottle\n" * 40, "not an image"),
    # sizes
    "12 x 12": (lambda: encoded("PNG", size=(12, 12)), "too small"),
    "one pixel high": (lambda: encoded("JPEG", size=(400, 1)), "too small"),
    "JPEG of 65535 x 65535": (upload_files.huge_jpeg, "too large"),
    "PNG of 20000 x 20000": (lambda: upload_files.png(20_000, 20_000), "too large"),
    # several images, too many parts
    "animated GIF": (lambda: animated("GIF"), "animated"),
    "animated WebP": (lambda: animated("WEBP"), "animated"),
    "TIFF of several pages": (lambda: animated("TIFF"), "animated"),
    "JPEG of 101 scans": (lambda: upload_files.jpeg_of_scans(101), "too many parts"),
    "GIF of 1001 comments": (lambda: upload_files.gif_of_comments(1001), "too many parts"),
    "TIFF of 50,176 tiles": (lambda: upload_files.tiff_of_tiles(224), "too many parts"),
    # damaged
    "empty": (lambda: b"", "empty"),
    "JPEG cut in the middle": (lambda: cut("JPEG", 0.9), "truncated"),
    "JPEG without its end": (lambda: cut("JPEG", -20), "truncated"),
    "PNG cut in the middle": (lambda: cut("PNG", 0.6), "truncated"),
    "PNG without its last byte": (lambda: cut("PNG", -1), "truncated"),
    "palette PNG with a wrong checksum": (lambda: upload_files.flipped(encoded("PNG", "P"), -14), "truncated"),
    "PNG without pixels": (lambda: upload_files.png(40, 30), "truncated"),
    "PNG without its last row": (lambda: upload_files.png(16, 16, bytes(15 * (1 + 3 * 16))), "truncated"),
    "WebP cut in its header": (lambda: cut("WEBP", 20), "truncated"),
    "HEIC cut in the middle": (lambda: cut("HEIF", 0.8), "truncated"),
}


def decoded(plain):
    return tf.io.decode_image(plain, channels=3, expand_animations=False).numpy()


def by_run(photo):
    """Return verdict and pixels of the run, which decodes the result of `plain_bytes` with TensorFlow."""
    try:
        plain, _ = images.plain_bytes(photo)
    except images.UnusablePhotoError as error:
        return error.reason, None
    (pixels,) = resize.each([plain], lambda batch: [decoded(file) for file in batch])
    return (pixels.reason, None) if isinstance(pixels, images.UnusablePhotoError) else (OK, pixels)


def by_page(photo):
    """Return the page's verdict, as the run's reason, and the pixels of the JPEG that it sends."""
    reasons = {page_reason: reason for reason, (_, page_reason) in pictures.REFUSALS.items()}
    try:
        return OK, decoded(pictures.plain(photo, images.MAX_PIXELS))
    except pictures.BadPictureError as error:
        return reasons[error.reason], None


class ModelServer:
    """Replacement for the client's connection that decodes photos like the served model."""

    def classify(self, photo):
        try:
            self.pixels = decoded(photo)
        except tf.errors.InvalidArgumentError as error:
            raise client.ServingRejected(str(error), grpc.StatusCode.INVALID_ARGUMENT) from error
        return client.Prediction("glass", 1.0, {"glass": 1.0}, 1)


def by_client(photo, path):
    """Return the verdict of the command line, and the pixels that the server decodes."""
    path.write_bytes(photo)
    server = ModelServer()
    ((_, result),) = command._classify_files(server, [path])
    return (OK, server.pixels) if isinstance(result, client.Prediction) else (result.partition(":")[0], None)


def means_of_blocks(pixels):
    """Return the mean colours of 4 x 4 blocks, int [4, 4, 3], which JPEG compression preserves."""
    return np.asarray(Image.fromarray(pixels).resize((4, 4), Image.Resampling.BOX), int)


@pytest.mark.parametrize("name", PHOTOS)
def test_photo_has_one_verdict_and_the_same_pixels_everywhere(name, tmp_path):
    make, verdict = PHOTOS[name]
    photo = make()
    (run, run_px), (page, page_px), (sent, sent_px) = by_run(photo), by_page(photo), by_client(photo, tmp_path / "a")
    assert {"run": run, "page": page, "client": sent} == dict.fromkeys(("run", "page", "client"), verdict)
    if verdict == OK:
        np.testing.assert_array_equal(run_px, sent_px)
        assert page_px.shape == run_px.shape
        assert np.abs(means_of_blocks(page_px) - means_of_blocks(run_px)).mean() < 6  # loss of a JPEG of quality 90


def test_photo_of_a_phone_with_50_megapixels_is_accepted_everywhere(tmp_path):
    photo = saved(Image.new("L", (8192, 6144), 128), "JPEG")
    assert len(photo) < 2**20
    assert (by_run(photo)[0], by_page(photo)[0], by_client(photo, tmp_path / "a")[0]) == (OK, OK, OK)


def test_table_covers_every_format_that_is_read():
    accepted = [make() for make, verdict in PHOTOS.values() if verdict == OK]
    formats = {Image.open(io.BytesIO(photo)).format for photo in accepted}
    assert formats == {*images.FORMATS, "MPO"}


def test_rotated_photo_is_upright_everywhere(tmp_path):
    photo = saved(drawn(size=SMALL), "JPEG", exif=exif(6))
    for _, pixels in (by_run(photo), by_page(photo), by_client(photo, tmp_path / "a")):
        assert np.abs(pixels[5, 24] - np.array(LIGHT, int)).max() < 20
        assert np.abs(pixels[-5, 24] - np.array(DARK, int)).max() < 20
