-- SPDX-License-Identifier: Apache-2.0
-- One run of the command line: darktable stays free meanwhile, its progress is passed on, and it can be ended.

local dt = require "darktable"
local words = require "neural_isp/lib/words"

local process = {}

local TICK_MS = 250
local running = {} -- run -> true

local function read(path)
  local file = io.open(path, "rb")
  if not file then
    return ""
  end
  local text = file:read("a")
  file:close()
  return text
end

--- Tells a run's command to end, once: a second SIGTERM would cut the command's own clearing up short.
local function stop(run)
  local pid = read(run.pid_file):match("^(%d+)\n")
  if pid and not run.told then
    run.told = true
    os.execute("kill -TERM " .. pid .. " 2>/dev/null")
  end
end

--- Looks after a run from a second coroutine, since the first one waits for the command's end.
local function watch(run, tick)
  dt.control.dispatch(function()
    while not run.ended do
      if tick(read(run.err_file)) then
        stop(run)
      end
      dt.control.sleep(TICK_MS)
    end
  end)
end

--- Ends every running command: when darktable closes it stops coroutines and would wait for the command.
function process.stop_all()
  for run in pairs(running) do
    stop(run)
  end
end

--- Runs the words to their end and returns whether that went well, stdout and stderr.
-- tick(stderr so far) is called a few times a second; when it returns true the command gets a SIGTERM.
-- The shell becomes the command (exec), so its process id is the command's.
function process.run(list, tick)
  local run = { pid_file = os.tmpname(), out_file = os.tmpname(), err_file = os.tmpname(), ended = false, told = false }
  running[run] = true
  watch(run, tick)
  local status = dt.control.execute(string.format(
    "echo $$ >%s; exec %s </dev/null >%s 2>%s",
    words.quote(run.pid_file), words.command_line(list), words.quote(run.out_file), words.quote(run.err_file)
  ))
  run.ended = true
  running[run] = nil
  local out, err = read(run.out_file), read(run.err_file)
  os.remove(run.pid_file)
  os.remove(run.out_file)
  os.remove(run.err_file)
  return status == 0, out, err
end

return process
