-- Claim a request that names itself, or say what became of it.
-- KEYS[1] the user's prefix   ARGV 1 name   2 claim   3 milliseconds that the claim holds
local key = KEYS[1] .. 'once:' .. ARGV[1]
local found = redis.call('GET', key)
if found then
  return found
end
redis.call('SET', key, ARGV[2], 'PX', ARGV[3])
return false
