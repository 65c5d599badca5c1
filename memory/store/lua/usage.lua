-- Add to what was used in a day, and tell it.
-- KEYS[1] the day's key   ARGV 1 calls   2 tokens   3 seconds to keep it
--         4 a name under which it is added once, or ''   5 seconds to remember that
local adds = ARGV[1] ~= '0' or ARGV[2] ~= '0'
if adds and ARGV[4] ~= '' then
  adds = redis.call('SET', KEYS[1] .. ':' .. ARGV[4], '1', 'NX', 'EX', ARGV[5])
end
if adds then
  redis.call('HINCRBY', KEYS[1], 'calls', ARGV[1])
  redis.call('HINCRBY', KEYS[1], 'tokens', ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
local used = redis.call('HMGET', KEYS[1], 'calls', 'tokens')
return {tonumber(used[1] or 0), tonumber(used[2] or 0)}
