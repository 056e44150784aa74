"""Names in zips with various encodings and separators."""

import struct
import unicodedata
import zipfile
import zlib

import pytest

from components.base.errors import PilahError
from components.data import class_folders, photo_sources, zip_names

WINDOWS = 0


class RawEntry(zipfile.ZipInfo):
    """An entry with the bytes `raw_name` as its name, without the UTF-8 flag."""

    raw_name: bytes

    def _encodeFilenameFlags(self):  # noqa: N802  # zipfile's
        return self.raw_name, self.flag_bits & ~zip_names.UTF_8_FLAG


def write_zip(path, names, system=WINDOWS, extra=lambda raw: b""):
    """Write a zip of files with these names, in bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, raw in enumerate(names):
            entry = RawEntry(raw.decode("cp437"))
            entry.raw_name, entry.create_system, entry.extra = raw, system, extra(raw)
            archive.writestr(entry, f"photo {number}")
    return path


def classes(archive, encoding=None):
    unpacked = photo_sources.folder_of(archive, archive.with_name("unpacked"), encoding)
    return class_folders.scan([unpacked]).classes


@pytest.mark.parametrize(
    "names",
    [
        ["photos\\glass\\1.jpg", "photos\\metal\\1.jpg"],
        ["photos/glass\\1.jpg", "photos/metal\\1.jpg"],
        ["C:\\photos\\glass\\1.jpg", "c:\\photos\\metal\\1.jpg"],
        ["\\\\server\\share\\glass\\1.jpg", "\\\\server\\share\\metal\\1.jpg"],
        ["..\\..\\glass\\1.jpg", "..\\metal\\..\\1.jpg"],
        ["glass\\", "glass\\1.jpg", "metal\\"],
        ["glass/1.jpg\0.exe", "metal/1.jpg"],
    ],
    ids=["all", "mixed", "drive", "network", "upwards", "folders", "null byte"],
)
def test_backslashes_separate_folders(tmp_path, names):
    assert classes(write_zip(tmp_path / "a.zip", [name.encode() for name in names])) == ["glass", "metal"]
    assert {path.name for path in tmp_path.iterdir()} == {"a.zip", "unpacked"}


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("gbk", ["玻璃", "金属"]),
        ("GB2312", ["玻璃", "金属"]),
        ("cp932", ["表示", "ソ連"]),  # the second bytes of 表 and ソ are backslashes
        ("big5", ["功能", "許可"]),  # as are those of 功 and 許
        ("cp866", ["Бумага", "стекло"]),
        ("cp1252", ["Glas", "Müll"]),
        ("euc_kr", ["유리", "종이"]),
        ("utf-8", ["Müll", "Métal"]),
    ],
)
@pytest.mark.parametrize("separator", ["/", "\\"])
def test_names_are_decoded_by_the_given_encoding(tmp_path, encoding, names, separator):
    raw = [separator.join(("photos", name, "1.jpg")).encode(encoding) for name in names]
    archive = write_zip(tmp_path / "a.zip", raw)
    with pytest.raises(PilahError, match="Give it with --zip-encoding") as refused:
        classes(archive)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "unpacked").exists()
    assert classes(archive, encoding) == sorted(names)


def test_error_for_unknown_encoding_shows_a_name_in_several_encodings(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [f"{name}/1.jpg".encode("gbk") for name in ("玻璃", "金属")])
    with pytest.raises(PilahError, match=r"could be 玻璃 \(gbk\), .* \(cp437\)\.$"):
        classes(archive)


def test_error_for_unknown_encoding_is_one_line_without_control_codes(tmp_path):
    archive = write_zip(tmp_path / "a.zip", ["\n\x1b[2J玻璃/1.jpg".encode("gbk"), b"glass/1.jpg"])
    with pytest.raises(PilahError, match=r"could be \\n\\x1b\[2J玻璃 \(gbk\)"):
        classes(archive)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("system", [WINDOWS, zip_names.UNIX])
def test_utf_8_without_its_flag_is_detected(tmp_path, form, system):
    names = ["玻璃", "Métal", "纸板"]
    raw = [unicodedata.normalize(form, f"{name}/1.jpg").encode() for name in names]
    assert classes(write_zip(tmp_path / "a.zip", raw, system)) == sorted(names)


def test_single_letter_that_may_be_utf_8_or_gbk_raises(tmp_path):
    raw = ["细/1.jpg".encode("gbk"), b"glass/1.jpg"]  # 细 has the bytes of a Greek letter in UTF-8
    assert raw[0].decode() == "ϸ/1.jpg"
    with pytest.raises(PilahError, match=r"细 \(gbk\)"):
        classes(write_zip(tmp_path / "a.zip", raw))


@pytest.mark.parametrize("valid", [True, False], ids=["of this name", "of another name"])
def test_name_in_info_zip_extra_field_is_used(tmp_path, valid):
    def extra(raw):
        data = struct.pack("<BL", 1, zlib.crc32(raw) ^ (not valid)) + raw.decode("cp866").encode()
        return struct.pack("<HH", 0x9999, 0) + struct.pack("<HH", zip_names.UNICODE_PATH, len(data)) + data

    archive = write_zip(
        tmp_path / "a.zip", [f"{name}/1.jpg".encode("cp866") for name in ("Бумага", "стекло")], 0, extra
    )
    if valid:
        assert classes(archive) == ["Бумага", "стекло"]
    else:
        with pytest.raises(PilahError, match="--zip-encoding"):
            classes(archive)


def test_file_name_that_is_not_valid_in_the_encoding_keeps_its_folder(tmp_path):
    names = ["玻璃/".encode() + b"caf\xe9.jpg", "纸板/1.jpg".encode(), b"glass/\xff.jpg"]
    unpacked = photo_sources.folder_of(write_zip(tmp_path / "a.zip", names), tmp_path / "unpacked")
    assert sorted(label for _, label in class_folders.scan([unpacked]).photos) == ["glass", "玻璃", "纸板"]


def test_folder_name_that_is_not_valid_in_the_encoding_raises(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [f"{name}/1.jpg".encode("cp1252") for name in ("Müll", "Glas")])
    with pytest.raises(PilahError, match=r"M\\xfcll/, which is not valid in --zip-encoding utf-8"):
        classes(archive, "utf-8")


def test_null_byte_in_a_name_ends_it(tmp_path):
    raw = ["玻璃/1.jpg\0.exe".encode("gbk"), "金属/1.jpg".encode("gbk")]
    assert classes(write_zip(tmp_path / "a.zip", raw), "gbk") == ["玻璃", "金属"]


@pytest.mark.parametrize("encoding", ["latin", "GBK", "936", "shift_jis", "cp866", "utf_8", "cp437"])
def test_text_encoding_with_ascii_is_accepted(encoding):
    photo_sources.check_encoding(encoding)


@pytest.mark.parametrize(
    "encoding",
    ["klingon", "", "rot13", "base64", "utf-16", "utf-7", "cp037", "unicode_escape", "../x", "a\0b", "idna2"],
)
def test_encoding_unknown_to_python_or_without_ascii_is_refused(encoding):
    with pytest.raises(PilahError, match="--zip-encoding must be an encoding"):
        photo_sources.check_encoding(encoding)


def test_other_encoding_unpacks_to_another_folder():
    names = {photo_sources.unpacked_name("0123", encoding) for encoding in (None, "gbk", "GBK", "936", "big5")}
    assert names == {"0123", "0123-gbk", "0123-big5"}
