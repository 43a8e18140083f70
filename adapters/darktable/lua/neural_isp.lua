-- SPDX-License-Identifier: Apache-2.0
--[[
  neural isp: less noise in raw images.
]]
--[[
  Restores the selected raw images with the neural-isp command line: each gets a DNG beside it, imported, grouped with
  its source, with its rating, colour labels, tags and metadata. Panel in lighttable and darkroom, shortcut and
  preferences.

  Installed by: neural-isp darktable install --lua
]]

local dt = require "darktable"

local LEAST_API = 9 -- darktable 4.2

local script = {
  metadata = {
    name = "neural isp",
    purpose = "restore raw images to DNGs with less noise",
    author = "the neural-isp authors",
    help = "neural-isp darktable --help",
  },
  destroy_method = "hide", -- darktable can't remove a panel
  destroy = function() end,
  restart = function() end,
  show = function() end,
}

if dt.configuration.api_version_major < LEAST_API then
  dt.print_error("neural isp: needs darktable 4.2 or newer")
elseif dt.configuration.running_os == "windows" then
  dt.print_error("neural isp: the panel runs on Linux and macOS only")
elseif dt.configuration.has_gui then -- luarc is also run by darktable-cli
  local panel = require "neural_isp/lib/panel"
  panel.start_later()
  dt.register_event("neural_isp_exit", "exit", require("neural_isp/lib/batch").stop)
  script.destroy = function()
    panel.hide()
    panel.destroy_shortcuts()
  end
  script.restart = function()
    panel.register_shortcuts()
    panel.show()
  end
  script.show = panel.show
end

return script
