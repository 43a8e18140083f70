"""What the panel says of a result in its row of darktable's library, and says again where darktable lost it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import adapters.darktable

LUA = shutil.which("lua5.4") or shutil.which("lua")
pytestmark = pytest.mark.skipif(LUA is None, reason="lua5.4 is not installed")
SCRIPTS = Path(adapters.darktable.__file__).parent / "lua"
# A library as darktable 4.2.1 keeps it: rows by id, group = the leader's id. A reading of pixels copies a row when it
# begins and writes the copy back when it ends.
LIBRARY = """
package.path = arg[1] .. "/?.lua;" .. package.path
local rows = require "lib/rows"
local clock = 0
os.time = function() return clock end
local library, images = {}, {}
local methods = {
  group_with = function(self, other)
    local from, to = library[self.id], library[other.id].group
    if from.group == self.id then
      local next_leader
      for id, row in pairs(library) do
        if row.group == self.id and id ~= self.id then
          next_leader = next_leader or id
          row.group = next_leader
        end
      end
    end
    from.group = to
  end,
  make_group_leader = function(self)
    local group = library[self.id].group
    for _, row in pairs(library) do
      if row.group == group then row.group = self.id end
    end
  end,
  get_group_members = function(self)
    local members = {}
    for id, row in pairs(library) do
      if row.group == library[self.id].group then members[#members + 1] = images[id] end
    end
    return members
  end,
}
local function image(id, row)
  row.group = row.group or id
  library[id] = row
  images[id] = setmetatable({ id = id }, {
    __index = function(_, name)
      if name == "group_leader" then return images[library[id].group] end
      if name:sub(1, 3) == "is_" then return library[id][name] or false end
      return methods[name] or library[id][name]
    end,
    __newindex = function(_, name, value) library[id][name] = value end,
  })
  return images[id]
end
local function begin_reading(id)
  local copy = {}
  for name, value in pairs(library[id]) do copy[name] = value end
  return function()
    copy.is_raw = true
    library[id] = copy
  end
end
local function groups()
  local found = {}
  for id, row in ipairs(library) do found[id] = row.group end
  return table.concat(found, " ")
end
"""


def run(script: str) -> list[str]:
    """The lines that a Lua script prints, with LIBRARY before it."""
    assert LUA is not None
    done = subprocess.run([LUA, "-", str(SCRIPTS)], input=LIBRARY + script, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(("lead", "group"), [("true", "3 3 3"), ("false", "1 1 1")])
def test_a_result_has_its_sources_fields_and_group(lead: str, group: str) -> None:
    said = run(f"""
        local source = image(1, {{ rating = 3, latitude = 47.4, longitude = 8.5, elevation = 0 / 0 }})
        image(2, {{ rating = 1, group = 1 }})
        local result = image(3, {{ rating = 1, elevation = 0 / 0 }})
        print(rows.settled(rows.wish(source, result, {lead})))
        print(result.rating, result.latitude, result.longitude, groups())
    """)
    assert said == ["false", f"3\t47.4\t8.5\t{group}"]


def test_what_a_reading_takes_back_is_set_again() -> None:
    said = run("""
        local source, result = image(1, { rating = 3, latitude = 47.4 }), image(2, { rating = 1 })
        local wish = rows.wish(source, result, true)
        local end_reading = begin_reading(2)
        rows.settled(wish)
        end_reading()
        print(result.rating, result.latitude, groups())
        print(rows.settled(wish), result.rating, result.latitude, groups())
        print(rows.settled(wish))
    """)
    assert said == ["1\tnil\t2 2", "false\t3\t47.4\t2 2", "true"]


@pytest.mark.parametrize("row", [1, 2])
def test_a_group_that_lost_one_is_whole_again(row: int) -> None:
    said = run(f"""
        local source, result = image(1, {{ rating = 0 }}), image(2, {{ rating = 0 }})
        result:group_with(source) -- as darktable's own grouping may have it
        local wish = rows.wish(source, result, true)
        local end_reading = begin_reading({row})
        rows.settled(wish)
        end_reading()
        library[2].is_raw = true
        print(groups() == "2 2", rows.settled(wish), groups(), rows.settled(wish))
    """)
    assert said == ["false\tfalse\t2 2\ttrue"]


def test_a_persons_rating_stays() -> None:
    said = run("""
        local source, result = image(1, { rating = 3 }), image(2, { rating = 1 })
        local wish = rows.wish(source, result, false)
        rows.settled(wish)
        result.rating, result.is_raw = 5, true
        print(rows.settled(wish), result.rating)
    """)
    assert said == ["true\t5"]


def test_what_nobody_reads_is_left_after_a_while() -> None:
    said = run("""
        local wish = rows.wish(image(1, { rating = 3 }), image(2, { rating = 1 }), true)
        print(rows.settled(wish), rows.settled(wish))
        clock = 11
        print(rows.settled(wish))
    """)
    assert said == ["false\tfalse", "true"]


def test_of_two_results_of_a_group_the_later_one_leads() -> None:
    said = run("""
        local one, two = image(1, { rating = 0 }), image(2, { rating = 0, group = 1 })
        local first = rows.wish(one, image(3, { rating = 0 }), true)
        rows.settled(first)
        local second = rows.wish(two, image(4, { rating = 0 }), true)
        rows.leave_group(first, second)
        for _ = 1, 2 do
          rows.settled(first)
          rows.settled(second)
        end
        print(groups())
        local apart = rows.wish(image(5, { rating = 0 }), image(6, { rating = 0 }), true)
        rows.leave_group(second, apart)
        library[2].group = 2
        rows.settled(second)
        rows.settled(apart)
        print(groups())
    """)
    assert said == ["4 4 4 4", "4 4 4 4 6 6"]
