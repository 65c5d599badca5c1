-- Store or delete items, one after the other; when each began stays as it is.
-- KEYS[1] the user's prefix   ARGV 1 epoch for a new user   2 now   3.. field, packed or ''
local items = KEYS[1] .. 'items'
for at = 3, #ARGV, 2 do
  if ARGV[at + 1] == '' then
    redis.call('HDEL', items, ARGV[at])
  else
    local held = redis.call('HGET', items, ARGV[at])
    local began = held and string.match(held, '^%S+') or ARGV[2]
    redis.call('HSET', items, ARGV[at], began .. ' ' .. ARGV[at + 1])
    redis.call('HSETNX', KEYS[1] .. 'user', 'epoch', ARGV[1])
  end
end
return redis.call('EXISTS', items)
