"""What becomes of a picture's mode, depth, orientation and transparency, value by value."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fedgenbench.core.errors import UserError
from fedgenbench.data.pictures import BadImageError, square

GREY = [0, 32768, 65535, 257]  # at 16 bits; at 8 bits:
SHOWN = [0, 128, 255, 1]


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def shown(tmp_path, content, edge=4):
    """The RGB values [edge, edge, 3] and what was converted."""
    path = tmp_path / "picture"
    path.write_bytes(content)
    pixels, changes = square(path, edge)
    return np.frombuffer(pixels, np.uint8).reshape(edge, edge, 3).astype(int), changes


def four(values, mode=None):
    """A picture of 4x4 whose columns have the four values, so that resizing changes nothing."""
    array = np.repeat(np.array(values)[None], 4, axis=0)
    return Image.fromarray(array.astype(np.uint16 if mode == "I;16" else np.uint8))


def png(depth, kind, rows, *chunks):
    """A PNG of 4x4 from raw rows, for what Pillow does not write."""

    def chunk(name, content):
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", 4, 4, depth, kind, 0, 0, 0)
    content = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", head), *chunks, (b"IDAT", content), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def tiff(bits, white, rows, sample=1):
    """An uncompressed grey TIFF of 4x4; ``white`` is the photometric interpretation."""
    data = b"".join(rows)
    entries = [(256, 4), (257, 4), (258, bits), (259, 1), (262, white), (273, 8), (277, 1)]
    entries += [(278, 4), (279, len(data)), (339, sample)]
    body = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in entries)
    head = b"II*\0" + struct.pack("<I", 8 + len(data)) + data
    return head + struct.pack("<H", len(entries)) + body + bytes(4)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG2000"])
def test_sixteen_bit_grey_is_scaled(tmp_path, kind):
    pixels, changes = shown(tmp_path, saved(four(GREY, "I;16"), kind))
    assert pixels[2].tolist() == [[value] * 3 for value in SHOWN]
    assert changes == ["16-bit grey scaled to 8 bits", "grey as RGB"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"P5 4 4 65535\n" + np.array(GREY * 4, ">u2").tobytes(), SHOWN),
        # Of 1023, 512 is half; of 255, 100 stays.
        (b"P5 4 4 1023\n" + np.array([0, 512, 1023, 4] * 4, ">u2").tobytes(), [0, 128, 255, 1]),
        (b"P5 4 4 255\n" + bytes([0, 100, 255, 1] * 4), [0, 100, 255, 1]),
        (tiff(16, 1, [np.array(GREY, "<u2").tobytes()] * 4), SHOWN),
        (tiff(16, 0, [np.array(GREY, "<u2").tobytes()] * 4), [255, 127, 0, 254]),
        # 0, 4095, 2048 and 16 at 12 bits
        (tiff(12, 1, [bytes.fromhex("000fff800010")] * 4), [0, 255, 128, 1]),
        (tiff(8, 0, [bytes([0, 255, 128, 16])] * 4), [255, 0, 127, 239]),
        (png(1, 0, [bytes([0b10100000])] * 4), [255, 0, 255, 0]),
        (png(2, 0, [bytes([0b00011011])] * 4), [0, 85, 170, 255]),
        (png(4, 0, [bytes([0x0F, 0x84])] * 4), [0, 255, 136, 68]),
    ],
)
def test_grey_of_any_depth(tmp_path, content, expected):
    pixels, changes = shown(tmp_path, content)
    assert pixels[1, :, 0].tolist() == expected
    assert (pixels == pixels[..., :1]).all()
    assert changes[-1] == "grey as RGB"


def test_sixteen_bit_colour_is_cut(tmp_path):
    row = np.array([0x12FF, 0x00FF, 0xFFFF, 0x8000] * 3, ">u2").tobytes()
    pixels, changes = shown(tmp_path, png(16, 2, [row] * 4))
    assert pixels[3, 0].tolist() == [0x12, 0x00, 0xFF]
    assert changes == ["16-bit colour cut to 8 bits"]


def layer(mode, alpha=(255, 128, 0, 51)):
    """Black, or red where there is colour, under a rising transparency."""
    image = Image.new("RGB", (4, 4), (200, 0, 0)) if "RGB" in mode else Image.new("L", (4, 4), 100)
    image.putalpha(four(alpha))
    return image


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        # value x alpha + 255 x (1 - alpha)
        ("RGBA", [[200, 0, 0], [227, 127, 127], [255] * 3, [244, 204, 204]]),
        ("LA", [[100] * 3, [177] * 3, [255] * 3, [224] * 3]),
    ],
)
def test_transparency_lies_over_white(tmp_path, kind, mode, expected):
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    pixels, changes = shown(tmp_path, saved(layer(mode), kind, **options))
    assert np.abs(pixels[0] - np.array(expected)).max() <= 1
    assert changes[-1] == "transparency over white"


def test_an_opaque_alpha_is_no_conversion(tmp_path):
    assert shown(tmp_path, saved(layer("RGBA", [255] * 4)))[1] == []


def test_palettes(tmp_path):
    image = four([0, 1, 2, 3])
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 250, 240, 230])
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        pixels, changes = shown(tmp_path, saved(image, kind))
        assert pixels[1].tolist() == [[10, 20, 30], [40, 50, 60], [70, 80, 90], [250, 240, 230]]
        assert changes == ["palette as RGB"]
    for transparency, expected in (
        (1, [[10, 20, 30], [255] * 3, [70, 80, 90]]),
        (bytes([255, 51]), [[10, 20, 30], [212, 214, 216], [70, 80, 90]]),
    ):
        pixels, changes = shown(tmp_path, saved(image, "PNG", transparency=transparency))
        assert pixels[1, :3].tolist() == expected
        assert changes == ["palette as RGB", "transparency over white"]
    pixels, _ = shown(tmp_path, saved(image, "GIF", transparency=3))
    assert pixels[1, 2:].tolist() == [[70, 80, 90], [255] * 3]


@pytest.mark.parametrize(
    ("depth", "kind", "row", "key"),
    [
        (16, 0, np.array(GREY, ">u2").tobytes(), struct.pack(">H", 257)),
        (16, 2, np.array(GREY * 3, ">u2").tobytes(), struct.pack(">HHH", *GREY[:3])),
        (2, 0, bytes([0b00011011]), struct.pack(">H", 1)),
    ],
)
def test_a_transparent_colour_at_an_odd_depth_is_refused(tmp_path, depth, kind, row, key):
    with pytest.raises(BadImageError, match="one transparent colour at another depth than 8 bits"):
        shown(tmp_path, png(depth, kind, [row] * 4, (b"tRNS", key)))


@pytest.mark.parametrize(
    ("depth", "row", "key", "expected"),
    [(8, bytes([5, 6, 7, 8]), 6, [5, 255, 7, 8]), (1, bytes([0b01010000]), 0, [255] * 4)],
)
def test_a_transparent_grey(tmp_path, depth, row, key, expected):
    content = png(depth, 0, [row] * 4, (b"tRNS", struct.pack(">H", key)))
    pixels, changes = shown(tmp_path, content)
    assert pixels[0, :, 0].tolist() == expected
    assert changes == ["grey as RGB", "transparency over white"]


def test_printing_and_television_colours(tmp_path):
    pixels, changes = shown(tmp_path, saved(Image.new("CMYK", (4, 4), (255, 0, 0, 0)), "TIFF"))
    assert pixels[0, 0].tolist() == [0, 255, 255]
    assert changes == ["CMYK as RGB"]
    image = Image.new("CMYK", (8, 8), (0, 0, 255, 51))
    pixels, _ = shown(tmp_path, saved(image, "JPEG", quality=100))
    assert np.abs(pixels[0, 0] - [204, 204, 0]).max() <= 2
    pixels, changes = shown(tmp_path, saved(Image.new("LAB", (4, 4), (128, 128, 128)), "TIFF"))
    assert pixels[0, 0].tolist() == [119] * 3  # a lightness of 50 %
    assert changes == ["LAB as RGB"]
    pixels, _ = shown(tmp_path, saved(Image.new("YCbCr", (4, 4), (90, 128, 128)), "TIFF"))
    assert pixels[0, 0].tolist() == [90] * 3


# Where the mark in the upper left corner of the file is shown, by EXIF's number
CORNERS = {1: "ul", 2: "ur", 3: "dr", 4: "dl", 5: "ul", 6: "ur", 7: "dr", 8: "dl"}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", CORNERS)
def test_orientation(tmp_path, kind, orientation):
    # White, with black in the upper left quarter and grey in the upper right one.
    image = Image.new("L", (16, 16), 255)
    image.paste(0, (0, 0, 8, 8))
    image.paste(128, (8, 0, 16, 8))
    exif = Image.Exif()
    exif[274] = orientation
    pixels, changes = shown(tmp_path, saved(image, kind, exif=exif.tobytes()), edge=16)
    quarters = {"ul": pixels[3, 3], "ur": pixels[3, 12], "dl": pixels[12, 3], "dr": pixels[12, 12]}
    grey = {1: "ur", 2: "ul", 3: "dl", 4: "dr", 5: "dl", 6: "dr", 7: "ur", 8: "ul"}[orientation]
    assert quarters.pop(CORNERS[orientation])[0] < 10
    assert abs(quarters.pop(grey)[0] - 128) < 10
    assert all(rest[0] > 245 for rest in quarters.values())
    assert ("turned as its EXIF orientation says" in changes) == (orientation > 1)


def test_sixteen_bit_grey_is_turned_too(tmp_path):
    exif = Image.Exif()
    exif[274] = 8
    pixels, changes = shown(tmp_path, saved(four(GREY, "I;16"), exif=exif.tobytes()))
    assert pixels[:, 0, 0].tolist() == SHOWN[::-1]
    assert changes == [
        "turned as its EXIF orientation says",
        "16-bit grey scaled to 8 bits",
        "grey as RGB",
    ]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0garbage",
        b"Exif\0\0Exif\0\0II*\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"\0",
    ],
)
def test_a_damaged_exif_block_turns_nothing(tmp_path, exif):
    pixels, changes = shown(tmp_path, saved(Image.new("RGB", (4, 4), "red"), "PNG", exif=exif))
    assert (pixels == [255, 0, 0]).all()
    assert changes == []


def test_the_first_frame_is_shown(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime")]
    for kind in ("GIF", "PNG", "TIFF", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        content = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        pixels, changes = shown(tmp_path, content)
        assert (pixels == [255, 0, 0]).all(), kind
        assert changes[0] == "first of several frames"


def test_a_foreign_colour_profile_is_counted(tmp_path):
    from PIL import ImageCms

    image = Image.new("RGB", (4, 4), (10, 200, 30))
    standard = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert shown(tmp_path, saved(image, icc_profile=standard))[1] == []
    pixels, changes = shown(tmp_path, saved(image, icc_profile=b"a profile of another kind"))
    assert (pixels == [10, 200, 30]).all()
    assert changes == ["colour profile not applied"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (saved(Image.new("F", (4, 4), 0.5), "TIFF"), "floating-point pixels, whose range"),
        (saved(Image.new("I", (4, 4), 70000), "TIFF"), "32-bit or signed integers without a"),
        (tiff(16, 1, [bytes(8)] * 4, sample=2), "32-bit or signed integers without a range"),
        (saved(Image.new("RGB", (4, 4)), "EPS"), "none of the formats that are known: AVIF, BMP"),
        (saved(Image.new("RGB", (4, 4)), "TGA"), "none of the formats that are known"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "none of the formats that are known"),
        (b"\0\0\0\x18ftypheic\0\0\0\0heicmif1", "none of the formats that are known"),
        (b"", "empty"),
    ],
)
def test_what_has_no_one_look_is_refused(tmp_path, content, reason):
    with pytest.raises(BadImageError, match=reason):
        shown(tmp_path, content)


def test_no_program_is_started_for_a_picture(tmp_path, monkeypatch):
    def no_program(*arguments, **options):
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.check_call", no_program)
    with pytest.raises(BadImageError, match="none of the formats"):
        shown(tmp_path, saved(Image.new("RGB", (4, 4)), "EPS"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "AVIF", "JPEG2000"])
def test_damage_is_refused_or_shown_and_never_an_error_of_another_kind(tmp_path, kind):
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (9, 9, 3), np.uint8)
    whole = bytearray(saved(Image.fromarray(noise), kind))
    for _ in range(60):
        content = bytearray(whole)
        for place in generator.integers(0, len(content), 3):
            content[place] = generator.integers(256)
        with contextlib.suppress(BadImageError):
            assert shown(tmp_path, bytes(content))[0].shape == (4, 4, 3)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match=rf"{tmp_path} cannot be read"):
        square(tmp_path, 4)
