"""A seed -> the demo profile's own photos: six classes of waste, drawn on a poster board.

They look like their materials and overlap on purpose (clear plastic and glass, crumpled paper and foil, brown paper
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

CLASSES = ("cardboard", "glass", "metal", "paper", "plastic", "trash")
SHARES = (0.9, 1.0, 0.9, 1.0, 1.0, 0.5)  # photos of each class per photo asked for: unequal, as people collect them
SIZE_PX = (128, 96)  # width, height
JPEG_QUALITY = 90
_SIDE_PX = 128  # of the square on which an object is drawn upright, before it is turned and made smaller
_Y, _X = np.mgrid[-64:64, -64:64].astype(np.float32)  # [side, side], pixels from the middle


def draw(label: str, index: int, seed: int) -> Image.Image:
    """RGB photo of `SIZE_PX`, a function of the three arguments alone."""
    key = hashlib.sha256(f"{label}/{index}/{seed}".encode()).digest()[:16]
    rng = Generator(np.random.Philox(key=int.from_bytes(key)))
    return _photograph(rng, _lay_down(rng, _poster_board(rng), _MATERIALS[label](rng)))


def write(folder: pathlib.Path, photos_per_class: int, seed: int, progress: Callable[[int, int], None]) -> None:
    """Fill `folder` with CLASS/CLASS-001.jpg and so on, in place of what stood there: it is whole or not there.

    A class gets `photos_per_class` times its share, rounded up; `progress` hears (photos written, photos to write).
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    if folder.exists():
        folder.rename(part)  # out of the way at once: removed in place, it would stand half empty after a kill
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
    """A box face with parallel ridges, and often a flap in another light, a strip of tape or print."""
    colour = np.array([178, 134, 90]) * rng.uniform(0.75, 1.15) + rng.normal(0, 7, 3)
    ridges = np.sin(_X * rng.uniform(0.7, 2)) * rng.uniform(0.03, 0.1)
    piece = _surface(colour, 1 + ridges + _Y * rng.normal(0, 0.002))
    pen = ImageDraw.Draw(piece)
    if rng.random() < 0.7:
        fold = int(rng.uniform(25, 50))
        piece.paste(_surface(colour * rng.uniform(0.6, 0.88), 1 - ridges[:fold]))
        pen.line([(0, fold), (_SIDE_PX, fold)], fill=_ink(colour * 0.5), width=2)
    if rng.random() < 0.4:
        left = rng.uniform(40, 72)
        pen.rectangle([left, 0, left + rng.uniform(9, 17), _SIDE_PX], fill=_ink(colour * 0.6 + [85, 80, 65]))
    if rng.random() < 0.3:
        _print_lines(rng, pen, colour * 0.5, (27, 100), (70, 105))
    return _cut(piece, _sheet_outline(rng, 9))


def _glass(rng: Generator) -> Image.Image:
    """A see-through bottle or jar with dark edges and narrow upright highlights, some with a paper label."""
    tones = ((52, 92, 48), (104, 62, 26), (168, 184, 182), (186, 196, 188))
    colour = np.array(tones[rng.integers(len(tones))]) + rng.normal(0, 10, 3)
    outline, width = _vessel_outline(rng, "bottle")
    across = np.abs(_X) / width
    places = rng.uniform(-0.75, 0.75, rng.integers(1, 4)) * width
    glints = sum(_streak(x, rng.uniform(1, 2.5), rng.uniform(22, 50)) for x in places)
    piece = _surface(colour, 1.1 - 0.55 * across**3, 200 * glints)
    opacity = np.clip(rng.uniform(0.3, 0.75) + 0.5 * across**4 + glints, 0, 1)
    if rng.random() < 0.35:
        _band(piece, opacity, np.array([245, 240, 225]) * rng.uniform(0.8, 1), (70, 70 + rng.uniform(14, 36)))
    return _cut(piece, outline, opacity)


