import io

import colour_profiles
import numpy as np
import pytest
import tensorflow as tf
import upload_files
from PIL import Image, ImageCms

from components.data import images

IN_P3, IN_SRGB = (89, 156, 76), (60, 160, 60)  # the same colour in both spaces
WITH_PROFILE = {  # kind -> options of its encoder
    "JPEG": {"quality": 100, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "HEIF": {"quality": 100},
    "AVIF": {"quality": 100},
}


def photo_in(profile, kind="JPEG", colour=IN_P3, mode="RGB"):
    image = Image.new("RGB", (32, 24), colour).convert(mode)
    return upload_files.saved(image, kind, icc_profile=profile, **WITH_PROFILE[kind])


def colours_of(photo):
    """Return the colour of a photo in the run, which decodes with TensorFlow, and on the page."""
    plain = tf.io.decode_image(images.plain_bytes(photo)[0], channels=3, expand_animations=False).numpy()
    page = np.asarray(Image.open(io.BytesIO(images.web_jpeg(photo))))
    return [plain[12, 16], page[12, 16]]


@pytest.mark.parametrize("kind", WITH_PROFILE)
def test_photo_in_display_p3_is_converted_to_srgb(kind):
    for colour in colours_of(photo_in(colour_profiles.display_p3(), kind)):
        np.testing.assert_allclose(colour, IN_SRGB, rtol=0, atol=4)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    "profile", [colour_profiles.srgb(), b"no profile", colour_profiles.display_p3()[:300]], ids=["sRGB", "text", "cut"]
)
def test_photo_with_srgb_or_broken_profile_is_unchanged(kind, profile):
    photo = photo_in(profile, kind)
    assert images.plain_bytes(photo)[0] == photo
    for colour in colours_of(photo):
        np.testing.assert_allclose(colour, IN_P3, rtol=0, atol=2)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_photo_is_unchanged_by_its_profile(mode):
    grey = round(0.299 * IN_P3[0] + 0.587 * IN_P3[1] + 0.114 * IN_P3[2])
    for colour in colours_of(photo_in(colour_profiles.display_p3(), "PNG", mode=mode)):
        np.testing.assert_allclose(colour, (grey,) * 3, rtol=0, atol=2)


def test_cmyk_photo_with_an_rgb_profile_is_converted_without_it():
    with_profile, without = (photo_in(profile, mode="CMYK") for profile in (colour_profiles.display_p3(), None))
    np.testing.assert_array_equal(colours_of(with_profile), colours_of(without))


def test_transparent_photo_in_display_p3_gets_a_white_background_and_is_converted():
    image = Image.new("RGBA", (32, 24), (*IN_P3, 255))
    image.paste((0, 0, 0, 0), (0, 0, 32, 4))
    photo = upload_files.saved(image, "PNG", icc_profile=colour_profiles.display_p3())
    plain = tf.io.decode_image(images.plain_bytes(photo)[0]).numpy()
    np.testing.assert_allclose([plain[0, 0], plain[12, 16]], [(255,) * 3, IN_SRGB], rtol=0, atol=4)


def test_profile_that_unpacks_to_megabytes_is_ignored():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(2_000_000)
    photo = photo_in(profile, "PNG")
    assert images.plain_bytes(photo)[0] == photo_in(None, "PNG")
