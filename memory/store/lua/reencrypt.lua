-- Replace plain values by encrypted ones, except those that changed since they were read.
--
-- KEYS[1] the user's prefix
-- ARGV    1 'hash', 'list', 'string' or 'topics'   2 the key without the prefix   3 '1' if its bytes
--         are counted   4.. field or index, the value as read, the new value; for topics the
--         topic, its record and its blind index
-- Returns the number of replaced values.
local kind, name, bytes, replaced = ARGV[1], KEYS[1] .. ARGV[2], 0, 0
local read_command = {hash = 'HGET', topics = 'HGET', list = 'LINDEX'}

for at = 4, #ARGV, 3 do
  local field, old, new = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local current
  if kind == 'string' then
    current = redis.call('GET', name)
  else
    current = redis.call(read_command[kind], name, field)
  end
  if current == old then
    if kind == 'hash' then
      redis.call('HSET', name, field, new)
    elseif kind == 'list' then
      redis.call('LSET', name, field, new)
    elseif kind == 'string' then
      redis.call('SET', name, new, 'KEEPTTL')
    else
      redis.call('HDEL', name, field)
      redis.call('HSETNX', name, new, old)
    end
    bytes, replaced = bytes + #new - #old, replaced + 1
  end
end
if ARGV[3] == '1' then
  add_bytes(KEYS[1], bytes)
end
return replaced
