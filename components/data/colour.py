"""Colours of any ICC profile -> sRGB, which models and screens assume for all photos."""

import io

from PIL import Image, ImageChops, ImageCms

STEPS = range(0, 256, 51)  # levels of each channel in the colours that profiles are compared on
SAME_LEVELS = 4  # largest difference between profiles named sRGB
SPACES = {"RGB": "RGB ", "CMYK": "CMYK"}  # mode -> colour space of matching profiles


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return an RGB or CMYK image in sRGB, or the image itself if the profile is sRGB, broken or of another mode."""
    transform = _transform(profile, image.mode) if profile and image.mode in SPACES else None
    return image if transform is None else ImageCms.applyTransform(image, transform) or image


def is_srgb(profile: bytes | None, mode: str) -> bool:
    """Return whether `to_srgb` would return an image of this mode unchanged."""
    return not profile or mode not in SPACES or _transform(profile, mode) is None


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform to sRGB, or None if it changes nothing or cannot be built."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space != SPACES[mode]:
            return None
        srgb = ImageCms.createProfile("sRGB")
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        transform = ImageCms.buildTransform(source, srgb, mode, "RGB", intent)
        return None if mode == "RGB" and _changes_nothing(transform) else transform
    except Exception:  # PyCMSError, OSError and others; a photo with a broken profile is still usable
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    colours = [channel for red in STEPS for green in STEPS for blue in STEPS for channel in (red, green, blue)]
    samples = Image.frombytes("RGB", (len(colours) // 3, 1), bytes(colours))
    transformed = ImageCms.applyTransform(samples, transform)
    return max(ImageChops.difference(samples, transformed or samples).tobytes()) <= SAME_LEVELS
