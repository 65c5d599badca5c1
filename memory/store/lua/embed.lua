-- Store vectors that were made after their messages, where those still exist.
-- KEYS[1] the user's prefix   ARGV 1 log entries to keep   2.. session id, position, vector, ...
local prefix = KEYS[1]
local stored = 0
for index = 2, #ARGV, 3 do
  local sid, position = ARGV[index], ARGV[index + 1]
  local length = redis.call('LLEN', prefix .. 'messages:' .. sid)
  if tonumber(position) < length then
    local vector = sid .. ':' .. position
    weigh(prefix, #ARGV[index + 2] - weight_of(prefix .. 'vectors', {vector}))
    redis.call('HSET', prefix .. 'vectors', vector, ARGV[index + 2])
    redis.call('XADD', prefix .. 'log', 'MAXLEN', '~', ARGV[1], '0-*',
      'put', sid, 'first', position, 'count', 1)
    stored = stored + 1
  end
end
return stored
