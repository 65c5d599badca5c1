-- Delete a session: its transcript, its vectors, its fold; every view hears of it through the log.
-- KEYS[1] the user's prefix
-- ARGV    1 session id   2 log entries to keep   3 only if it was last active then or before, ''
local prefix, sid = KEYS[1], ARGV[1]
local session, list = prefix .. 'session:' .. sid, prefix .. 'messages:' .. sid
if redis.call('EXISTS', session) == 0 then
  return -1
end
if ARGV[3] ~= '' and tonumber(redis.call('HGET', session, 'active')) > tonumber(ARGV[3]) then
  return -1
end
local length, bytes = redis.call('LLEN', list), 0
for first = 0, length - 1, 1000 do
  local ids = {}
  for position = first, math.min(first + 999, length - 1) do
    ids[#ids + 1] = sid .. ':' .. position
    redis.call('DEL', prefix .. 'shown:' .. sid .. '.' .. position)
  end
  for _, message in ipairs(redis.call('LRANGE', list, first, first + 999)) do
    bytes = bytes + #message
  end
  bytes = bytes + field_bytes(prefix .. 'vectors', ids)
  redis.call('HDEL', prefix .. 'vectors', unpack(ids))
end
redis.call('DEL', session, list)
add_bytes(prefix, -bytes)
redis.call('ZREM', prefix .. 'sessions', sid)
redis.call('XADD', prefix .. 'log', 'MAXLEN', '~', ARGV[2], '0-*', 'drop', sid)
return length