def _metal(rng: Generator) -> Image.Image:
    """A can of brushed metal with rims, printed or bare; or crushed foil."""
    silver = np.array([172, 174, 178]) * rng.uniform(0.8, 1.15)
    if rng.random() < 0.3:
        return _cut(_surface(silver, _crumple(rng, 28, 1.1)), _blob_outline(rng, 14))
    width, top, bottom = rng.uniform(27, 40), rng.uniform(-50, -24), 50
    waves = 0.28 * np.cos(_X / width * rng.uniform(3, 8) + rng.uniform(0, 6)) - 0.35 * (_X / width) ** 4
    shade = 1 + waves + rng.normal(0, 0.04, (1, _SIDE_PX)) + rng.normal(0, 0.02, (_SIDE_PX, 1))
    piece = _surface(silver, shade)
    if rng.random() < 0.55:
        first, last = int(top + 73), int(rng.uniform(80, 108))
        piece.paste(_surface(_vivid(rng, rng.uniform(60, 130), 190), shade[first:last]), (0, first))
    pen = ImageDraw.Draw(piece)
    rim = [64 - width, 56 + top, 64 + width, 72 + top]
    pen.ellipse(rim, fill=_ink(silver * 0.85), outline=_ink(silver * 1.3), width=3)
    pen.line([(64 - width, 60 + bottom), (64 + width, 60 + bottom)], fill=_ink(silver * 0.6), width=2)
    half_turn = np.linspace(0, math.pi, 15)
    lid = np.stack([width * np.cos(half_turn), top - 8 * np.sin(half_turn)], axis=1)
    return _cut(piece, np.concatenate([lid, [(-width, bottom), (0, bottom + 6), (width, bottom)]]))


def _paper(rng: Generator) -> Image.Image:
    """A sheet, white to brownish, with lines of text in one column or more; or a crumpled one."""
    colour = np.array([238, 236, 228]) * rng.uniform(0.78, 1.06) + rng.normal(0, 4, 3)
    if rng.random() < 0.18:
        colour = np.array([196, 164, 126]) + rng.normal(0, 12, 3)
    crumpled = rng.random() < 0.35
    shade = _crumple(rng, 18, rng.uniform(0.4, 0.8)) if crumpled else 1 + _X * rng.normal(0, 0.001)
    piece = _surface(colour, shade)
    columns = int(rng.integers(1, 4)) if rng.random() < (0.3 if crumpled else 0.85) else 0
    ink = colour * rng.uniform(0.4, 0.7)
    for left in np.arange(columns) * 88 / max(columns, 1) + 20:
        _print_lines(rng, ImageDraw.Draw(piece), ink, (left, left + 88 / columns - 5), (18, 112))
    return _cut(piece, _blob_outline(rng, 16) if crumpled else _sheet_outline(rng, 7))


def _plastic(rng: Generator) -> Image.Image:
    """A bottle or glossy cup, saturated or clear, with soft highlights, ribs and cap; or a thin bag."""
    kind = rng.choice(["bottle", "cup", "bag"], p=[0.55, 0.25, 0.2])
    clear = rng.random() < 0.45
    colour = np.array([186, 198, 206]) + rng.normal(0, 8, 3) if clear else _vivid(rng, rng.uniform(20, 110), 225)
    if kind == "bag":
        piece = _surface(colour, _crumple(rng, 14, 0.5), 120 * _streak(rng.uniform(-26, 26), 8))
        return _cut(piece, _blob_outline(rng, 11), np.full_like(_X, rng.uniform(0.55, 0.9)))
    outline, width = _vessel_outline(rng, kind)
    ribs = 0.1 * np.sin(_Y * rng.uniform(0.4, 0.9)) * (rng.uniform(-20, 40) < _Y)
    gloss = _streak(rng.uniform(-0.5, 0.3) * width, rng.uniform(4, 9))
    piece = _surface(colour, 1.05 - 0.3 * np.abs(_X / width) ** 3 + ribs, 110 * gloss)
    opacity = np.clip((rng.uniform(0.35, 0.7) if clear else rng.uniform(0.85, 1)) + np.abs(ribs) / 3 + gloss, 0, 1)
    if kind == "bottle" and rng.random() < 0.75:
        _band(piece, opacity, _vivid(rng, 40, 235), (0, 21))
    if rng.random() < 0.4:
        _band(piece, opacity, _vivid(rng, 60, 235), (66, 66 + rng.uniform(14, 34)))
    return _cut(piece, outline, opacity)


