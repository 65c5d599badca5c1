-- Write or delete records with their vectors, topics and histories: all of them, or none.
--
-- KEYS[1] the user's prefix
-- ARGV    1 epoch for a new user   2 log entries to keep   3 seconds to keep history
--         4 maximum number of records, 0 for any
--         5 session that they were extracted from, or ''   6 its extracted_upto as read
--         7 its new extracted_upto   8 outcome of the extraction   9 number of useless records
--         10 the epoch that the user must have, '' for any
--         11.. for each record: id, the revision it must have (0: none), new revision (0: delete),
--         packed record, vector or '', topic or '', history entry or '', previous topic or ''
-- Returns {'ok', number of new records}, or the reason of a refusal.
local prefix, width, begin = KEYS[1], 8, 11
local records, topics = prefix .. 'records', prefix .. 'topics'
local limit, added, bytes = tonumber(ARGV[4]), 0, 0

if ARGV[10] ~= '' and ARGV[10] ~= redis.call('HGET', prefix .. 'user', 'epoch') then
  return {'erased'}
end
local session = prefix .. 'session:' .. ARGV[5]
if ARGV[5] ~= '' then
  local length, extracted_upto = unpack(redis.call('HMGET', session, 'length', 'extracted_upto'))
  if not length then
    return {'gone'}
  end
  if tonumber(extracted_upto or 0) ~= tonumber(ARGV[6]) then
    return {'passed'}
  end
end

local claimed = {}
for at = begin, #ARGV, width do
  local id, expected, new, topic = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 5]
  local stored = redis.call('HGET', records, id)
  local revision = stored and tonumber(string.match(stored, '^%d+')) or 0
  if new == 0 and revision == 0 then
    return {'unknown', id}
  end
  if expected ~= revision then
    return {'conflict', id}
  end
  if topic ~= '' and new > 0 then
    local holder = claimed[topic] or redis.call('HGET', topics, topic)
    if holder and holder ~= id then
      return {'topic', holder}
    end
    claimed[topic] = id
  end
  if new > 0 and revision == 0 then
    added = added + 1
  end
end
if limit > 0 and added > 0 and redis.call('HLEN', records) + added > limit then
  return {'full', limit}
end

for at = begin, #ARGV, width do
  local id, new, topic, previous = ARGV[at], tonumber(ARGV[at + 2]), ARGV[at + 5], ARGV[at + 7]
  bytes = bytes - field_bytes(records, {id}) - field_bytes(prefix .. 'vectors', {id})
  if previous ~= '' and redis.call('HGET', topics, previous) == id then
    redis.call('HDEL', topics, previous)
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
