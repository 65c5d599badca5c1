-- Store the beginning of a session as a new one, encrypted for its new place: completely, or not at
-- all.
--
-- KEYS[1] the user's prefix
-- ARGV    1 session id of the original, which must still exist   2 id of the copy   3 time
--         4 log entries to keep   5 number of fields   6.. field, value, ...
--         then message, vector ('' if none), ...
-- Returns the number of messages, -1 if the original was deleted.
local prefix, to, fields = KEYS[1], ARGV[2], tonumber(ARGV[5])
if redis.call('EXISTS', prefix .. 'session:' .. ARGV[1]) == 0 then
  return -1
end
for at = 6, 5 + 2 * fields, 2 do
  redis.call('HSET', prefix .. 'session:' .. to, ARGV[at], ARGV[at + 1])
end
local count, bytes = 0, 0
for at = 6 + 2 * fields, #ARGV, 2 do
  redis.call('RPUSH', prefix .. 'messages:' .. to, ARGV[at])
  if ARGV[at + 1] ~= '' then
    redis.call('HSET', prefix .. 'vectors', to .. ':' .. count, ARGV[at + 1])
  end
  count, bytes = count + 1, bytes + #ARGV[at] + #ARGV[at + 1]
end
redis.call('HSET', prefix .. 'session:' .. to, 'length', count)
redis.call('ZADD', prefix .. 'sessions', ARGV[3], to)
if count > 0 then
  redis.call('XADD', prefix .. 'log', 'MAXLEN', '~', ARGV[4], '0-*',
    'put', to, 'first', 0, 'count', count)
end
add_bytes(prefix, bytes)
return count
