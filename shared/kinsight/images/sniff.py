"""What a file is by its first bytes: one of the formats Kinsight decodes, or something else.

The signatures are those of the formats' own specifications; names of files and declared content
types are never believed.
"""

from __future__ import annotations

import struct
from typing import Literal

ACCEPTED = "JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"

# Pillow's name of each accepted format, and ours: the subtype of its media type, `image/…`.
FORMATS = {
    "JPEG": "jpeg",
    "PNG": "png",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp",
    "TIFF": "tiff",
    "AVIF": "avif",
}

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)

_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\0\x0cjP  \r\n", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL \r\n", "a JPEG XL picture"),
    (b"DDS ", "a DDS texture"),
    (b"\x0a\x05\x01", "a PCX picture"),
    (b"\x01\xda", "an SGI picture"),
    (b"qoif", "a QOI picture"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"OggS", "an Ogg file"),
    (b"ID3", "an MP3 file"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3", "an SQLite database"),
)
_NETPBM = tuple(b"P%d" % digit for digit in range(1, 8))
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"}


def accepted_format(data: bytes) -> str | None:
    """Pillow's name of the format, or None where it is none of the accepted ones."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if _brands(data) & {b"avif", b"avis"}:
        return "AVIF"
    return next((name for start, name in _SIGNATURES if data.startswith(start)), None)


def describe(data: bytes) -> str:
    """What bytes of no accepted format seem to be, as the object of "This is …"."""
    for start, name in _FOREIGN:
        if data.startswith(start):
            return name
    if data[:2] in _NETPBM and data[2:3].isspace():
        return "a Netpbm picture"
    if brands := _brands(data):
        return "a HEIC picture" if brands & _HEIF_BRANDS else "a video or another MPEG-4 file"
    if data[:4] in (b"\0\0\x01\0", b"\0\0\x02\0") and data[4:6] != b"\0\0":
        return "a Windows icon or cursor"
    if data[-18:] == b"TRUEVISION-XFILE.\0":
        return "a TGA picture"
    if data[257:262] == b"ustar":
        return "a tar archive"
    return _describe_text(data) or "no picture of a known kind"


def header_size(data: bytes, name: str) -> tuple[int, int] | None:
    """Width and height where the format keeps them at a fixed place, else None.

    Read without the decoder for two reasons: that of WebP allocates its canvas as soon as it is
    opened, and none says of a picture with a side of 0 what is wrong with it.
    """
    if name == "PNG" and data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        return width, height
    if name == "GIF" and len(data) >= 10:
        width, height = struct.unpack_from("<HH", data, 6)
        return width, height
    return _webp_size(data) if name == "WEBP" else None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Of the first chunk of a WebP file (RFC 9649 §2.5 to §2.7)."""
    chunk = data[12:16]
    if chunk == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if chunk == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def lacks_its_end(data: bytes, name: str) -> bool:
    """Whether the file stops before the end that its format prescribes."""
    tail = data.rstrip(b"\0")[-1024:]
    match name:
        case "JPEG":
            return not tail.endswith(b"\xff\xd9")
        case "PNG":
            return b"IEND" not in tail
        case "GIF":
            return not tail.endswith(b";")
        case "WEBP":
            return len(data) < 12 or int.from_bytes(data[4:8], "little") + 8 > len(data)
        case "BMP":
            return len(data) < 14 or int.from_bytes(data[2:6], "little") > len(data)
        case "TIFF":
            order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
            return len(data) < 8 or int.from_bytes(data[4:8], order) > len(data)
        case "AVIF":
            return _boxes_end(data) > len(data)
    return False


def _boxes_end(data: bytes) -> int:
    """Where the last top-level box of an ISO base media file claims to end."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:  # a 64-bit size follows the type
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:  # 0: to the end of the file
            return len(data)
        at += size
    return at


def _brands(data: bytes) -> set[bytes]:
    """Major and compatible brands of an ISO base media file (ISO/IEC 14496-12 §4.3)."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4], "big"), len(data), 512)
    return {data[at : at + 4] for at in (8, *range(16, end - 3, 4))}


def _describe_text(data: bytes) -> str | None:
    head = data[:2048].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"<svg" in head:
        return "an SVG drawing"
    if head.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if head.startswith(b"<?xml"):
        return "an XML document"
    if head.startswith((b"{", b"[")):
        return "JSON text"
    try:
        # A multi-byte character may straddle the cut, hence the ignored tail.
        text = data[:2048].decode("utf-8", "strict" if len(data) <= 2048 else "ignore")
    except UnicodeDecodeError:
        return None
    printable = sum(letter.isprintable() or letter.isspace() for letter in text)
    return "text" if text and printable == len(text) else None
