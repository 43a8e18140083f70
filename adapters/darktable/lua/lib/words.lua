-- SPDX-License-Identifier: Apache-2.0
-- Words for the shell and names for results. Pure Lua: no darktable in here.

local words = {}

--- The text as one word of a POSIX shell.
function words.quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- A command line of these words, each quoted.
function words.command_line(list)
  local quoted = {}
  for index, word in ipairs(list) do
    quoted[index] = words.quote(word)
  end
  return table.concat(quoted, " ")
end

--- A number from 0 to 1 as the command line reads it, whatever the locale's decimal mark.
function words.share(value)
  return (string.format("%.2f", value):gsub(",", "."))
end

--- Where the result of `source` goes: beside it, IMG_1.CR3 -> IMG_1<suffix>.dng; number 2 and up: IMG_1<suffix>_2.dng.
function words.target(source, suffix, number)
  local folder, name = source:match("^(.*/)([^/]*)$")
  folder, name = folder or "", name or source
  local stem = name:match("^(.+)%.[^.]*$") or name
  return folder .. stem .. suffix .. (number > 1 and "_" .. number or "") .. ".dng"
end

return words
