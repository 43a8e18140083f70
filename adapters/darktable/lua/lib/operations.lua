-- SPDX-License-Identifier: Apache-2.0
-- What the panel can do, one entry each; a new operation of the command line is a new entry here, nothing else.
-- Pure Lua: no darktable in here.
--
--   id         the subcommand, and the last part of the tag that results get
--   label      of the button
--   tooltip    of the button
--   suffix     of the result's name, before .dng
--   jobs       images -> list of { sources = {image, ...}, anchor = image }: one result each, beside its anchor,
--              whose rating, labels, tags and metadata it takes; or nil and one line saying what to select instead
--   arguments  paths, target, options -> words after "neural-isp"

local words = require "neural_isp/lib/words"

--- One job for each file; duplicates of an image share a file and give one result.
local function one_each(images)
  local jobs, seen = {}, {}
  for _, image in ipairs(images) do
    local path = image.path .. "/" .. image.filename
    if not seen[path] then
      seen[path] = true
      jobs[#jobs + 1] = { sources = { image }, anchor = image }
    end
  end
  if #jobs == 0 then
    return nil, "select one or more raw images"
  end
  return jobs
end

local denoise = {
  id = "denoise",
  label = "restore",
  tooltip = "write a DNG with less noise beside each selected raw, import it and group it with its source",
  suffix = "_neural-isp",
  jobs = one_each,
}

--- options: strength 0..1; model, an id or "" for the server's default; output, "cfa", "linear" or "" as the source.
function denoise.arguments(paths, target, options)
  local list = { "denoise", paths[1], "-o", target, "--strength", words.share(options.strength) }
  for option, value in pairs { ["--model"] = options.model, ["--output"] = options.output } do
    if value ~= "" then
      list[#list + 1] = option
      list[#list + 1] = value
    end
  end
  list[#list + 1] = "--progress"
  list[#list + 1] = "json"
  return list
end

return { denoise }