def _trash(rng: Generator) -> Image.Image:
    """A heap of wrappers and scraps of any colour, with stains, and now and then pieces of other materials."""
    heap = Image.new("RGBA", (_SIDE_PX, _SIDE_PX))
    for _ in range(rng.integers(2, 7)):
        if rng.random() < 0.4:
            scrap = (_cardboard, _metal, _paper, _plastic)[rng.integers(4)](rng)
        else:
            wrapper = _surface(_vivid(rng, rng.uniform(30, 110), rng.uniform(110, 220)), _crumple(rng, 10, 0.7))
            scrap = _cut(wrapper, _blob_outline(rng, int(rng.integers(5, 10))))
        side = int(rng.uniform(40, 86))
        scrap = scrap.rotate(rng.uniform(0, 360)).resize((side, side), Image.Resampling.BILINEAR)
        heap.alpha_composite(scrap, tuple(rng.integers(0, _SIDE_PX - side, 2).tolist()))
    pen = ImageDraw.Draw(heap)
    for x, y, radius in rng.uniform((27, 27, 2), (100, 100, 9), (rng.integers(0, 6), 3)):
        pen.ellipse([x - radius, y - radius / 2, x + radius, y + radius], fill=_ink(rng.uniform(30, 90, 3)))
    return heap


# class -> what draws an RGBA piece of it [side, side], transparent where the object is not
_MATERIALS = dict(zip(CLASSES, (_cardboard, _glass, _metal, _paper, _plastic, _trash), strict=True))


def _poster_board(rng: Generator) -> Image.Image:
    """Pale RGB background of `SIZE_PX`, lit from one side."""
    x, y = np.meshgrid(np.linspace(-1, 1, SIZE_PX[0]), np.linspace(-1, 1, SIZE_PX[1]))
    light = 1 + x * rng.normal(0, 0.07) + y * rng.normal(0, 0.07) - rng.uniform(0, 0.1) * (x**2 + y**2)
    return _surface(rng.uniform(185, 240) * np.array([1, 0.985, 0.96]) + rng.normal(0, 4, 3), light)


def _lay_down(rng: Generator, board: Image.Image, piece: Image.Image) -> Image.Image:
    """`board` with `piece` on it: turned, scaled, somewhere about the middle, and with its shadow."""
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
    """`scene` as a hurried hand takes it: out of focus (one in seven badly), with a colour cast, dim, with noise."""
    blur_px = rng.uniform(1.8, 3) if rng.random() < 0.15 else rng.uniform(0, 0.9)
    pixels = np.asarray(scene.filter(ImageFilter.GaussianBlur(blur_px)), np.float32)
    gain = rng.uniform(0.75, 1.08) * rng.normal(1, 0.04, 3).astype(np.float32)
    noise = rng.standard_normal(pixels.shape, np.float32) * rng.uniform(1.5, 7)
    return _to_image(255 * gain * (pixels / 255) ** rng.uniform(0.8, 1.3) + noise)


def _surface(colour: np.ndarray, shade: np.ndarray, gloss: np.ndarray | float = 0.0) -> Image.Image:
    """RGB image of `colour` [3] in [0, 255], times `shade` [h, w] about 1, plus white of `gloss` [h, w] levels."""
    shade, gloss = np.asarray(shade, np.float32), np.asarray(gloss, np.float32)
    return _to_image(shade[..., None] * colour.astype(np.float32) + gloss[..., None])


def _cut(piece: Image.Image, outline: np.ndarray, opacity: np.ndarray | float = 1.0) -> Image.Image:
    """`piece` as RGBA, cut along `outline` [n, 2] (pixels from the middle); `opacity` [side, side] in [0, 1]."""
    mask = Image.new("L", piece.size)
    ImageDraw.Draw(mask).polygon((np.asarray(outline) + _SIDE_PX / 2).ravel().tolist(), fill=255)
    piece.putalpha(_to_image(np.asarray(mask) * opacity))
    return piece


