-- Seal plain values where they lie, each unless it was changed since it was read.
--
-- KEYS[1] the user's prefix
-- ARGV    1 'hash', 'list', 'string' or 'topics'   2 the key, behind the prefix   3 '1' if its bytes
--         are counted   4.. field or index, the value as read, the value as it shall be; of topics the
--         topic, its record, and its mask
local sort, name, bytes, sealed = ARGV[1], KEYS[1] .. ARGV[2], 0, 0
local read = {hash = 'HGET', topics = 'HGET', list = 'LINDEX'}

for at = 4, #ARGV, 3 do
  local field, old, new = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local now
  if sort == 'string' then
    now = redis.call('GET', name)
  else
    now = redis.call(read[sort], name, field)
  end
  if now == old then
    if sort == 'hash' then
      redis.call('HSET', name, field, new)
    elseif sort == 'list' then
      redis.call('LSET', name, field, new)
    elseif sort == 'string' then
      redis.call('SET', name, new, 'KEEPTTL')
    else
      redis.call('HDEL', name, field)
      redis.call('HSETNX', name, new, old)
    end
    bytes, sealed = bytes + #new - #old, sealed + 1
  end
end
if ARGV[3] == '1' then
  add_bytes(KEYS[1], bytes)
end
return sealed
