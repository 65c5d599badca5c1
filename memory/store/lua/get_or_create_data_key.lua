-- Store a data key for a user who has none; returns the user's data key. At the same instant, the
-- topics of the user's plain records are replaced by their blind indexes, by which they are found.
--
-- KEYS[1] the user's prefix
-- ARGV    1 wrapped data key   2 seconds to keep it while the user has no other data
--         3.. topic, its blind index, ...
-- Returns {data key, {}}, or {'', topics whose blind index is not among the arguments}.
local prefix = KEYS[1]
local stored = redis.call('GET', prefix .. 'key')
if stored then
  return {stored, {}}
end
local indexes, missing = {}, {}
for at = 3, #ARGV, 2 do
  indexes[ARGV[at]] = ARGV[at + 1]
end
local topics = redis.call('HGETALL', prefix .. 'topics')
for at = 1, #topics, 2 do
  if not indexes[topics[at]] then
    missing[#missing + 1] = topics[at]
  end
end
if #missing > 0 then
  return {'', missing}
end
for at = 1, #topics, 2 do
  redis.call('HDEL', prefix .. 'topics', topics[at])
  redis.call('HSET', prefix .. 'topics', indexes[topics[at]], topics[at + 1])
end
redis.call('SET', prefix .. 'key', ARGV[1])
if redis.call('EXISTS', prefix .. 'user') == 0 then
  redis.call('EXPIRE', prefix .. 'key', ARGV[2])
end
return {ARGV[1], {}}
