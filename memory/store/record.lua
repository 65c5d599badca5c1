-- Write or delete records, with their vectors, topics and histories: all of them, or none.
--
-- KEYS[1] the user's prefix
-- ARGV    1 epoch for a new user   2 log entries to keep   3 seconds to keep history
--         4 the most records, 0 for any number; then for each record:
--         id, the revision it must have (0: none), new revision (0: delete), packed, vector or '',
--         topic or '', history or '', the topic it had or ''
local prefix, each = KEYS[1], 8
local records, topics = prefix .. 'records', prefix .. 'topics'
local most, added = tonumber(ARGV[4]), 0

local taken = {}
for at = 5, #ARGV, each do
  local id, wanted, new, topic = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 5]
  local stored = redis.call('HGET', records, id)
  local revision = stored and tonumber(string.match(stored, '^%d+')) or 0
  if new == 0 and revision == 0 then
    return {'unknown', id}
  end
  if wanted ~= revision then
    return {'conflict', id}
  end
  if topic ~= '' and new > 0 then
    local holder = taken[topic] or redis.call('HGET', topics, topic)
    if holder and holder ~= id then
      return {'topic', holder}
    end
    taken[topic] = id
  end
  if new > 0 and revision == 0 then
    added = added + 1
  end
end
if most > 0 and added > 0 and redis.call('HLEN', records) + added > most then
  return {'full', most}
end

for at = 5, #ARGV, each do
  local id, new, topic, had = ARGV[at], tonumber(ARGV[at + 2]), ARGV[at + 5], ARGV[at + 7]
  if had ~= '' and redis.call('HGET', topics, had) == id then
    redis.call('HDEL', topics, had)
  end
  if new > 0 then
    redis.call('HSET', records, id, new .. ' ' .. ARGV[at + 3])
    if topic ~= '' then
      redis.call('HSET', topics, topic, id)
    end
    if ARGV[at + 4] ~= '' then
      redis.call('HSET', prefix .. 'vectors', id, ARGV[at + 4])
    end
  else
    redis.call('HDEL', records, id)
    redis.call('HDEL', prefix .. 'vectors', id)
  end
  if ARGV[at + 6] ~= '' then
    redis.call('RPUSH', prefix .. 'history:' .. id, ARGV[at + 6])
    redis.call('EXPIRE', prefix .. 'history:' .. id, ARGV[3])
  end
  redis.call('XADD', prefix .. 'log', 'MAXLEN', '~', ARGV[2], '0-*', 'record', id)
end
redis.call('HSETNX', prefix .. 'user', 'epoch', ARGV[1])
return {'ok', added}
