-- SPDX-License-Identifier: Apache-2.0
-- One run of the command line: darktable stays free meanwhile, its progress is passed on, and it can be ended.

local dt = require "darktable"
local words = require "neural_isp/lib/words"

local process = {}

local TICK_MS = 250

local function read(path)
  local file = io.open(path, "rb")
  if not file then
    return ""
  end
  local text = file:read("a")
  file:close()
  return text
end

--- Looks after a run from a second coroutine, since the first one waits for the command's end.
local function watch(run, pid_file, err_file, tick)
  dt.control.dispatch(function()
    while not run.ended do
      local stop = tick(read(err_file)) or dt.control.ending
      local pid = read(pid_file):match("^(%d+)\n")
      if stop and pid and not run.told then
        run.told = true -- once: a second SIGTERM would cut the command's own clearing up short
        os.execute("kill -TERM " .. pid .. " 2>/dev/null")
      end
      dt.control.sleep(TICK_MS)
    end
  end)
end

--- Runs the words to their end and returns whether that went well, stdout and stderr.
-- tick(stderr so far) is called a few times a second; when it returns true the command gets a SIGTERM.
-- The shell becomes the command (exec), so its process id is the command's.
function process.run(list, tick)
  local pid_file, out_file, err_file = os.tmpname(), os.tmpname(), os.tmpname()
  local run = { ended = false, told = false }
  watch(run, pid_file, err_file, tick)
  local status = dt.control.execute(string.format(
    "echo $$ >%s; exec %s </dev/null >%s 2>%s",
    words.quote(pid_file), words.command_line(list), words.quote(out_file), words.quote(err_file)
  ))
  run.ended = true
  local out, err = read(out_file), read(err_file)
  os.remove(pid_file)
  os.remove(out_file)
  os.remove(err_file)
  return status == 0, out, err
end

return process
