"""GIF: the blocks of the first image, and the rest of the file unchanged."""

from components.data.formats import parts

SIGNATURE = b"GIF8"
HEADER_BYTES = 13  # including the logical screen descriptor; the global palette follows
EXTENSION, IMAGE, END = 0x21, 0x2C, 0x3B  # first bytes of blocks
CONTROL = b"\xf9"  # label of the extension with the transparency
IMAGE_HEAD_BYTES = 10
MAX_EXTENSIONS = 1000
MAX_BLOCKS_PER_KB = 16  # of image data; usually there are four, of 255 bytes


def essentials(photo: bytes) -> parts.Essentials:
    """Return a GIF without its comments and application extensions, unchanged from its second image on.

    Raises:
        TooManyPartsError: the file has too many extensions or data blocks.
    """
    limit = parts.MAX_PARTS + len(photo) * MAX_BLOCKS_PER_KB // 1024
    if len(photo) < HEADER_BYTES:
        return parts.Essentials(photo)
    at = HEADER_BYTES + _palette_bytes(photo[10])
    kept, images, extensions, blocks = [photo[:at]], 0, 0, 0
    while at < len(photo) and photo[at] != END:
        start, is_image = at, photo[at] == IMAGE
        if is_image and images:
            break
        images += is_image
        extensions += not is_image
        parts.check(extensions, MAX_EXTENSIONS)
        if not is_image and photo[at] != EXTENSION:  # a byte without meaning, which viewers skip
            at += 1
            continue
        at += 2
        if is_image:
            flags = photo[at + 7] if at + 7 < len(photo) else 0
            at = start + IMAGE_HEAD_BYTES + _palette_bytes(flags) + 1  # 1 for the LZW code size
        while at < len(photo) and photo[at]:
            at += 1 + photo[at]
            blocks += 1
            parts.check(blocks, limit)
        at += 1
        if is_image or photo[start + 1 : start + 2] == CONTROL:
            kept.append(photo[start:at])
    rest = bytes([END]) if photo[at : at + 1] == bytes([END]) else photo[at:]
    return parts.Essentials(b"".join([*kept, rest]))


def _palette_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
