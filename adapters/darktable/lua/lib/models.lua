-- SPDX-License-Identifier: Apache-2.0
-- The models that the server offers for an operation.

local events = require "neural_isp/lib/events"
local process = require "neural_isp/lib/process"
local settings = require "neural_isp/lib/settings"

local models = {}

--- The ids in the lines of `neural-isp models list --json` whose op is this one.
function models.ids(text, op)
  local ids = {}
  for line in text:gmatch("[^\n]+") do
    if events.field(line, "op") == op then
      ids[#ids + 1] = events.field(line, "id")
    end
  end
  return ids
end

--- Asks the server. Returns the ids, or nil and one line saying what went wrong.
function models.fetch(op)
  local ok, out, err = process.run({ settings.command(), "models", "list", "--json" }, function()
    return false
  end)
  if not ok then
    local _, message = events.failure(err)
    return nil, message
  end
  return models.ids(out, op)
end

return models
