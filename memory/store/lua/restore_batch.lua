-- Restore a batch of an export: completely, once, or not at all. Existing data stay as they are.
--
-- KEYS[1] the user's prefix
-- ARGV    1 import id   2 lines stored before   3 lines after   4 seconds to remember the import
--         5 epoch for a new user   6 log entries to keep   7.. pieces, which begin with their kind:
--         'session', id, number of fields, field, value, ...
--         'messages', session id, first position, count, message, vector or '', ...
--         'record', id, revision and packed record, topic or '', vector or ''
--         'step', record id, number, packed step, seconds to keep the history
-- Returns {'ok'}, or {'conflict', stored lines}, or the kind and id of what exists already.
local prefix = KEYS[1]
local import = prefix .. 'import:' .. ARGV[1]
local stored = tonumber(redis.call('HGET', import, 'lines') or 0)
if stored == tonumber(ARGV[3]) and stored > tonumber(ARGV[2]) then
  return {'ok'}
end
if stored ~= tonumber(ARGV[2]) then
  return {'conflict', stored}
end

local function for_each_piece(handle)
  local at = 7
  while at <= #ARGV do
    local kind, id = ARGV[at], ARGV[at + 1]
    local refused = handle[kind](id, at + 2)
    if refused then
      return refused
    end
    if kind == 'session' then
      at = at + 3 + 2 * tonumber(ARGV[at + 2])
    elseif kind == 'messages' then
      at = at + 4 + 2 * tonumber(ARGV[at + 3])
    else
      at = at + 5
    end
  end
end

local function session(id) return prefix .. 'session:' .. id end
local function messages(id) return prefix .. 'messages:' .. id end
local function history(id) return prefix .. 'history:' .. id end
local new, topics = {}, {}

local refused = for_each_piece({
  session = function(id)
    if redis.call('EXISTS', session(id)) == 1 then
      return {'session', id}
    end
    new[id] = true
  end,
  messages = function(id, at)
    local length = redis.call('LLEN', messages(id))
    local exists = new[id] or redis.call('EXISTS', session(id)) == 1
    if not exists or length ~= tonumber(ARGV[at]) then
      return {'changed', id}
    end
  end,
  record = function(id, at)
    if redis.call('HEXISTS', prefix .. 'records', id) == 1 then
      return {'memory', id}
    end
    local topic = ARGV[at + 1]
    if topic ~= '' then
      local holder = topics[topic] or redis.call('HGET', prefix .. 'topics', topic)
      if holder then
        return {'topic', holder}
      end
      topics[topic] = id
    end
  end,
  step = function(id, at)
    if ARGV[at] == '0' and redis.call('EXISTS', history(id)) == 1 then
      return {'memory', id}
    end
  end,
})
if refused then
  return refused
end

local bytes = 0
local function log(...)
  redis.call('XADD', prefix .. 'log', 'MAXLEN', '~', ARGV[6], '0-*', ...)
end

for_each_piece({
  session = function(id, at)
    for field = at + 1, at + 2 * tonumber(ARGV[at]), 2 do
      redis.call('HSET', session(id), ARGV[field], ARGV[field + 1])
    end
    redis.call('HSET', session(id), 'length', 0)
    local time, active = redis.call('TIME'), redis.call('HGET', session(id), 'active')
    if tonumber(active) > tonumber(time[1]) + 1 then -- as in commit_turn.lua
      active = string.format('%.6f', time[1] + time[2] / 1000000)
      redis.call('HSET', session(id), 'active', active)
    end
    redis.call('ZADD', prefix .. 'sessions', active, id)
  end,
  messages = function(id, at)
    local first, count = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
    for offset = 0, count - 1 do
      redis.call('RPUSH', messages(id), ARGV[at + 2 + 2 * offset])
      local vector = ARGV[at + 3 + 2 * offset]
      bytes = bytes + #ARGV[at + 2 + 2 * offset] + #vector
      if vector ~= '' then
        redis.call('HSET', prefix .. 'vectors', id .. ':' .. (first + offset), vector)
      end
    end
    redis.call('HSET', session(id), 'length', first + count)
    log('put', id, 'first', first, 'count', count)
    for _, range in ipairs(parse_ranges(redis.call('HGET', session(id), 'abandoned'))) do
      local from, upto = math.max(first, range[1]), math.min(first + count, range[2])
      if from < upto then
        log('abandon', id, 'first', from, 'count', upto - from)
      end
    end
  end,
  record = function(id, at)
    redis.call('HSET', prefix .. 'records', id, ARGV[at])
    bytes = bytes + #ARGV[at] + #ARGV[at + 2]
    if ARGV[at + 1] ~= '' then
      redis.call('HSET', prefix .. 'topics', ARGV[at + 1], id)
    end
    if ARGV[at + 2] ~= '' then
      redis.call('HSET', prefix .. 'vectors', id, ARGV[at + 2])
    end
    log('record', id)
  end,
  step = function(id, at)
    redis.call('RPUSH', history(id), ARGV[at + 1])
    redis.call('EXPIRE', history(id), ARGV[at + 2])
  end,
})
redis.call('HSETNX', prefix .. 'user', 'epoch', ARGV[5])
add_bytes(prefix, bytes)
redis.call('HSET', import, 'lines', ARGV[3])
redis.call('EXPIRE', import, ARGV[4])
return {'ok'}
