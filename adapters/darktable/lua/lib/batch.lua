-- SPDX-License-Identifier: Apache-2.0
-- One operation over the selected images, one batch at a time: runs the command line for each job and goes on after a
-- bad file.

local dt = require "darktable"
local events = require "neural_isp/lib/events"
local library = require "neural_isp/lib/library"
local process = require "neural_isp/lib/process"
local rows = require "neural_isp/lib/rows"
local settings = require "neural_isp/lib/settings"
local words = require "neural_isp/lib/words"

-- running: what is at work. closing: darktable is on its way out, and its window must not be touched any more: a call
-- would wait for it with the Lua lock held, and darktable for the lock.
local batch = { running = nil, closing = false }

local SETTLING_MS = 100
local MOST_RESULTS = 99 -- of one source with different options
-- The stages of a job in words, and where each lies within it as shares of the time: that only moves the bar.
local STAGES = {
  starting = { "starting", 0, 0 },
  receive = { "sending", 0, 0.02 },
  queue = { "waiting", 0.02, 0 },
  decode = { "reading", 0.02, 0.08 },
  noise = { "measuring noise", 0.10, 0.03 },
  restore = { "restoring", 0.13, 0.77 },
  write = { "writing", 0.90, 0.09 },
  send = { "fetching", 0.99, 0.01 },
}

local function say(text)
  dt.print("neural isp: " .. text)
  dt.print_log("neural isp: " .. text)
end

--- Ends the running command; the batch stops after it.
function batch.cancel()
  if batch.running then
    batch.running.cancelled = true
  end
end

--- Ends everything at once: darktable is closing.
function batch.stop()
  batch.closing = true
  batch.cancel()
  process.stop_all()
end

local function paths_of(images)
  local paths = {}
  for index, image in ipairs(images) do
    paths[index] = library.path(image)
  end
  return paths
end

--- Passes a command's progress on to darktable's bar and to the panel.
local function show(state, index, name, err)
  if batch.closing then
    return
  end
  local line = events.last(err, "progress")
  local stage = line and STAGES[events.field(line, "stage")] or STAGES.starting
  local fraction = line and events.field(line, "fraction") or 0
  if state.job and not state.cancelled then
    state.job.percent = (index - 1 + stage[2] + stage[3] * fraction) / state.count
  end
  local text = stage[1]
  if state.cancelled then
    text = "cancelling"
  elseif stage == STAGES.restore then
    text = string.format("%s %d %%", text, math.floor(fraction * 100))
  end
  state.report(string.format("%d of %d, %s: %s", index, state.count, text, name))
end

--- Runs one job to its result. Returns its path, or nil and one line saying what went wrong.
-- A name that is taken by something else, or by a result of other options, is left alone: the next number is tried.
local function run_job(state, index, job)
  local paths = paths_of(job.sources)
  local reason, message
  for number = 1, MOST_RESULTS do
    local target = words.target(library.path(job.anchor), state.operation.suffix, number)
    local list = state.operation.arguments(paths, target, state.options)
    table.insert(list, 1, settings.command())
    local ok, _, err = process.run(list, function(text)
      show(state, index, job.anchor.filename, text)
      return state.cancelled
    end)
    if ok then
      return target
    end
    reason, message = events.failure(err)
    if state.cancelled or reason ~= "OUTPUT_EXISTS" then
      break
    end
  end
  return nil, message
end

--- Looks after the results of which darktable may still lose something; not any more while it closes.
local function settle(state)
  local open = {}
  for _, wish in ipairs(batch.closing and {} or state.wishes) do
    local ok, settled = pcall(rows.settled, wish)
    if not ok then -- one of its images was removed meanwhile
      dt.print_log("neural isp: " .. tostring(settled))
    elseif not settled then
      open[#open + 1] = wish
    end
  end
  state.wishes = open
end

local function work(state, jobs)
  for index, job in ipairs(jobs) do
    if state.cancelled or batch.closing then
      break
    end
    local target, failure = run_job(state, index, job)
    local result, note, wish
    if target then
      result, note, wish = library.adopt(target, job.anchor, state.operation, state.options)
    else
      note = failure
    end
    if result then
      state.done = state.done + 1
    elseif not state.cancelled then
      state.failed = state.failed + 1
    end
    if note and not state.cancelled then
      state.note = state.note or note
      say(note)
    end
    if wish then
      for _, earlier in ipairs(state.wishes) do
        rows.leave_group(earlier, wish)
      end
      state.wishes[#state.wishes + 1] = wish
    end
    settle(state)
  end
  while #state.wishes > 0 do
    state.report("importing")
    dt.control.sleep(SETTLING_MS)
    settle(state)
  end
end

local function closing_line(state)
  local parts = { string.format("%d restored", state.done) }
  if state.failed > 0 then
    parts[#parts + 1] = string.format("%d failed", state.failed)
  end
  if state.left_out > 0 then
    parts[#parts + 1] = string.format("%d left out", state.left_out)
  end
  if state.cancelled then
    parts[#parts + 1] = "cancelled"
  end
  return table.concat(parts, ", ") .. (state.note and "\n" .. state.note or "")
end

local function begin(operation, options, count, report)
  local state = { operation = operation, options = options, count = count, report = report }
  state.done, state.failed, state.cancelled, state.wishes = 0, 0, false, {}
  local title = string.format("neural isp: %s, %d image%s", operation.label, count, count == 1 and "" or "s")
  -- the job is not ended in here: darktable 4.2.1 still unlocks its mutex after this call (control/progress.c)
  state.job = dt.gui.create_job(title, true, function()
    state.cancelled = true
  end)
  return state
end

--- The images that can be restored, and why the first of the others can't.
local function fitting(images)
  local fit, refusal = {}, nil
  for _, image in ipairs(images) do
    local why = library.refusal(image)
    if why then
      refusal = refusal or why
      say(why)
    else
      fit[#fit + 1] = image
    end
  end
  return fit, refusal
end

--- Runs an operation over images; returns when all is done. report(line) is told what goes on.
-- options: what the operation's arguments take, and lead and history for the library.
function batch.run(operation, images, options, report)
  if batch.running then
    say("is at work already")
    return
  end
  local fit, refusal = fitting(images)
  local jobs, what = operation.jobs(fit)
  if not jobs then
    report(refusal or what)
    say(refusal or what)
    return
  end
  local state = begin(operation, options, #jobs, report)
  state.note, state.left_out = refusal, #images - #fit
  batch.running = state
  local ok, problem = pcall(work, state, jobs)
  batch.running = nil
  if batch.closing then
    return
  end
  if state.job.valid then
    state.job.valid = false
  end
  local line = ok and closing_line(state) or "stopped: " .. tostring(problem)
  report(line)
  say(line)
end

return batch
