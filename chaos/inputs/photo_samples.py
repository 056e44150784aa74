"""Small valid photos of every accepted format and of the kinds that their decoders treat differently."""

import functools
import io
from typing import Any, Literal

import pillow_heif
from PIL import Image, ImageCms, PngImagePlugin

pillow_heif.register_heif_opener()
SIDE = (48, 36)  # width and height in pixels
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta>'
ORIENTATION, GPS = 0x0112, 0x8825
FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF", "JPEG2000", "GIF", "BMP")  # names of Pillow


@functools.cache
def of(file_format: str) -> list[bytes]:
    """Return the samples of one of FORMATS."""
    return [_saved(image, file_format, **options) for image, options in _KINDS[file_format]()]


def _saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def _picture(mode: str = "RGB", size: tuple[int, int] = SIDE) -> Image.Image:
    """Return a gradient with a stripe of another colour, which shows whether a photo is upright."""
    ramps = [Image.linear_gradient("L").resize(size), Image.linear_gradient("L").rotate(90).resize(size)]
    image = Image.merge("RGB", [*ramps, Image.new("L", size, 120)])
    image.paste((230, 40, 30), (0, 0, size[0], size[1] // 5))
    if mode == "RGBA":
        image.putalpha(ramps[1])
    return image.convert(mode)


def _levels_16_bit() -> Image.Image:
    return _picture("L").convert("I").point(lambda level: level * 257).convert("I;16")


def _profile(space: Literal["sRGB", "LAB"] = "sRGB") -> bytes:
    """Return a profile without the time of its creation, so that a seed gives the same files again."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()
    return profile[:24] + bytes(12) + profile[36:]


def _exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[ORIENTATION] = orientation
    block.get_ifd(GPS).update({1: "S", 2: (6.0, 12.0, 30.0)})
    return block.tobytes()


def _frames() -> dict[str, Any]:
    return {"save_all": True, "append_images": [_picture().rotate(180), _picture().rotate(90)]}


def _jpeg() -> list[tuple[Image.Image, dict[str, Any]]]:
    return [
        (_picture(), {}),
        (_picture(), {"progressive": True, "quality": 90}),
        (_picture(), {"subsampling": 0, "exif": _exif(6), "icc_profile": _profile(), "xmp": XMP}),
        (_picture(), {"subsampling": 2, "restart_marker_blocks": 2, "exif": _exif(5), "comment": b"Jakarta"}),
        (_picture("L"), {"progressive": True, "exif": _exif(3)}),
        (_picture("CMYK"), {"icc_profile": _profile("LAB")}),
        (_picture("YCbCr", (113, 35)), {"optimize": True}),
    ]


def _png() -> list[tuple[Image.Image, dict[str, Any]]]:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    text.add_text("Comment", "Jakarta")
    return [
        (_picture(), {"pnginfo": text, "exif": _exif(8), "icc_profile": _profile()}),
        (_picture("RGBA"), {}),
        (_picture("P"), {"transparency": 3}),
        (_picture("P", (33, 41)), {"bits": 4}),
        (_picture("L"), {"exif": _exif(6)}),
        (_picture("LA"), {}),
        (_picture("1"), {}),
        (_levels_16_bit(), {}),
        (_picture("L"), {"transparency": 40}),
        (_picture(), _frames()),
    ]


def _webp() -> list[tuple[Image.Image, dict[str, Any]]]:
    return [
        (_picture(), {}),
        (_picture(), {"lossless": True}),
        (_picture("RGBA"), {"quality": 60}),
        (_picture("RGBA"), {"lossless": True, "exif": _exif(6), "icc_profile": _profile(), "xmp": XMP}),
        (_picture(), {"exif": _exif(3), "icc_profile": _profile()}),
        (_picture(), _frames()),
    ]


def _heif() -> list[tuple[Image.Image, dict[str, Any]]]:
    return [
        (_picture(size=(64, 64)), {}),
        (_picture(), {"exif": _exif(6), "xmp": XMP}),
        (_picture("RGBA"), {"quality": 50}),
        (_picture("L"), {}),
        (_picture(), {"icc_profile": _profile(), "chroma": 444}),
        (_picture(), _frames()),
    ]


def _avif() -> list[tuple[Image.Image, dict[str, Any]]]:
    return [
        (_picture(), {"speed": 10}),
        (_picture(), {"speed": 10, "exif": _exif(6), "icc_profile": _profile(), "xmp": XMP}),
        (_picture("RGBA"), {"speed": 10}),
        (_picture(), {"speed": 10, **_frames()}),
    ]


def _tiff() -> list[tuple[Image.Image, dict[str, Any]]]:
    codecs = ("raw", "tiff_lzw", "tiff_deflate", "packbits", "zstd")
    return [
        *((_picture(), {"compression": codec}) for codec in codecs),
        (_picture("CMYK"), {"icc_profile": _profile("LAB")}),
        (_levels_16_bit(), {}),
        (_picture("1"), {}),
        (_picture("P"), {"tiffinfo": {ORIENTATION: 6}}),
        (_picture("RGBA"), {"big_tiff": True}),
        (_picture(), _frames()),
    ]


def _jpeg2000() -> list[tuple[Image.Image, dict[str, Any]]]:
    return [
        (_picture(), {}),
        (_picture(), {"irreversible": True, "quality_layers": [20, 5]}),
        (_picture("L"), {"no_jp2": True, "tile_size": (16, 16)}),
        (_picture("RGBA"), {}),
        (_levels_16_bit(), {}),
    ]


def _gif() -> list[tuple[Image.Image, dict[str, Any]]]:
    return [
        (_picture("P"), {}),
        (_picture("P"), {"transparency": 3, "comment": b"Jakarta"}),
        (_picture("L"), {"interlace": 1}),
        (_picture(), _frames()),
    ]


def _bmp() -> list[tuple[Image.Image, dict[str, Any]]]:
    return [(_picture(mode), {}) for mode in ("RGB", "RGBA", "L", "P", "1")]


_KINDS = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "HEIF": _heif,
    "AVIF": _avif,
    "TIFF": _tiff,
    "JPEG2000": _jpeg2000,
    "GIF": _gif,
    "BMP": _bmp,
}
