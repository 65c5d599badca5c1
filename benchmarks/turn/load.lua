-- The wrk script of load.py: each thread is a client with one connection and a user of its own.
-- Arguments: path, prefix of users' names, number of the last turn, rest of each body, file of
-- sentences.
local clients = 0

function setup(thread)
  thread:set("client", clients)
  clients = clients + 1
end

function init(args)
  path, name, turn, rest = args[1], args[2], tonumber(args[3]), args[4]
  texts = {}
  for line in io.lines(args[5]) do
    texts[#texts + 1] = line
  end
  headers = { ["Content-Type"] = "application/json" }
end

function request()
  turn = turn + 1
  local user = name .. client
  local text = texts[(turn * 31 + client * 7) % #texts + 1]
  local body = string.format(
    '{"user_id":"%s","message":"%s #%s-%d#"%s}', user, text, user, turn, rest)
  return wrk.format("POST", path, headers, body)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\nJSON {"turns":%d,"seconds":%.6f,"errors":%d,"latencies":[', summary.requests,
    summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
  for place = 1, #latency do
    local microseconds, count = latency(place)
    io.write(string.format('%s[%d,%d]', place > 1 and "," or "", microseconds, count))
  end
  io.write("]}\n")
end
