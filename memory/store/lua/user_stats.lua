-- How much is stored of a user. KEYS[1] the user's prefix
-- Returns the numbers of sessions, open sessions, messages, summarized sessions, memories, vectors
-- and bytes, the first and last activity ('' if there is none), and the outcomes of extractions.
-- Bytes are Redis's memory estimate of permanent keys and of histories; it samples large keys.
local prefix = KEYS[1]
local open, messages, summarized, bytes, first, last = 0, 0, 0, 0, false, false

local function add_key(name)
  bytes = bytes + (redis.call('MEMORY', 'USAGE', prefix .. name) or 0)
end

for _, sid in ipairs(redis.call('ZRANGE', prefix .. 'sessions', 0, -1)) do
  local created, active, length, closed, compacted_upto, abandoned = unpack(redis.call(
    'HMGET', prefix .. 'session:' .. sid, 'created', 'active', 'length', 'closed', 'folded_upto',
    'abandoned'))
  messages = messages + live_count(parse_ranges(abandoned), tonumber(length or 0))
  open = open + (closed == '1' and 0 or 1)
  summarized = summarized + (tonumber(compacted_upto or 0) > 0 and 1 or 0)
  if created and (not first or tonumber(created) < tonumber(first)) then
    first = created
  end
  if active and (not last or tonumber(active) > tonumber(last)) then
    last = active
  end
  add_key('session:' .. sid)
  add_key('messages:' .. sid)
end
for _, id in ipairs(redis.call('SMEMBERS', prefix .. 'threads')) do
  add_key('thread:' .. id .. ':ids')
  add_key('thread:' .. id .. ':checkpoints')
  add_key('thread:' .. id .. ':blobs')
end
for _, id in ipairs(redis.call('HKEYS', prefix .. 'records')) do
  add_key('history:' .. id)
end
for _, name in ipairs({'user', 'sessions', 'vectors', 'log', 'records', 'topics', 'extraction',
  'released', 'items'}) do
  add_key(name)
end
return {redis.call('ZCARD', prefix .. 'sessions'), open, messages, summarized,
  redis.call('HLEN', prefix .. 'records'), redis.call('HLEN', prefix .. 'vectors'), bytes,
  first or '', last or '', redis.call('HGETALL', prefix .. 'extraction')}
