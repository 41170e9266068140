"""Picture files as a viewer shows them: whatever mode, depth, orientation and transparency, as RGB.

What has no one right look (floating-point pixels, integers without a range) is refused by name.
Colour profiles are not applied, as in torchvision.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fedgenbench.core.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageFile import ImageFile

# Pillow opens more, with programs outside (EPS) or without a signature to know them by (TGA).
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
_ORIENTATION, _BITS, _WHITE_IS_ZERO = 274, 258, 262
_PLAIN = "RGB"


class BadImageError(Exception):
    """The file was read but gives no picture; the reason is its text."""


class Square(NamedTuple):
    """RGB bytes [edge, edge, 3], and what was converted on the way, a phrase each."""

    pixels: bytes
    changes: list[str]


def square(path: Path, edge: int) -> Square:
    """The picture of a file, resized to a square (bilinear) whatever its sides were.

    ``BadImageError`` if the content is damaged or has no one right look, ``UserError`` if the file
    cannot be read.
    """
    from PIL import Image

    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): mend that") from error
    if not content:
        raise BadImageError("empty")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            changes = _noticed(image)
            shown = _opaque(_eight_bits(_upright(image, changes), changes), changes)
            resized = shown.resize((edge, edge), Image.Resampling.BILINEAR)
            return Square(resized.tobytes(), changes)
    except BadImageError:
        raise
    except Image.UnidentifiedImageError:
        raise BadImageError(f"none of the formats that are known: {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError:
        raise BadImageError("too many pixels") from None
    # Decoders raise almost anything on damaged content.
    except Exception as error:
        raise BadImageError(f"damaged: {error or type(error).__name__}") from None


def _noticed(image: ImageFile) -> list[str]:
    """What can be told before the pixels are read."""
    changes = []
    if getattr(image, "n_frames", 1) > 1:
        changes.append("first of several frames")
    depths = {str(tile[3]) for tile in image.tile}
    if image.mode != "I;16" and any(";16" in depth for depth in depths):
        changes.append("16-bit colour cut to 8 bits")
    profile = image.info.get("icc_profile") or b"sRGB"
    if b"sRGB" not in profile.replace(b"\0", b""):
        changes.append("colour profile not applied")
    # Pillow compares the transparent value as the file writes it with pixels scaled to 8 bits.
    keyed = image.format == "PNG" and "transparency" in image.info and image.mode != "P"
    if keyed and depths != {image.mode}:
        raise BadImageError("one transparent colour at another depth than 8 bits")
    return changes


def _upright(image: Picture, changes: list[str]) -> Picture:
    from PIL import Image

    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    written = getattr(image, "tag_v2", {}).get(_ORIENTATION)
    image.load()
    # Loading has turned a TIFF, and dropped the tag.
    turn = turns.get(_orientation(image))
    if turn is not None or written in turns:
        changes.append("turned as its EXIF orientation says")
    return image if turn is None else _keep(image, image.transpose(turn))


def _orientation(image: Picture) -> int:
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a viewer, too, shows a picture whose EXIF block is damaged
        return 1


def _keep(image: Picture, turned: Picture) -> Picture:
    """``turned`` with what later steps ask of the file."""
    turned.format = image.format
    turned.tag_v2 = getattr(image, "tag_v2", {})  # type: ignore[attr-defined]  # a TIFF's alone
    return turned


def _eight_bits(image: Picture, changes: list[str]) -> Picture:
    import numpy as np
    from PIL import Image

    if image.mode == "F":
        raise BadImageError("floating-point pixels, whose range no file says: save it at 8 bits")
    if image.mode == "I" and image.format != "PPM":
        raise BadImageError("32-bit or signed integers without a range: save it at 8 bits")
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    tags = getattr(image, "tag_v2", {})
    (bits,) = tags.get(_BITS, (16,))
    highest = 2**bits - 1
    values = np.asarray(image).astype(np.int64)
    if tags.get(_WHITE_IS_ZERO) == 0:
        values = highest - values
    changes.append(f"{bits}-bit grey scaled to 8 bits")
    return Image.fromarray(((values * 255 + highest // 2) // highest).astype(np.uint8))


def _opaque(image: Picture, changes: list[str]) -> Picture:
    from PIL import Image

    if image.mode in ("1", "L", "LA", "La"):
        changes.append("grey as RGB")
    elif image.mode in ("P", "PA"):
        changes.append("palette as RGB")
    elif image.mode not in (_PLAIN, "RGBA", "RGBa"):
        changes.append(f"{image.mode} as RGB")
    if not image.has_transparency_data:
        return image.convert(_PLAIN)
    # Palettes whose entries have an alpha of their own pass here too.
    layer = image.convert("RGBA")
    if layer.getchannel("A").getextrema()[0] == 255:
        return image.convert(_PLAIN)
    changes.append("transparency over white")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert(_PLAIN)
