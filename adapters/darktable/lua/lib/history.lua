-- SPDX-License-Identifier: Apache-2.0
-- The source's edit on its restored twin, without the steps that belong to the source's own samples.

local dt = require "darktable"

local history = {}

-- Levels and white balance are the file's own; noise is gone already; a demosaic may not fit the result's kind.
local LEFT_OUT = {
  rawprepare = true,
  temperature = true,
  demosaic = true,
  rawdenoise = true,
  denoiseprofile = true,
  nlmeans = true,
  neuralisp = true,
}

--- A .dtstyle's text without the steps that must not be copied, and how many are left.
function history.filter(text)
  local left = 0
  local filtered = text:gsub("<plugin>.-</plugin>", function(step)
    if LEFT_OUT[step:match("<operation>(.-)</operation>")] then
      return ""
    end
    left = left + 1
    return nil
  end)
  return filtered, left
end

--- True if the sidecar lists drawn masks: a style loses the shapes, and its steps would then act on the whole picture.
local function has_drawn_masks(image)
  local file = io.open(image.sidecar, "rb")
  if not file then
    return false
  end
  local text = file:read("a")
  file:close()
  return text:find("darktable:mask_id=", 1, true) ~= nil
end

local function style_named(name)
  for index = 1, #dt.styles do
    if dt.styles[index].name == name then
      return dt.styles[index]
    end
  end
  return nil
end

--- Deletes the style, and the tag by which darktable notes that it was applied.
local function delete_style(name)
  local style, tag = style_named(name), dt.tags.find("darktable|style|" .. name)
  if style then
    dt.styles.delete(style)
  end
  if tag then
    dt.tags.delete(tag)
  end
end

--- Writes the filtered history of `source` as a style of that name to `path`. Returns how many steps it has.
local function write_filtered(source, name, path)
  source:create_style(name, "")
  local style = style_named(name)
  if not style then
    return 0
  end
  dt.styles.export(style, dt.configuration.tmp_dir, true)
  dt.styles.delete(style)
  local file = io.open(path, "rb")
  if not file then
    return 0
  end
  local text, left = history.filter(file:read("a"))
  file:close()
  file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return left
end

--- Copies the edit of `source` to `result`. Returns nil, or one line saying why it was not copied.
-- Lua has no other way to copy part of a history: a style is made, exported, filtered, read back, applied and deleted.
function history.copy(source, result)
  if not source.is_altered then
    return nil
  end
  if has_drawn_masks(source) then
    return source.filename .. ": history not copied, it has drawn masks"
  end
  local name = string.format("neural-isp-%d-%d-%d", source.id, result.id, os.time())
  local path = dt.configuration.tmp_dir .. "/" .. name .. ".dtstyle"
  local left = write_filtered(source, name, path)
  if left > 0 then
    dt.styles.import(path)
    local style = style_named(name)
    if style then
      result:apply_style(style)
    else
      left = -1
    end
  end
  delete_style(name)
  os.remove(path)
  return left < 0 and source.filename .. ": history could not be copied" or nil
end

return history
