-- Store vectors of messages that are still live; returns how many.
-- KEYS[1] the user's prefix   ARGV 1 log entries to keep   2.. session id, position, vector, ...
local prefix, stored = KEYS[1], 0
for index = 2, #ARGV, 3 do
  local sid, position = ARGV[index], tonumber(ARGV[index + 1])
  local ranges = parse_ranges(redis.call('HGET', prefix .. 'session:' .. sid, 'abandoned'))
  local length = redis.call('LLEN', prefix .. 'messages:' .. sid)
  if #live_runs(ranges, position, math.min(position + 1, length)) > 0 then
    local vector = sid .. ':' .. position
    add_bytes(prefix, #ARGV[index + 2] - field_bytes(prefix .. 'vectors', {vector}))
    redis.call('HSET', prefix .. 'vectors', vector, ARGV[index + 2])
    redis.call('XADD', prefix .. 'log', 'MAXLEN', '~', ARGV[1], '0-*',
      'put', sid, 'first', position, 'count', 1)
    stored = stored + 1
  end
end
return stored
