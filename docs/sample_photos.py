"""Writes the sample photos of the page, drawn as those of the demo profile, and the picture of shared links.

python -m docs.sample_photos
"""

import pathlib

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from components.demo import synthetic_photos

STATIC = pathlib.Path(__file__).parents[1] / "web" / "static"
SAMPLES = {"cardboard": 16, "glass": 9, "metal": 8}  # class -> number of the drawing
SEED = 7
SIZE_PX = (384, 288)  # width, height
SHARED_SIZE_PX = (1200, 630)  # the size that social networks show without cropping
GREEN, WHITE = (20, 108, 67), (253, 253, 251)


def main() -> None:
    (STATIC / "samples").mkdir(exist_ok=True)
    for name in SAMPLES:
        _sample(name).save(STATIC / "samples" / f"{name}.jpg", quality=75, optimize=True)
    _shared().save(STATIC / "shared.jpg", quality=80, optimize=True)


def _sample(name: str) -> Image.Image:
    drawing = synthetic_photos.draw(name, SAMPLES[name], SEED).filter(ImageFilter.MedianFilter(3))
    return drawing.resize(SIZE_PX, Image.Resampling.BICUBIC)


def _shared() -> Image.Image:
    """Draw the name of the site above the samples, in a row."""
    picture = Image.new("RGB", SHARED_SIZE_PX, WHITE)
    pen = ImageDraw.Draw(picture)
    pen.rectangle([0, 0, SHARED_SIZE_PX[0], 250], fill=GREEN)
    pen.text((600, 125), "Pilah", font=ImageFont.load_default(140), fill=WHITE, anchor="mm")
    for number, name in enumerate(SAMPLES):
        picture.paste(_sample(name).resize((352, 264), Image.Resampling.BICUBIC), (48 + number * 376, 308))
    return picture


if __name__ == "__main__":
    main()
