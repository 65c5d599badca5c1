-- Delete a session with its transcript, vectors and summary, and what was drawn from it alone;
-- indexes learn of it from the log.
-- KEYS[1] the user's prefix
-- ARGV    1 session id   2 log entries to keep   3 delete only if last active at this time or
--         earlier, '' for any time; and if records change with it:   4 epoch and 5 position of the
--         change log at which they were read   6 seconds to keep history   7.. the records, see
--         record_writes.lua
-- Returns the number of its messages; -1 if there is no such session, -2 if records have changed.
local prefix, sid = KEYS[1], ARGV[1]
local session, list = prefix .. 'session:' .. sid, prefix .. 'messages:' .. sid
if redis.call('EXISTS', session) == 0 then
  return -1
end
if ARGV[3] ~= '' and tonumber(redis.call('HGET', session, 'active')) > tonumber(ARGV[3]) then
  return -1
end
if ARGV[4] then
  if records_changed(prefix, ARGV[4], tonumber(ARGV[5])) or check_records(prefix, 7, 0) then
    return -2
  end
  write_records(prefix, 7, ARGV[2], ARGV[6])
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
