-- SPDX-License-Identifier: Apache-2.0
-- The panel in lighttable and darkroom.

local dt = require "darktable"
local batch = require "neural_isp/lib/batch"
local models = require "neural_isp/lib/models"
local operations = require "neural_isp/lib/operations"
local settings = require "neural_isp/lib/settings"

local panel = {}

local LIB = "neural_isp"
local TITLE = "neural isp"
local DEFAULT_MODEL, ASK = "server's default", "ask for models ..."
local STARTING_MS = 3000
local OUTPUTS = { "", "cfa", "linear" } -- in the order of the combobox

local widgets = {}
local buttons = {} -- operation id -> button
local installed = false
local waiting = false

--- Puts the models into the combobox and selects one; the last entry asks the server for more.
local function fill_models(ids, selected)
  local entries, chosen = { DEFAULT_MODEL }, 1
  for _, id in ipairs(ids) do
    entries[#entries + 1] = id
    if id == selected then
      chosen = #entries
    end
  end
  entries[#entries + 1] = ASK
  for index = #widgets.model, #entries + 1, -1 do
    widgets.model[index] = nil
  end
  for index, entry in ipairs(entries) do
    widgets.model[index] = entry
  end
  widgets.model.selected = chosen
end

local function model()
  local value = widgets.model.value
  return (value == DEFAULT_MODEL or value == ASK) and "" or value
end

local function ask_for_models()
  widgets.status.label = "asking the server for its models"
  local ids, problem = models.fetch("denoise")
  fill_models(ids or {}, "")
  widgets.status.label = problem or string.format("%d models", #ids)
end

local function options()
  local chosen = {
    model = model(),
    strength = widgets.strength.value / 100,
    output = OUTPUTS[widgets.output.selected],
    history = widgets.history.value,
  }
  settings.save_options(chosen)
  chosen.lead = settings.lead()
  return chosen
end

--- Runs an operation on what is selected; its button cancels meanwhile.
function panel.start(operation)
  local button = buttons[operation.id]
  if batch.running then
    dt.print("neural isp: is at work already")
    return
  end
  for _, other in pairs(buttons) do
    other.sensitive = other == button
  end
  button.label = "cancel"
  local ok, problem = pcall(batch.run, operation, dt.gui.action_images, options(), function(line)
    widgets.status.label = line
  end)
  if batch.closing then
    return
  end
  button.label = operation.label
  for _, other in pairs(buttons) do
    other.sensitive = true
  end
  if not ok then
    error(problem, 0) -- darktable prints it
  end
end

local function button_for(operation)
  return dt.new_widget("button") {
    label = operation.label,
    tooltip = operation.tooltip,
    name = "neural-isp-" .. operation.id, -- for themes
    clicked_callback = function()
      if batch.running then
        batch.cancel()
      else
        panel.start(operation)
      end
    end,
  }
end

local function index_of(list, value)
  for index, one in ipairs(list) do
    if one == value then
      return index
    end
  end
  return 1
end

local function make_widgets()
  local last = settings.load_options()
  widgets.model = dt.new_widget("combobox") {
    label = "model",
    tooltip = "the network that restores",
    DEFAULT_MODEL,
    changed_callback = function(self)
      if self.value == ASK then
        ask_for_models()
      end
    end,
  }
  fill_models(last.model ~= "" and { last.model } or {}, last.model)
  widgets.strength = dt.new_widget("slider") {
    label = "strength",
    tooltip = "how much of the noise goes; 0 changes nothing",
    soft_min = 0, soft_max = 100, hard_min = 0, hard_max = 100, step = 1, digits = 0,
    value = last.strength * 100,
  }
  widgets.output = dt.new_widget("combobox") {
    label = "output",
    tooltip = "kind of DNG: a mosaic stays one unless linear is asked for",
    selected = index_of(OUTPUTS, last.output),
    "as the source", "mosaic", "linear (demosaiced)",
  }
  widgets.history = dt.new_widget("check_button") {
    label = "copy history stack",
    tooltip = "the source's edit, without raw levels, white balance, demosaic and denoising",
    value = last.history,
  }
  widgets.status = dt.new_widget("label") { label = "", halign = "start", ellipsize = "end" }
end

local function make_box()
  make_widgets()
  local box = { orientation = "vertical", widgets.model, widgets.strength, widgets.output, widgets.history }
  for _, operation in ipairs(operations) do
    buttons[operation.id] = button_for(operation)
    box[#box + 1] = buttons[operation.id]
  end
  box[#box + 1] = widgets.status
  return dt.new_widget("box")(box)
end

local function install()
  if installed then
    return
  end
  installed = true
  dt.register_lib(LIB, TITLE, true, false, {
    [dt.gui.views.lighttable] = { "DT_UI_CONTAINER_PANEL_RIGHT_CENTER", 20 },
    [dt.gui.views.darkroom] = { "DT_UI_CONTAINER_PANEL_LEFT_CENTER", 20 },
  }, make_box(), nil, nil)
end

--- Shows the panel as soon as that is safe: darktable 4.2.1 crashes if a script registers a panel on its way into
-- darkroom, which is where it goes when started with one image. Then the panel waits for the first visit to lighttable.
function panel.show()
  if installed then
    dt.gui.libs[LIB].visible = true
  elseif dt.gui.current_view().id == "lighttable" then
    install()
  elseif not waiting then
    waiting = true
    dt.register_event(LIB, "view-changed", function(_, _, new_view)
      if new_view.id == "lighttable" then
        install()
      end
    end)
  end
end

--- What luarc calls: preferences, shortcuts and panel, a while later.
-- luarc runs in a thread beside darktable's start. A call that needs the window waits for itself for ever if the
-- window's main loop does not run yet (4.2.1; darktable's own luarc makes one such call). No event tells that it runs.
function panel.start_later()
  dt.control.dispatch(function()
    dt.control.sleep(STARTING_MS)
    settings.register()
    panel.register_shortcuts()
    panel.show()
  end)
end

--- Hides the panel: darktable can't remove one.
function panel.hide()
  if installed then
    dt.gui.libs[LIB].visible = false
  end
end

--- One shortcut for each operation; the person assigns the key.
function panel.register_shortcuts()
  for _, operation in ipairs(operations) do
    dt.register_event(LIB .. "_" .. operation.id, "shortcut", function()
      if installed then
        panel.start(operation)
      else
        dt.print("neural isp: visit lighttable once, then its panel is ready")
      end
    end, "neural isp: " .. operation.label)
  end
end

function panel.destroy_shortcuts()
  for _, operation in ipairs(operations) do
    dt.destroy_event(LIB .. "_" .. operation.id, "shortcut")
  end
end

return panel
