-- Give a user a data key, or tell the one that there is. The topics of a user who had none are masked
-- at the same instant, because they are found by what stands for them.
--
-- KEYS[1] the user's prefix
-- ARGV    1 the data key   2 seconds to keep it while nothing else is stored of the user
--         3.. topic, its mask, topic, its mask ...
-- Answers {the user's data key, topics without a mask}: the key is '' if some are not given
local prefix = KEYS[1]
local held = redis.call('GET', prefix .. 'key')
if held then
  return {held, {}}
end
local masks, left = {}, {}
for at = 3, #ARGV, 2 do
  masks[ARGV[at]] = ARGV[at + 1]
end
local topics = redis.call('HGETALL', prefix .. 'topics')
for at = 1, #topics, 2 do
  if not masks[topics[at]] then
    left[#left + 1] = topics[at]
  end
end
if #left > 0 then
  return {'', left}
end
for at = 1, #topics, 2 do
  redis.call('HDEL', prefix .. 'topics', topics[at])
  redis.call('HSET', prefix .. 'topics', masks[topics[at]], topics[at + 1])
end
redis.call('SET', prefix .. 'key', ARGV[1])
if redis.call('EXISTS', prefix .. 'user') == 0 then
  redis.call('EXPIRE', prefix .. 'key', ARGV[2])
end
return {ARGV[1], {}}
