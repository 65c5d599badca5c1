-- One write for one turn (or one batch of an import): whole, once, or not at all.
--
-- KEYS[1] the user's prefix
-- ARGV    1 session id   2 '1' if it may be created, '0' if not; or the user's epoch, if it may be
--         while that is theirs: whoever was erased does not come back by a turn under way
--         3 nonce: the same commit, sent again, is answered, not repeated; or refused, if a later try
--         of the request has taken its place
--         4 seconds to remember the nonce   5 time of the first message   6 time of the last
--         7 profile of the turn, '' for none   8 title   9 sessions it follows   10 epoch for a new user
--         11 log entries to keep   12 import id or ''   13 lines stored before   14 lines after
--         15 seconds to remember the import   16 the turn's token, whose hold it gives back, or ''
--         17 what the prompt showed, or ''   18 seconds to keep that
--         19 the position that the messages are sealed for, '' for any: elsewhere they do not open
--         20.. message, vector ('' if none), message, vector ...
local prefix, sid = KEYS[1], ARGV[1]
local session, list = prefix .. 'session:' .. sid, prefix .. 'messages:' .. sid
local once, import = prefix .. 'once:' .. ARGV[3], prefix .. 'import:' .. ARGV[12]

local function give_back()
  if ARGV[16] ~= '' and redis.call('GET', prefix .. 'lease:turn:' .. sid) == ARGV[16] then
    redis.call('DEL', prefix .. 'lease:turn:' .. sid, prefix .. 'lease:stop:' .. sid)
  end
end

local done = redis.call('GET', once)
if done then
  give_back()
  if done == 'overtaken' then
    return {done}
  end
  local sid_then, first_then = string.match(done, '^(%S+) (%d+)$')
  return {'ok', tonumber(first_then), redis.call('LLEN', prefix .. 'messages:' .. sid_then), sid_then, 0}
end
local length, closed = unpack(redis.call('HMGET', session, 'length', 'closed'))
if not length and ARGV[2] ~= '1' and ARGV[2] ~= redis.call('HGET', prefix .. 'user', 'epoch') then
  return {'unknown'}
end
if closed == '1' then
  return {'closed'}
end
if ARGV[12] ~= '' then
  local stored = redis.call('HGET', import, 'lines') or '0'
  if tonumber(stored) ~= tonumber(ARGV[13]) then
    return {'conflict', tonumber(stored)}
  end
end

local first, count = tonumber(length or 0), (#ARGV - 19) / 2
if ARGV[19] ~= '' and tonumber(ARGV[19]) ~= first then
  return {'moved', first}
end
local active, bytes = tonumber(redis.call('HGET', session, 'active') or 0), 0
for offset = 0, count - 1 do
  redis.call('RPUSH', list, ARGV[20 + 2 * offset])
  local vector = ARGV[21 + 2 * offset]
  bytes = bytes + #ARGV[20 + 2 * offset] + #vector
  if vector ~= '' then
    redis.call('HSET', prefix .. 'vectors', sid .. ':' .. (first + offset), vector)
  end
end
if not length then
  redis.call('HSET', session, 'created', ARGV[5], 'profile', ARGV[7], 'title', ARGV[8],
    'follows', ARGV[9], 'closed', '0', 'folded_upto', 0, 'summarized_upto', 0,
    'summary', '', 'extract', '')
end
if tonumber(ARGV[6]) >= active then
  redis.call('HSET', session, 'active', ARGV[6])
  redis.call('ZADD', prefix .. 'sessions', ARGV[6], sid)
end
redis.call('HSET', session, 'length', first + count)
if ARGV[7] ~= '' then
  redis.call('HSET', session, 'profile', ARGV[7])
end
redis.call('HSETNX', prefix .. 'user', 'epoch', ARGV[10])
add_bytes(prefix, bytes)
local logged = redis.call('XADD', prefix .. 'log', 'MAXLEN', '~', ARGV[11], '0-*',
  'put', sid, 'first', first, 'count', count)
redis.call('SET', once, sid .. ' ' .. first, 'EX', ARGV[4])
if ARGV[17] ~= '' then
  redis.call('SET', prefix .. 'shown:' .. sid .. '.' .. first, ARGV[17], 'EX', ARGV[18])
end
if ARGV[12] ~= '' then
  redis.call('HSET', import, 'lines', ARGV[14])
  redis.call('EXPIRE', import, ARGV[15])
end
give_back()
return {'ok', first, first + count, sid, tonumber(string.sub(logged, 3))}
