-- Write or delete records, with their vectors, topics and histories: all of them, or none.
--
-- KEYS[1] the user's prefix
-- ARGV    1 epoch for a new user   2 log entries to keep   3 seconds to keep history
--         4 the most records, 0 for any number
--         5 the session that they were drawn from, or ''   6 up to where it was extracted   7 up to
--         where it is now   8 how it went   9 how many drawn ones were of no use
--         10 the epoch that the user must have, '' for any
--         then for each record:
--         id, the revision it must have (0: none), new revision (0: delete), packed, vector or '',
--         topic or '', history or '', the topic it had or ''
local prefix, each, begin = KEYS[1], 8, 11
local records, topics = prefix .. 'records', prefix .. 'topics'
local most, added, bytes = tonumber(ARGV[4]), 0, 0

if ARGV[10] ~= '' and ARGV[10] ~= redis.call('HGET', prefix .. 'user', 'epoch') then
  return {'erased'}
end
local session = prefix .. 'session:' .. ARGV[5]
if ARGV[5] ~= '' then
  local length, upto = unpack(redis.call('HMGET', session, 'length', 'extracted_upto'))
  if not length then
    return {'gone'}
  end
  if tonumber(upto or 0) ~= tonumber(ARGV[6]) then
    return {'passed'}
  end
end

local taken = {}
for at = begin, #ARGV, each do
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

for at = begin, #ARGV, each do
  local id, new, topic, had = ARGV[at], tonumber(ARGV[at + 2]), ARGV[at + 5], ARGV[at + 7]
  bytes = bytes - field_bytes(records, {id}) - field_bytes(prefix .. 'vectors', {id})
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
  bytes = bytes + field_bytes(records, {id}) + field_bytes(prefix .. 'vectors', {id})
  redis.call('XADD', prefix .. 'log', 'MAXLEN', '~', ARGV[2], '0-*', 'record', id)
end
if ARGV[5] ~= '' then
  redis.call('HSET', session, 'extracted_upto', ARGV[7])
  redis.call('HINCRBY', prefix .. 'extraction', ARGV[8], 1)
  redis.call('HINCRBY', prefix .. 'extraction', 'useless', ARGV[9])
end
redis.call('HSETNX', prefix .. 'user', 'epoch', ARGV[1])
add_bytes(prefix, bytes)
return {'ok', added}