def _crumple(rng: Generator, facets: int, contrast: float) -> np.ndarray:
    """Shade float32 [side, side] about 1 of a surface with `facets` flat facets, each tilted its own way."""
    x, y, tilt_x, tilt_y = rng.uniform(-1, 1, (4, facets)).astype(np.float32)
    grid_x, grid_y = _X[::2, ::2] / 64, _Y[::2, ::2] / 64
    nearest = np.argmin((grid_x - x[:, None, None]) ** 2 + (grid_y - y[:, None, None]) ** 2, axis=0)
    slope = tilt_x[nearest] * (0.25 + grid_x - x[nearest]) + tilt_y[nearest] * (grid_y - y[nearest])
    coarse = Image.fromarray(1 + np.float32(contrast) * slope)
    return np.asarray(coarse.resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BILINEAR))


def _band(piece: Image.Image, opacity: np.ndarray, colour: np.ndarray, rows: tuple[float, float]) -> None:
    """Lay a nearly opaque band of `colour` over `rows` of `piece`, as a label or a cap, keeping its light and shade."""
    top, bottom = (int(row) for row in rows)
    grey = np.asarray(piece.convert("L"), np.float32)[top:bottom]
    piece.paste(_surface(colour, 0.6 + 0.4 * grey / max(grey.mean(), 1)), (0, top))
    opacity[top:bottom] = 0.95


def _print_lines(rng: Generator, pen: ImageDraw.ImageDraw, colour: np.ndarray, across: tuple, down: tuple) -> None:
    """Draw lines of words, as from afar, from `across[0]` to `across[1]` pixels and down likewise."""
    thick = int(rng.integers(1, 4))
    for y in np.arange(down[0], down[1], thick + rng.uniform(2.5, 6)):
        x, right = across
        while x < right - 3:
            end = min(x + rng.uniform(4, 17), right)
            pen.line([(x, y), (end, y)], fill=_ink(colour), width=thick)
            x = end + 3


def _sheet_outline(rng: Generator, jitter_px: float) -> np.ndarray:
    """A rectangle with its corners moved a little, [4, 2]."""
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * rng.uniform((36, 43), (54, 56))
    return corners + rng.uniform(-jitter_px, jitter_px, (4, 2))


def _blob_outline(rng: Generator, corners: int) -> np.ndarray:
    """An irregular polygon about the middle, [corners, 2]."""
    angles = (np.arange(corners) + rng.uniform(-0.4, 0.4, corners)) * 2 * math.pi / corners
    return rng.uniform(35, 59, (corners, 1)) * np.stack([np.cos(angles) * rng.uniform(0.7, 1), np.sin(angles)], axis=1)


def _vessel_outline(rng: Generator, kind: str) -> tuple[np.ndarray, float]:
    """A "cup" or "bottle" (with a wide neck, a jar), [n, 2]; and half its greatest width in pixels."""
    if kind == "cup":
        width = rng.uniform(32, 45)
        right: list[tuple[float, float]] = [
            (width, -49),
            (width, -43),
            (width * 0.93, -42),
            (width * rng.uniform(0.55, 0.75), 51),
        ]
    else:
        width, shoulder = rng.uniform(19, 32), rng.uniform(-34, -14)
        neck = width * (rng.uniform(0.7, 0.9) if rng.random() < 0.3 else rng.uniform(0.28, 0.5))
        right = [(neck, -57), (neck, shoulder - 10), (0.6 * width + 0.4 * neck, shoulder), (width, shoulder + 12)]
        right += [(width, 53), (width - 4, 58)]
    return np.array(right + [(-x, y) for x, y in reversed(right)]), width


def _streak(x: float, width: float, length: float = 1000) -> np.ndarray:
    """An upright highlight [side, side] in [0, 1], `x` pixels right of the middle; the default length has no ends."""
    return np.exp(-(((_X - x) / width) ** 2) - (_Y / length) ** 4)


def _vivid(rng: Generator, low: float, high: float) -> np.ndarray:
    """A colour [3] with `low` in one channel, `high` in another and anything between in the third."""
    return rng.permutation([low, high, rng.uniform(low, high)])


def _ink(colour: np.ndarray) -> tuple[int, ...]:
    return tuple(np.clip(colour, 0, 255).astype(int).tolist())


def _to_image(levels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
