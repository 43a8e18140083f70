"""GLib key files (pp3 sidecars, RawTherapee's options) as bytes: one key changed, every other byte left as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["get", "with_keys"]

BOM = b"\xef\xbb\xbf"
ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}  # GLib key file specification


@dataclass
class _Group:
    """Where a group stands: the lines of its headers and, by key, those of its keys; a later one counts."""

    headers: list[int]
    keys: dict[str, list[int]]


def _find(lines: list[bytes], group: str) -> _Group:
    found, inside = _Group([], {}), False
    for index, line in enumerate(lines):
        text = (line.removeprefix(BOM) if index == 0 else line).strip().decode("utf-8", "surrogateescape")
        if text.startswith("["):
            inside = text == f"[{group}]"
            if inside:
                found.headers.append(index)
        elif inside and "=" in text and not text.startswith("#"):
            found.keys.setdefault(text.partition("=")[0].rstrip(), []).append(index)
    return found


def get(content: bytes, group: str, key: str) -> str | None:
    """The key's value, or None where the group doesn't have it. Undecodable bytes come as surrogates."""
    lines = content.splitlines()
    places = _find(lines, group).keys.get(key)
    if not places:
        return None
    value = lines[places[-1]].partition(b"=")[2].strip()
    return _unescaped(value.decode("utf-8", "surrogateescape"))


def with_keys(content: bytes, group: str, changes: Mapping[str, str | None]) -> bytes:
    """The content with these keys of the group set, or gone for None; line endings, order, comments and BOM stay.

    A new key comes right under its group's last header; a new group comes last.
    """
    lines = content.splitlines(keepends=True)
    newline = b"\r\n" if lines and lines[0].endswith(b"\r\n") else b"\n"
    found = _find(lines, group)
    added = []
    for key, value in changes.items():
        places = found.keys.get(key, [])
        if value is None:
            for place in places:
                lines[place] = b""
        elif places:
            old = lines[places[-1]]
            ending = old[len(old.rstrip(b"\r\n")) :]
            lines[places[-1]] = _line(key, value) + ending
        else:
            added.append(_line(key, value) + newline)
    if added and not found.headers:
        if lines and not lines[-1].endswith(b"\n"):
            lines[-1] += newline
        if lines:
            lines.append(newline)
        lines.append(b"[%s]%s" % (group.encode(), newline))
        found.headers.append(len(lines) - 1)
    if added:
        header = found.headers[-1]
        if not lines[header].endswith(b"\n"):
            lines[header] += newline
        lines[header] += b"".join(added)
    return b"".join(lines)


def _line(key: str, value: str) -> bytes:
    text = "".join(ESCAPES.get(c, c) for c in value)
    if text.startswith(" "):
        text = "\\s" + text[1:]
    return f"{key}={text}".encode("utf-8", "surrogateescape")


def _unescaped(text: str) -> str:
    result, letters = "", iter(text)
    for c in letters:
        if c == "\\":
            following = next(letters, "")
            c = {"s": " ", "n": "\n", "r": "\r", "t": "\t", "\\": "\\"}.get(following, "\\" + following)
        result += c
    return result
