"""The panel's scripts as far as they run without darktable: words for the shell, names, progress, the edit's filter."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from adapters.darktable.lua_install import SCRIPTS, install_lua

LUA = shutil.which("lua5.4") or shutil.which("lua")
need_lua = pytest.mark.skipif(LUA is None, reason="lua5.4 is not installed")
# Prints what the Lua expression in its second argument gives; `input` there is what stdin holds.
PROGRAM = """
package.path = arg[1] .. "/lua/?.lua;" .. package.path
package.preload["darktable"] = function() return { configuration = {} } end
local function module(name) return require("neural_isp/lib/" .. name) end
local results = table.pack(load("local input, module = ...; return " .. arg[2])(io.read("a"), module))
for index = 1, results.n do io.write(index > 1 and "\\0" or "", tostring(results[index])) end
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration folder with the panel in it."""
    folder = tmp_path_factory.mktemp("config")
    install_lua(folder, Path('/a "quoted"\\ü/neural-isp'))
    (folder / "evaluate.lua").write_text(PROGRAM)
    return folder


def evaluate(config: Path, expression: str, text: str = "") -> list[str]:
    """What a Lua expression gives; `input` is the text, module(name) one of lib/."""
    assert LUA is not None
    command = [LUA, str(config / "evaluate.lua"), str(config), expression]
    ended = subprocess.run(command, input=text.encode(), capture_output=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout.decode().split("\0")


@need_lua
@pytest.mark.parametrize("word", ["plain", "two words", "it's", "''", '$HOME `id` \\ " * ?', "-o", "", "Zürich\nnext"])
def test_quoted_words_arrive_whole(word: str, config: Path) -> None:
    (line,) = evaluate(config, 'module("words").command_line { "printf", "%s", input }', word)
    assert subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout.decode() == word


@need_lua
@pytest.mark.parametrize(
    ("source", "number", "target"),
    [
        ("/a/IMG_1.CR3", 1, "/a/IMG_1_neural-isp.dng"),
        ("/a/IMG_1.CR3", 2, "/a/IMG_1_neural-isp_2.dng"),
        ("/a.b/IMG.1.dng", 1, "/a.b/IMG.1_neural-isp.dng"),
        ("/a.b/noending", 1, "/a.b/noending_neural-isp.dng"),
        ("/a.b/.hidden", 1, "/a.b/.hidden_neural-isp.dng"),
    ],
)
def test_results_lie_beside_their_source(source: str, number: int, target: str, config: Path) -> None:
    assert evaluate(config, f'module("words").target(input, "_neural-isp", {number})', source) == [target]


@need_lua
@pytest.mark.parametrize(
    "text", ['plain "quoted" \\ back', "\\u0041 is no A", "tab\tline\nend\\", "Zürich 😀 \\\\", "\udcff broken"]
)
def test_messages_are_read_as_they_were_written(text: str, config: Path) -> None:
    line = json.dumps({"event": "error", "file": "/x", "message": text, "reason": "DAMAGED", "exit_code": 3})
    reason, message = evaluate(config, 'module("events").failure(input)', line + "\n")
    assert (reason, message) == ("DAMAGED", text.replace("\udcff", "\ufffd"))


@need_lua
def test_the_last_whole_progress_line_counts(config: Path) -> None:
    lines = [
        {"event": "progress", "file": '"fraction": 9', "stage": "noise", "fraction": 1.0, "eta_s": None},
        {"event": "progress", "file": "/x", "stage": "restore", "fraction": 0.25, "eta_s": 12.5},
        {"event": "note", "message": "progress"},
    ]
    text = "\n".join(map(json.dumps, lines)) + '\n{"event": "progress", "stage": "wri'
    line = 'module("events").last(input, "progress")'
    found = [evaluate(config, f'module("events").field({line}, "{name}")', text)[0] for name in ("stage", "fraction")]
    assert found == ["restore", "0.25"]
    only_first = json.dumps(lines[0]) + "\n"
    assert evaluate(config, f'module("events").field({line}, "fraction")', only_first) == ["1.0"]
    assert evaluate(config, f'module("events").field({line}, "eta_s")', only_first) == ["nil"]


@need_lua
def test_a_program_that_is_not_there_is_named(config: Path) -> None:
    said = "sh: 1: exec: /no/neural-isp: not found\n"
    assert evaluate(config, 'module("events").failure(input)', said) == ["NOT_RUN", said.strip()]


@need_lua
def test_models_of_one_operation(config: Path) -> None:
    rows = [
        {"id": "one", "op": "denoise", "cfa_kinds": ["bayer"]},
        {"id": "two", "op": "fuse"},
        {"id": "three", "op": "denoise"},
    ]
    text = "\n".join(map(json.dumps, rows)) + "\n"
    assert evaluate(config, 'table.concat(module("models").ids(input, "denoise"), " ")', text) == ["one three"]


@need_lua
def test_the_edit_loses_what_belongs_to_the_source_alone(config: Path) -> None:
    names = [
        "rawprepare",
        "exposure",
        "temperature",
        "denoiseprofile",
        "demosaic",
        "filmicrgb",
        "neuralisp",
        "rawdenoise",
    ]
    steps = {
        name: f"<plugin><num>1</num><operation>{name}</operation><op_params>00</op_params></plugin>" for name in names
    }
    head, tail = "<darktable_style><info><name>x</name></info><style>", "</style></darktable_style>\n"
    text, left = evaluate(config, 'module("history").filter(input)', head + "".join(steps.values()) + tail)
    assert (text, left) == (head + steps["exposure"] + steps["filmicrgb"] + tail, "2")


@need_lua
def test_arguments_name_only_what_was_chosen(config: Path) -> None:
    call = 'table.concat(module("operations")[1].arguments({"/a.dng"}, "/b.dng", %s), " ")'
    plain = call % '{ strength = 1.0, model = "", output = "" }'
    assert evaluate(config, plain) == ["denoise /a.dng -o /b.dng --strength 1.00 --progress json"]
    (words,) = evaluate(config, call % '{ strength = 0.25, model = "one", output = "linear" }')
    assert {"--strength 0.25", "--model one", "--output linear"} <= {
        " ".join(pair) for pair in zip(words.split(), words.split()[1:], strict=False)
    }


@need_lua
def test_the_installed_program_is_read_back(config: Path) -> None:
    assert evaluate(config, 'module("installed").command') == ['/a "quoted"\\ü/neural-isp']


@pytest.mark.skipif(not shutil.which("luacheck"), reason="luacheck is not installed")
def test_luacheck_finds_nothing() -> None:
    ended = subprocess.run(
        ["luacheck", "--std", "lua54", "--no-color", str(SCRIPTS)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout
