-- Writes and deletes records, all or none. Joined after `byte_count`, before the scripts that use it.
--
-- The last arguments of such a script are the records, 8 for each: id, the revision it must have
-- (0: none), new revision (0: delete), packed record, vector or '', topic or '', history entry or
-- '', previous topic or ''. A deletion without a history entry deletes the history too.
local RECORD_WIDTH = 8

-- Returns why the records cannot be written, or nil and the number of new ones.
local function check_records(prefix, begin, limit)
  local records, topics = prefix .. 'records', prefix .. 'topics'
  local claimed, added = {}, 0
  for at = begin, #ARGV, RECORD_WIDTH do
    local id, expected, new, topic =
      ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 5]
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
  return nil, added
end

local function write_records(prefix, begin, log_length, history_seconds)
  local records, topics, vectors = prefix .. 'records', prefix .. 'topics', prefix .. 'vectors'
  local bytes = 0
  for at = begin, #ARGV, RECORD_WIDTH do
    local id, new, topic, previous = ARGV[at], tonumber(ARGV[at + 2]), ARGV[at + 5], ARGV[at + 7]
    local history = prefix .. 'history:' .. id
    bytes = bytes - field_bytes(records, {id}) - field_bytes(vectors, {id})
    if previous ~= '' and redis.call('HGET', topics, previous) == id then
      redis.call('HDEL', topics, previous)
    end
    if new > 0 then
      redis.call('HSET', records, id, new .. ' ' .. ARGV[at + 3])
      if topic ~= '' then
        redis.call('HSET', topics, topic, id)
      end
      if ARGV[at + 4] ~= '' then
        redis.call('HSET', vectors, id, ARGV[at + 4])
      end
    else
      redis.call('HDEL', records, id)
      redis.call('HDEL', vectors, id)
    end
    if ARGV[at + 6] ~= '' then
      redis.call('RPUSH', history, ARGV[at + 6])
      redis.call('EXPIRE', history, history_seconds)
    elseif new == 0 then
      redis.call('DEL', history)
    end
    bytes = bytes + field_bytes(records, {id}) + field_bytes(vectors, {id})
    redis.call('XADD', prefix .. 'log', 'MAXLEN', '~', log_length, '0-*', 'record', id)
  end
  add_bytes(prefix, bytes)
end

-- Whether records may have changed after a position of the change log.
local function records_changed(prefix, epoch, sequence)
  if (redis.call('HGET', prefix .. 'user', 'epoch') or '') ~= epoch then
    return true
  end
  local following = sequence + 1
  for _, entry in ipairs(redis.call('XRANGE', prefix .. 'log', '0-' .. following, '+')) do
    if tonumber(string.sub(entry[1], 3)) ~= following or entry[2][1] == 'record' then
      return true
    end
    following = following + 1
  end
  return false
end
