-- Store a user's data key as another master key wraps it, if it is still what was read.
-- KEYS[1] the user's prefix   ARGV 1 as it was read   2 as it shall be
local key = KEYS[1] .. 'key'
if redis.call('GET', key) ~= ARGV[1] then
  return 0
end
redis.call('SET', key, ARGV[2], 'KEEPTTL')
return 1
