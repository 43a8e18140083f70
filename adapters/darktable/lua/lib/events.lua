-- SPDX-License-Identifier: Apache-2.0
-- What `neural-isp ... --progress json` says on stderr: one flat JSON object a line (docs/api.md lists the fields).
-- darktable brings no JSON parser, and lua-scripts, which does, is not installed everywhere; these lines are written
-- by Python's json.dumps in ASCII, so a field is found by its name. Pure Lua: no darktable in here.

local events = {}

local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

--- UTF-8 of the code units after \u; half a surrogate pair alone (a file name that is not UTF-8) becomes U+FFFD.
local function unescape_unicode(text)
  text = text:gsub("\\u(d[89ab]%x%x)\\u(d[c-f]%x%x)", function(high, low)
    return utf8.char(0x10000 + ((tonumber(high, 16) & 0x3FF) << 10) + (tonumber(low, 16) & 0x3FF))
  end)
  return (text:gsub("\\u(%x%x%x%x)", function(unit)
    local code = tonumber(unit, 16)
    return utf8.char((code >= 0xD800 and code <= 0xDFFF) and 0xFFFD or code)
  end))
end

--- The text of a JSON string whose quotes are gone.
local function unescape(text)
  local parts = {}
  -- an escaped backslash must not join what follows it: "\\u0041" is a backslash and u0041
  for piece, pair in (text .. "\\\\"):gmatch("(.-)(\\\\)") do
    parts[#parts + 1] = unescape_unicode(piece):gsub("\\(.)", function(letter)
      return ESCAPES[letter] or letter
    end)
    parts[#parts + 1] = pair and "\\"
  end
  parts[#parts] = nil
  return table.concat(parts)
end

--- The string or number in the first field of that name; nil where there is none or it is null.
function events.field(line, name)
  local _, start = line:find('"' .. name .. '": ', 1, true)
  if not start then
    return nil
  end
  local number = line:match("^-?%d[%d.eE+-]*", start + 1)
  if number then
    return tonumber(number)
  end
  local position = line:match('^"()', start + 1)
  if not position then
    return nil
  end
  local finish = position
  while finish <= #line do
    local character = line:sub(finish, finish)
    if character == '"' then
      return unescape(line:sub(position, finish - 1))
    end
    finish = finish + (character == "\\" and 2 or 1)
  end
  return nil
end

--- The last whole line with this event; nil where there is none.
function events.last(text, event)
  local found
  for line in text:gmatch("([^\n]*)\n") do
    if events.field(line, "event") == event then
      found = line
    end
  end
  return found
end

--- Why a run failed: reason and one line for people. Without an event it is the last thing the shell said.
function events.failure(text)
  local line = events.last(text, "error")
  if line then
    return events.field(line, "reason"), events.field(line, "message")
  end
  local said
  for other in text:gmatch("[^\n]+") do
    if other:sub(1, 1) ~= "{" then
      said = other
    end
  end
  return "NOT_RUN", said or "neural-isp ended without a word"
end

return events
