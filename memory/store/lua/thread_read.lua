-- Read one checkpoint of a thread and what was written after it.
-- KEYS[1] the user's prefix   ARGV 1 thread   2 namespace   3 the checkpoint's name, '' for the latest
-- Answers {name, packed, {field, write, field, write ...}}, or {}.
local thread, name = KEYS[1] .. 'thread:' .. ARGV[1] .. ':', ARGV[3]
if name == '' then
  local first, last = '[' .. ARGV[2] .. ':', '[' .. ARGV[2] .. ':\255'
  name = redis.call('ZREVRANGEBYLEX', thread .. 'ids', last, first, 'LIMIT', 0, 1)[1]
end
local packed = name and redis.call('HGET', thread .. 'checkpoints', name)
if not packed then
  return {}
end
return {name, packed, redis.call('HGETALL', thread .. 'writes:' .. name)}
