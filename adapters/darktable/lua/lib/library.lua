-- SPDX-License-Identifier: Apache-2.0
-- Results in darktable's library: imported, grouped with their source, and carrying what the person said about it.

local dt = require "darktable"
local history = require "neural_isp/lib/history"
local rows = require "neural_isp/lib/rows"

local library = {}

local TAG = "neural-isp|"
local INTERNAL = "darktable|"
local METADATA = { "title", "description", "creator", "publisher", "rights", "notes", "version_name" }
local LABELS = { "red", "yellow", "green", "blue", "purple" }
-- In the XMP of every file that neural-isp writes (plugin_core/io/metadata.py).
local NAMESPACE = "https://neural-isp.org/ns/1.0/"
local BLOCK_BYTES = 1 << 20

--- True if the file holds the text.
local function file_holds(path, text)
  local file = io.open(path, "rb")
  if not file then
    return false
  end
  local tail, found = "", false
  while not found do
    local block = file:read(BLOCK_BYTES)
    if not block then
      break
    end
    found = (tail .. block):find(text, 1, true) ~= nil
    tail = block:sub(-#text)
  end
  file:close()
  return found
end

--- The tags of an image that a person sees, by name. One that darktable is taking away just now has no name.
local function visible_tags(image)
  local found = {}
  for _, tag in ipairs(image:get_tags()) do
    local name = tag.name
    if name and name:sub(1, #INTERNAL) ~= INTERNAL then
      found[name] = tag
    end
  end
  return found
end

--- The path of an image's file.
function library.path(image)
  return image.path .. "/" .. image.filename
end

--- nil if the image can be restored, else one line saying why not.
function library.refusal(image)
  -- darktable knows the kind only once it has read the pixels: what it does not know yet, the command line judges
  if not image.is_raw and (image.is_ldr or image.is_hdr) then
    return image.filename .. ": not a raw image"
  end
  for name in pairs(visible_tags(image)) do
    if name:sub(1, #TAG) == TAG then
      return image.filename .. ": is a result of neural-isp already"
    end
  end
  if image.filename:lower():match("%.dng$") and file_holds(library.path(image), NAMESPACE) then
    return image.filename .. ": was written by neural-isp"
  end
  return nil
end

--- The image of this path among those of a film roll; nil if there is none.
local function find(film, path)
  for index = 1, #film do -- not ipairs: past its end a film roll raises an error
    if library.path(film[index]) == path then
      return film[index]
    end
  end
  return nil
end

--- Gives the result the source's tags, and no others: the file may hold some that the person took off.
local function carry_tags(source, result)
  local wanted = visible_tags(source)
  for _, tag in pairs(wanted) do
    dt.tags.attach(tag, result)
  end
  for name, tag in pairs(visible_tags(result)) do
    if not wanted[name] then
      dt.tags.detach(tag, result)
    end
  end
end

local function carry(source, result)
  for _, label in ipairs(LABELS) do
    result[label] = source[label]
  end
  for _, field in ipairs(METADATA) do
    local value = source[field]
    if value ~= nil then
      result[field] = value
    end
  end
  carry_tags(source, result)
end

--- Imports the file at `path`, a result of `source`. Returns the image, a line where something was left out, and what
-- rows.settled has yet to look after: darktable may lose some of it. One that is in the library already stays as it is,
-- with whatever was done to it since.
-- settings: lead, the result becomes its group's leader; history, the source's edit is copied.
function library.adopt(path, source, operation, settings)
  local known = find(source.film, path)
  if known then
    return known, source.filename .. ": was restored before with these options"
  end
  local result = dt.database.import(path)
  if not result then
    return nil, path .. ": written, but darktable could not import it"
  end
  local wish = rows.wish(source, result, settings.lead)
  rows.settled(wish)
  carry(source, result)
  dt.tags.attach(dt.tags.create(TAG .. operation.id), result)
  return result, settings.history and history.copy(source, result) or nil, wish
end

return library
