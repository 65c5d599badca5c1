-- Copy the first live messages of a session with their vectors into a new one: completely, or not at
-- all.
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
local ranges = parse_ranges(redis.call('HGET', source, 'abandoned'))
local wanted, count, bytes = tonumber(ARGV[3]), 0, 0
if wanted < 0 then
  wanted = length
end

local function copy_messages(first, upto)
  local packed = redis.call('LRANGE', prefix .. 'messages:' .. from, first, upto - 1)
  redis.call('RPUSH', prefix .. 'messages:' .. to, unpack(packed))
  for _, message in ipairs(packed) do
    bytes = bytes + #message
  end
  local ids = {}
  for position = first, upto - 1 do
    ids[#ids + 1] = from .. ':' .. position
  end
  local vectors = redis.call('HMGET', prefix .. 'vectors', unpack(ids))
  for offset, vector in ipairs(vectors) do
    if vector then
      bytes = bytes + #vector
      redis.call('HSET', prefix .. 'vectors', to .. ':' .. (count + offset - 1), vector)
    end
  end
  count = count + #packed
end

local folded = {folded_upto = 0, summarized_upto = 0}
for _, run in ipairs(live_runs(ranges, 0, length)) do
  local first = run[1]
  while first < run[2] and count < wanted do
    local upto = math.min(first + 500, run[2], first + wanted - count)
    copy_messages(first, upto)
    first = upto
  end
end
for field in pairs(folded) do
  for _, run in ipairs(live_runs(ranges, 0, tonumber(redis.call('HGET', source, field)))) do
    folded[field] = folded[field] + run[2] - run[1]
  end
end
redis.call('HSET', copy, 'created', ARGV[4], 'active', ARGV[4], 'closed', '0', 'length', count,
  'profile', ARGV[5] ~= '' and ARGV[5] or redis.call('HGET', source, 'profile'),
  'title', redis.call('HGET', source, 'title'), 'follows', redis.call('HGET', source, 'follows'),
  'metadata', redis.call('HGET', source, 'metadata') or '',
  'folded_upto', 0, 'summarized_upto', 0, 'summary', '', 'extract', '', 'extracted_upto', count)
if folded.folded_upto <= count then
  redis.call('HSET', copy, 'folded_upto', folded.folded_upto,
    'summarized_upto', folded.summarized_upto, 'summary', redis.call('HGET', source, 'summary'),
    'extract', redis.call('HGET', source, 'extract'))
end
redis.call('ZADD', prefix .. 'sessions', ARGV[4], to)
if count > 0 then
  redis.call('XADD', prefix .. 'log', 'MAXLEN', '~', ARGV[6], '0-*',
    'put', to, 'first', 0, 'count', count)
end
add_bytes(prefix, bytes)
return count
