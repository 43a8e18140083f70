-- SPDX-License-Identifier: Apache-2.0
-- What is remembered between sessions: two preferences in darktable's dialog (lua options), and the panel's choices.

local dt = require "darktable"

local settings = {}

local MODULE = "neural_isp"

--- The program that the installer found; "neural-isp" from the PATH where it left no word.
local function installed_command()
  local ok, installed = pcall(require, "neural_isp/lib/installed")
  return ok and installed.command or "neural-isp"
end

function settings.register()
  dt.preferences.register(
    MODULE, "command", "string", "neural isp: program",
    "path of the neural-isp command; empty means the one that installed this panel: " .. installed_command(), ""
  )
  dt.preferences.register(
    MODULE, "lead", "bool", "neural isp: restored image leads its group",
    "the restored DNG is the one that is shown when groups are collapsed", true
  )
end

--- The command line's program.
function settings.command()
  local chosen = dt.preferences.read(MODULE, "command", "string")
  return chosen ~= "" and chosen or installed_command()
end

function settings.lead()
  return dt.preferences.read(MODULE, "lead", "bool")
end

--- What the panel last had: model (id, "" for the default), strength 0..1, output ("", "cfa", "linear"), history.
function settings.load_options()
  local strength = 1.0
  if dt.preferences.read(MODULE, "strength_known", "bool") then -- 0 is also what darktable gives for "never set"
    strength = dt.preferences.read(MODULE, "strength", "integer") / 100
  end
  return {
    model = dt.preferences.read(MODULE, "model", "string"),
    strength = strength,
    output = dt.preferences.read(MODULE, "output", "string"),
    history = dt.preferences.read(MODULE, "history", "bool"),
  }
end

function settings.save_options(options)
  dt.preferences.write(MODULE, "model", "string", options.model)
  dt.preferences.write(MODULE, "strength_known", "bool", true)
  dt.preferences.write(MODULE, "strength", "integer", math.floor(options.strength * 100 + 0.5))
  dt.preferences.write(MODULE, "output", "string", options.output)
  dt.preferences.write(MODULE, "history", "bool", options.history)
end

return settings
