-- Add to what was used in a day, and tell it.
-- KEYS[1] the day's key   ARGV 1 calls   2 tokens   3 seconds to keep it
if ARGV[1] ~= '0' or ARGV[2] ~= '0' then
  redis.call('HINCRBY', KEYS[1], 'calls', ARGV[1])
  redis.call('HINCRBY', KEYS[1], 'tokens', ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
local used = redis.call('HMGET', KEYS[1], 'calls', 'tokens')
return {tonumber(used[1] or 0), tonumber(used[2] or 0)}
