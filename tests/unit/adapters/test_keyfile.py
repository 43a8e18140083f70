"""Key files: one key changes, every other byte stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.rawtherapee.keyfile import get, with_keys

PP3 = b"[Version]\nAppVersion=5.9\n\n[RAW]\n# a comment\nDarkFrame=\nCA = true\n\n[RAW Bayer]\nDarkFrame=other\n"


def test_only_the_key_changes() -> None:
    changed = with_keys(PP3, "RAW", {"DarkFrame": "a.dng"})
    assert changed == PP3.replace(b"DarkFrame=\n", b"DarkFrame=a.dng\n")
    assert with_keys(changed, "RAW", {"DarkFrame": ""}) == PP3
    assert get(changed, "RAW", "DarkFrame") == "a.dng"
    assert (get(PP3, "RAW", "CA"), get(PP3, "RAW", "Nothing"), get(PP3, "None", "CA")) == ("true", None, None)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_endings_and_byte_order_mark_stay(newline: bytes, bom: bytes, end: bytes) -> None:
    content = bom + newline.join([b"[RAW]", b"A=1", b"", b"[Other]", b"B=\xff\xfe"]) + end.replace(b"\n", newline)
    changed = with_keys(content, "RAW", {"DarkFrame": "x"})
    assert changed == content.replace(b"[RAW]" + newline, b"[RAW]" + newline + b"DarkFrame=x" + newline)
    assert with_keys(changed, "RAW", {"DarkFrame": None}) == content
    added = with_keys(content, "New", {"K": "v"})
    assert added.startswith(content)
    assert added.endswith(b"[New]" + newline + b"K=v" + newline)


def test_a_later_group_or_key_counts() -> None:
    content = b"[RAW]\nD=1\n[X]\n[RAW]\nD=2\n"
    assert get(content, "RAW", "D") == "2"
    assert with_keys(content, "RAW", {"D": "3"}) == b"[RAW]\nD=1\n[X]\n[RAW]\nD=3\n"
    assert with_keys(b"[RAW]", "RAW", {"D": "3"}) == b"[RAW]\nD=3\n"
    assert with_keys(b"", "RAW", {"D": "3"}) == b"[RAW]\nD=3\n"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\x85  \x0b\x0c\x1c\x1d\x1e")))
def test_values_read_back(value: str) -> None:
    content = with_keys(PP3, "RAW", {"DarkFrame": value.rstrip()})
    assert get(content, "RAW", "DarkFrame") == value.rstrip()
    assert len(content.splitlines()) == len(PP3.splitlines())
