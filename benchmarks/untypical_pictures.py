"""Pictures that are not photos of waste, to test the typicality of a model: noise, flat colours, text, faces, rooms.

Synthetic ones are drawn from a fixed seed; real ones are sample pictures of scikit-image and scikit-learn.
"""

import pathlib
from collections.abc import Iterator

import numpy as np
import skimage
import sklearn.datasets
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIZE_PX = (512, 384)
WORDS = "INVOICE date item quantity price total tax of the and to payment within thirty days account number".split()


def pictures(per_kind: int = 40) -> dict[str, list[Image.Image]]:
    """Return kind -> RGB pictures, about `per_kind` of each synthetic kind; the same ones in each call."""
    rng = np.random.default_rng(34)
    faces = np.load(_shipped("lfw_subset.npy"))[:per_kind]  # the first 100 of 200 are faces, float in [0, 1]
    return {
        "noise": [_noise(rng, number) for number in range(per_kind)],
        "flat colours": [Image.new("RGB", SIZE_PX, colour) for colour in _colours(rng, per_kind)],
        "text": [*(_page(rng) for _ in range(per_kind)), *_samples("page.png", "text.png")],
        "faces": [
            *(
                Image.fromarray((255 * face).astype(np.uint8)).convert("RGB").resize(SIZE_PX, Image.Resampling.BICUBIC)
                for face in faces
            ),
            *_astronaut(),
        ],
        "rooms": [*(_room(rng) for _ in range(per_kind)), *_samples("motorcycle_left.png", "motorcycle_right.png")],
        "other photos": [*_other_photos()],
    }


def _shipped(name: str) -> pathlib.Path:
    return pathlib.Path(skimage.__file__).with_name("data") / name


def _samples(*names: str) -> Iterator[Image.Image]:
    for name in names:
        yield Image.open(_shipped(name)).convert("RGB")


def _astronaut() -> Iterator[Image.Image]:
    """Yield a portrait, whole and its face alone."""
    for picture in _samples("astronaut.png"):
        yield picture
        yield picture.crop((140, 0, 310, 200))


def _other_photos() -> Iterator[Image.Image]:
    yield from _samples(
        "chelsea.png",
        "coffee.png",
        "rocket.jpg",
        "retina.jpg",
        "hubble_deep_field.jpg",
        "ihc.png",
        "camera.png",
        "coins.png",
        "moon.png",
        "brick.png",
        "grass.png",
        "gravel.png",
        "horse.png",
        "cell.png",
        "clock_motion.png",
    )
    for picture in sklearn.datasets.load_sample_images().images:
        yield Image.fromarray(picture)


def _noise(rng: np.random.Generator, number: int) -> Image.Image:
    """Return noise of one of four kinds: uniform or normal, for each pixel or for coarse blocks."""
    width, height = SIZE_PX if number % 2 else (16, 12)
    values = rng.uniform(0, 255, (height, width, 3)) if number % 4 < 2 else rng.normal(128, 50, (height, width, 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8)).resize(SIZE_PX, Image.Resampling.BICUBIC)


def _colours(rng: np.random.Generator, count: int) -> list[tuple[int, ...]]:
    """Return five greys from black to white, then random colours."""
    greys = [(level, level, level) for level in (0, 64, 128, 192, 255)]
    return [*greys, *(tuple(map(int, rng.integers(0, 256, 3))) for _ in range(count - len(greys)))]


def _page(rng: np.random.Generator) -> Image.Image:
    """Return a page of text in the layout of an invoice."""
    page = Image.new("RGB", SIZE_PX, tuple(map(int, rng.integers(225, 256, 3))))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=float(rng.integers(10, 22)))
    for y in range(int(rng.integers(8, 40)), SIZE_PX[1] - 20, int(rng.integers(16, 30))):
        line = " ".join(rng.choice(WORDS, int(rng.integers(1, 9))))
        draw.text((int(rng.integers(10, 60)), y), line, fill=(20, 20, 30), font=font)
        draw.text((430, y), f"{rng.uniform(1, 999):.2f}", fill=(20, 20, 30), font=font)
    if rng.random() < 0.5:
        draw.rectangle((10, 60, 500, 370), outline=(40, 40, 40), width=2)
    return page


def _room(rng: np.random.Generator) -> Image.Image:
    """Return a room drawn in perspective: walls, floor, ceiling, a window, a door and a table."""

    def colour(low: int, high: int) -> tuple[int, ...]:
        return tuple(map(int, rng.integers(low, high, 3)))

    width, height = SIZE_PX
    left, right, top, bottom = (int(rng.integers(low, low + 60)) for low in (80, 370, 60, 230))
    room = Image.new("RGB", SIZE_PX, colour(150, 230))
    draw = ImageDraw.Draw(room)
    draw.polygon([(0, height), (left, bottom), (right, bottom), (width, height)], fill=colour(60, 160))  # floor
    draw.polygon([(0, 0), (left, top), (right, top), (width, 0)], fill=colour(200, 256))  # ceiling
    draw.rectangle((left, top, right, bottom), fill=colour(140, 220))  # back wall
    draw.rectangle((left + 20, top + 20, left + 110, top + 100), fill=(180, 210, 240), outline=(90, 70, 50), width=4)
    draw.line((left + 65, top + 20, left + 65, top + 100), fill=(90, 70, 50), width=3)
    draw.polygon(
        [(right + 20, top + 30), (right + 70, top), (right + 70, height), (right + 20, bottom + 30)],
        fill=colour(60, 140),
    )
    x, y = int(rng.integers(left, right - 80)), int(rng.integers(bottom, bottom + 40))
    draw.polygon([(x, y), (x + 130, y), (x + 160, y + 40), (x - 30, y + 40)], fill=colour(70, 130))  # table
    for leg in (x - 25, x + 150):
        draw.rectangle((leg, y + 40, leg + 8, y + 100), fill=colour(50, 90))
    pixels = np.asarray(room.filter(ImageFilter.GaussianBlur(1)), np.float32) + rng.normal(0, 4, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
