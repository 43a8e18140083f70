-- SPDX-License-Identifier: Apache-2.0
-- What is said of an image in its own row of darktable's library, said again where darktable loses it.
-- To read an image's pixels, for a thumbnail say, darktable copies the row first and writes the copy back afterwards
-- (mipmap_cache.c of 4.2.1): what was set meanwhile is gone without a word. Labels, tags and texts have tables of
-- their own and stay.

local rows = {}

local FIELDS = { "rating", "latitude", "longitude", "elevation" }
local READING_S = 10 -- the longest that pixels are taken to be read; in whole seconds

local function fields_of(image)
  local values = {}
  for _, field in ipairs(FIELDS) do
    values[field] = image[field]
  end
  return values
end

--- What rows.settled brings about: `result`, just imported, has `source`'s fields, and is in its group.
-- lead: the result is to lead the group.
function rows.wish(source, result, lead)
  local members = source:get_group_members()
  members[#members + 1] = result
  return {
    result = result,
    before = fields_of(result),
    wanted = fields_of(source),
    leader = lead and result or source.group_leader,
    members = members,
    since = os.time(),
  }
end

--- True if a value has yet to be set; one that is neither the old nor the wanted one is a person's.
local function is_open(value, before, wanted)
  if wanted == nil or wanted ~= wanted or value == wanted then -- a position that is not known may be NaN
    return false
  end
  return value == before or value == nil or value ~= value
end

--- Sets the fields that are not as wanted. True if there were any.
local function set_fields(wish)
  local any = false
  for field, wanted in pairs(wish.wanted) do
    if is_open(wish.result[field], wish.before[field], wanted) then
      wish.result[field] = wanted
      any = true
    end
  end
  return any
end

--- Puts those into the group that are not in it. True if there were any.
local function set_group(wish)
  local leader, any = wish.leader, false
  if leader and leader.group_leader.id ~= leader.id then
    leader:make_group_leader()
    any = true
  end
  for _, member in ipairs(wish.members) do
    if member.group_leader.id ~= leader.id then
      member:group_with(leader)
      any = true
    end
  end
  return any
end

--- Leaves the group to a later wish if it is of the same one: two sources of one group, restored one after the other.
function rows.leave_group(earlier, later)
  local ids = {}
  for _, member in ipairs(later.members) do
    ids[member.id] = true
  end
  local rest, same = {}, false
  for _, member in ipairs(earlier.members) do
    same = same or ids[member.id]
    rest[#rest + 1] = not ids[member.id] and member or nil
  end
  if same then
    table.move(rest, 1, #rest, #later.members + 1, later.members)
    earlier.members, earlier.leader = {}, nil
  end
end

--- Sets what is not as wanted. True once nothing can be lost any more: the pixels were read since, or long could be.
function rows.settled(wish)
  local result = wish.result
  -- asked first: a reading that ended before can't undo what is set below
  local read = result.is_raw or result.is_hdr or result.is_ldr
  local old = os.time() - wish.since > READING_S
  local fields, group = set_fields(wish), set_group(wish)
  return old or (read and not fields and not group)
end

return rows
