"""Synthetic photos of the demo profile: six classes of waste on a poster board, drawn from a seed.

They resemble their materials and overlap on purpose (clear plastic and glass, crumpled paper and foil, brown paper
and cardboard, trash of every material), so that scenarios score differently and none is perfect.
"""

import hashlib
import math
import pathlib
import shutil
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from components.demo import textures

CLASSES = ("cardboard", "glass", "metal", "paper", "plastic", "trash")
SHARES = (0.9, 1.0, 0.9, 1.0, 1.0, 0.5)  # of each class, relative to photos_per_class: unequal, as in real data sets
SIZE_PX = (128, 96)  # width, height
JPEG_QUALITY = 90


def draw(label: str, index: int, seed: int) -> Image.Image:
    """Return an RGB photo of `SIZE_PX`, which depends only on the arguments."""
    key = hashlib.sha256(f"{label}/{index}/{seed}".encode()).digest()[:16]
    rng = Generator(np.random.Philox(key=int.from_bytes(key)))
    return _photograph(rng, _lay_down(rng, _poster_board(rng), _MATERIALS[label](rng)))


def write(folder: pathlib.Path, photos_per_class: int, seed: int, progress: Callable[[int, int], None]) -> None:
    """Write CLASS/CLASS-001.jpg and so on into `folder` atomically, replacing an existing folder.

    A class has `photos_per_class` times its share, rounded up. `progress` is called with (photos written, total).
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    if folder.exists():
        folder.rename(part)  # rename first, so that a killed removal leaves no incomplete folder
        shutil.rmtree(part)
    counts = [math.ceil(photos_per_class * share) for share in SHARES]
    todo = [(label, index) for label, count in zip(CLASSES, counts, strict=True) for index in range(1, count + 1)]
    for done, (label, index) in enumerate(todo, start=1):
        path = part / label / f"{label}-{index:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(label, index, seed).save(path, quality=JPEG_QUALITY)
        progress(done, len(todo))
    part.rename(folder)


def _cardboard(rng: Generator) -> Image.Image:
    """Draw a box face with parallel ridges, and often a flap of another shade, a strip of tape or print."""
    colour = np.array([178, 134, 90]) * rng.uniform(0.75, 1.15) + rng.normal(0, 7, 3)
    ridges = np.sin(textures.X * rng.uniform(0.7, 2)) * rng.uniform(0.03, 0.1)
    piece = textures.surface(colour, 1 + ridges + textures.Y * rng.normal(0, 0.002))
    pen = ImageDraw.Draw(piece)
    if rng.random() < 0.7:
        fold = int(rng.uniform(25, 50))
        piece.paste(textures.surface(colour * rng.uniform(0.6, 0.88), 1 - ridges[:fold]))
        pen.line([(0, fold), (textures.SIDE_PX, fold)], fill=textures.ink(colour * 0.5), width=2)
    if rng.random() < 0.4:
        left = rng.uniform(40, 72)
        pen.rectangle(
            [left, 0, left + rng.uniform(9, 17), textures.SIDE_PX], fill=textures.ink(colour * 0.6 + [85, 80, 65])
        )
    if rng.random() < 0.3:
        textures.print_lines(rng, pen, colour * 0.5, across=(27, 100), down=(70, 105))
    return textures.cut(piece, textures.sheet_outline(rng, 9))


def _glass(rng: Generator) -> Image.Image:
    """Draw a transparent bottle or jar with dark edges and narrow vertical highlights, sometimes with a paper label."""
    tones = ((52, 92, 48), (104, 62, 26), (168, 184, 182), (186, 196, 188))
    colour = np.array(tones[rng.integers(len(tones))]) + rng.normal(0, 10, 3)
    outline, width = textures.vessel_outline(rng, "bottle")
    across = np.abs(textures.X) / width
    places = rng.uniform(-0.75, 0.75, rng.integers(1, 4)) * width
    glints = sum(textures.streak(x, rng.uniform(1, 2.5), rng.uniform(22, 50)) for x in places)
    piece = textures.surface(colour, 1.1 - 0.55 * across**3, 200 * glints)
    opacity = np.clip(rng.uniform(0.3, 0.75) + 0.5 * across**4 + glints, 0, 1)
    if rng.random() < 0.35:
        textures.band(piece, opacity, np.array([245, 240, 225]) * rng.uniform(0.8, 1), (70, 70 + rng.uniform(14, 36)))
    return textures.cut(piece, outline, opacity)


def _metal(rng: Generator) -> Image.Image:
    """Draw a can of brushed metal with rims, printed or bare; or crushed foil."""
    silver = np.array([172, 174, 178]) * rng.uniform(0.8, 1.15)
    if rng.random() < 0.3:
        return textures.cut(textures.surface(silver, textures.crumple(rng, 28, 1.1)), textures.blob_outline(rng, 14))
    width, top, bottom = rng.uniform(27, 40), rng.uniform(-50, -24), 50
    waves = 0.28 * np.cos(textures.X / width * rng.uniform(3, 8) + rng.uniform(0, 6)) - 0.35 * (textures.X / width) ** 4
    shade = 1 + waves + rng.normal(0, 0.04, (1, textures.SIDE_PX)) + rng.normal(0, 0.02, (textures.SIDE_PX, 1))
    piece = textures.surface(silver, shade)
    if rng.random() < 0.55:
        first, last = int(top + 73), int(rng.uniform(80, 108))
        piece.paste(textures.surface(textures.vivid(rng, rng.uniform(60, 130), 190), shade[first:last]), (0, first))
    pen = ImageDraw.Draw(piece)
    rim = [64 - width, 56 + top, 64 + width, 72 + top]
    pen.ellipse(rim, fill=textures.ink(silver * 0.85), outline=textures.ink(silver * 1.3), width=3)
    pen.line([(64 - width, 60 + bottom), (64 + width, 60 + bottom)], fill=textures.ink(silver * 0.6), width=2)
    half_turn = np.linspace(0, math.pi, 15)
    lid = np.stack([width * np.cos(half_turn), top - 8 * np.sin(half_turn)], axis=1)
    return textures.cut(piece, np.concatenate([lid, [(-width, bottom), (0, bottom + 6), (width, bottom)]]))


def _paper(rng: Generator) -> Image.Image:
    """Draw a sheet, white to brownish, flat or crumpled, often with columns of text."""
    colour = np.array([238, 236, 228]) * rng.uniform(0.78, 1.06) + rng.normal(0, 4, 3)
    if rng.random() < 0.18:
        colour = np.array([196, 164, 126]) + rng.normal(0, 12, 3)
    crumpled = rng.random() < 0.35
    shade = textures.crumple(rng, 18, rng.uniform(0.4, 0.8)) if crumpled else 1 + textures.X * rng.normal(0, 0.001)
    piece = textures.surface(colour, shade)
    columns = int(rng.integers(1, 4)) if rng.random() < (0.3 if crumpled else 0.85) else 0
    ink = colour * rng.uniform(0.4, 0.7)
    for left in np.arange(columns) * 88 / max(columns, 1) + 20:
        across = (left, left + 88 / columns - 5)
        textures.print_lines(rng, ImageDraw.Draw(piece), ink, across=across, down=(18, 112))
    return textures.cut(piece, textures.blob_outline(rng, 16) if crumpled else textures.sheet_outline(rng, 7))


def _plastic(rng: Generator) -> Image.Image:
    """Draw a bottle or glossy cup, saturated or clear, with soft highlights, ribs and cap; or a thin bag."""
    kind = rng.choice(["bottle", "cup", "bag"], p=[0.55, 0.25, 0.2])
    clear = rng.random() < 0.45
    colour = (
        np.array([186, 198, 206]) + rng.normal(0, 8, 3) if clear else textures.vivid(rng, rng.uniform(20, 110), 225)
    )
    if kind == "bag":
        piece = textures.surface(colour, textures.crumple(rng, 14, 0.5), 120 * textures.streak(rng.uniform(-26, 26), 8))
        return textures.cut(piece, textures.blob_outline(rng, 11), np.full_like(textures.X, rng.uniform(0.55, 0.9)))
    outline, width = textures.vessel_outline(rng, kind)
    ribs = 0.1 * np.sin(textures.Y * rng.uniform(0.4, 0.9)) * (rng.uniform(-20, 40) < textures.Y)
    gloss = textures.streak(rng.uniform(-0.5, 0.3) * width, rng.uniform(4, 9))
    piece = textures.surface(colour, 1.05 - 0.3 * np.abs(textures.X / width) ** 3 + ribs, 110 * gloss)
    opacity = np.clip((rng.uniform(0.35, 0.7) if clear else rng.uniform(0.85, 1)) + np.abs(ribs) / 3 + gloss, 0, 1)
    if kind == "bottle" and rng.random() < 0.75:
        textures.band(piece, opacity, textures.vivid(rng, 40, 235), (0, 21))
    if rng.random() < 0.4:
        textures.band(piece, opacity, textures.vivid(rng, 60, 235), (66, 66 + rng.uniform(14, 34)))
    return textures.cut(piece, outline, opacity)


def _trash(rng: Generator) -> Image.Image:
    """Draw a heap of wrappers of any colour, with stains, and sometimes pieces of other materials."""
    heap = Image.new("RGBA", (textures.SIDE_PX, textures.SIDE_PX))
    for _ in range(rng.integers(2, 7)):
        if rng.random() < 0.4:
            scrap = (_cardboard, _metal, _paper, _plastic)[rng.integers(4)](rng)
        else:
            wrapper = textures.surface(
                textures.vivid(rng, rng.uniform(30, 110), rng.uniform(110, 220)), textures.crumple(rng, 10, 0.7)
            )
            scrap = textures.cut(wrapper, textures.blob_outline(rng, int(rng.integers(5, 10))))
        side = int(rng.uniform(40, 86))
        scrap = scrap.rotate(rng.uniform(0, 360)).resize((side, side), Image.Resampling.BILINEAR)
        heap.alpha_composite(scrap, tuple(rng.integers(0, textures.SIDE_PX - side, 2).tolist()))
    pen = ImageDraw.Draw(heap)
    for x, y, radius in rng.uniform((27, 27, 2), (100, 100, 9), (rng.integers(0, 6), 3)):
        pen.ellipse([x - radius, y - radius / 2, x + radius, y + radius], fill=textures.ink(rng.uniform(30, 90, 3)))
    return heap


# class -> function that draws an RGBA object [side, side] on a transparent background
_MATERIALS = dict(zip(CLASSES, (_cardboard, _glass, _metal, _paper, _plastic, _trash), strict=True))


def _poster_board(rng: Generator) -> Image.Image:
    """Draw a pale RGB background of `SIZE_PX`, lit from one side."""
    x, y = np.meshgrid(np.linspace(-1, 1, SIZE_PX[0]), np.linspace(-1, 1, SIZE_PX[1]))
    light = 1 + x * rng.normal(0, 0.07) + y * rng.normal(0, 0.07) - rng.uniform(0, 0.1) * (x**2 + y**2)
    return textures.surface(rng.uniform(185, 240) * np.array([1, 0.985, 0.96]) + rng.normal(0, 4, 3), light)


def _lay_down(rng: Generator, board: Image.Image, piece: Image.Image) -> Image.Image:
    """Paste `piece` on `board` near the centre, rotated, scaled and with its shadow."""
    side = int(rng.uniform(70, 135))
    piece = piece.rotate(rng.uniform(0, 360), Image.Resampling.BILINEAR).resize((side, side))
    left, top = (int((space - side) / 2 + rng.normal(0, 9)) for space in SIZE_PX)
    shadow = Image.new("L", SIZE_PX)
    shadow.paste(piece.getchannel("A"), (left + int(rng.integers(-5, 6)), top + int(rng.integers(1, 6))))
    shadow = shadow.filter(ImageFilter.GaussianBlur(rng.uniform(1.5, 5)))
    strength = rng.uniform(0.2, 0.6)
    board.paste((45, 42, 40), mask=shadow.point(lambda level: int(level * strength)))
    board.paste(piece, (left, top), piece)
    return board


def _photograph(rng: Generator, scene: Image.Image) -> Image.Image:
    """Add the flaws of a casual photo to `scene`: blur (strong in one of seven), colour cast, low light and noise."""
    blur_px = rng.uniform(1.8, 3) if rng.random() < 0.15 else rng.uniform(0, 0.9)
    pixels = np.asarray(scene.filter(ImageFilter.GaussianBlur(blur_px)), np.float32)
    gain = rng.uniform(0.75, 1.08) * rng.normal(1, 0.04, 3).astype(np.float32)
    noise = rng.standard_normal(pixels.shape, np.float32) * rng.uniform(1.5, 7)
    return textures.to_image(255 * gain * (pixels / 255) ** rng.uniform(0.8, 1.3) + noise)
