-- Copy the beginning of a session with its vectors into a new one: completely, or not at all.
--
-- KEYS[1] the user's prefix
-- ARGV    1 session id   2 id of the copy   3 number of messages, -1 for all   4 time
--         5 profile, '' for that of the original   6 log entries to keep
-- Returns the number of copied messages, -1 if the session was deleted.
local prefix, from, to = KEYS[1], ARGV[1], ARGV[2]
local source, copy = prefix .. 'session:' .. from, prefix .. 'session:' .. to
local length = tonumber(redis.call('HGET', source, 'length') or -1)
if length < 0 then
  return -1
end
local count = tonumber(ARGV[3])
if count < 0 or count > length then
  count = length
end
local bytes = 0
for start = 0, count - 1, 500 do
  local last = math.min(start + 499, count - 1)
  local packed = redis.call('LRANGE', prefix .. 'messages:' .. from, start, last)
  redis.call('RPUSH', prefix .. 'messages:' .. to, unpack(packed))
  for _, message in ipairs(packed) do
    bytes = bytes + #message
  end
  local ids = {}
  for position = start, last do
    ids[#ids + 1] = from .. ':' .. position
  end
  local vectors = redis.call('HMGET', prefix .. 'vectors', unpack(ids))
  for offset, vector in ipairs(vectors) do
    if vector then
      bytes = bytes + #vector
      redis.call('HSET', prefix .. 'vectors', to .. ':' .. (start + offset - 1), vector)
    end
  end
end
redis.call('HSET', copy, 'created', ARGV[4], 'active', ARGV[4], 'closed', '0', 'length', count,
  'profile', ARGV[5] ~= '' and ARGV[5] or redis.call('HGET', source, 'profile'),
  'title', redis.call('HGET', source, 'title'), 'follows', redis.call('HGET', source, 'follows'),
  'metadata', redis.call('HGET', source, 'metadata') or '',
  'folded_upto', 0, 'summarized_upto', 0, 'summary', '', 'extract', '', 'extracted_upto', count)
if tonumber(redis.call('HGET', source, 'folded_upto')) <= count then
  for _, field in ipairs({'folded_upto', 'summarized_upto', 'summary', 'extract'}) do
    redis.call('HSET', copy, field, redis.call('HGET', source, field))
  end
end
redis.call('ZADD', prefix .. 'sessions', ARGV[4], to)
if count > 0 then
  redis.call('XADD', prefix .. 'log', 'MAXLEN', '~', ARGV[6], '0-*',
    'put', to, 'first', 0, 'count', count)
end
add_bytes(prefix, bytes)
return count
