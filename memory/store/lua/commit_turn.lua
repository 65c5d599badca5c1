-- Commit a turn, or a batch of an import: completely, once, or not at all.
--
-- KEYS[1] the user's prefix
-- ARGV    1 session id   2 '1' if the session may be created, '0' if not; or the user's epoch: it
--         may be created while the epoch is the same, so that no running turn restores erased data
--         3 nonce: a repeated commit returns the first reply, and is refused if a later attempt of
--         the request has superseded it   4 seconds to remember the nonce
--         5 time of the first message   6 time of the last   7 profile of the turn or ''   8 title
--         9 sessions that it continues   10 epoch for a new user   11 log entries to keep
--         12 import id or ''   13 lines stored before   14 lines after   15 seconds to remember the
--         import   16 token of the session lock to release, or ''   17 prompt trace or ''
--         18 seconds to keep the trace   19 the position that the messages are encrypted for, the
--         only one at which they decrypt; '' for any   20 position from which on the live messages
--         are abandoned, '' for none   21 position of the turn's first message, '' if this commit
--         begins the turn   22 '1' to respect the nonce but not to use it up
--         23.. message, vector ('' if none), ...
-- Returns {'ok', first position, new length, session id, log sequence, turn position},
-- {'moved', length} if the messages are encrypted for another position, or the reason of a refusal.
local prefix, sid = KEYS[1], ARGV[1]
local session, list = prefix .. 'session:' .. sid, prefix .. 'messages:' .. sid
local nonce, import = prefix .. 'once:' .. ARGV[3], prefix .. 'import:' .. ARGV[12]

local function release_lock()
  if ARGV[16] ~= '' and redis.call('GET', prefix .. 'lease:turn:' .. sid) == ARGV[16] then
    redis.call('DEL', prefix .. 'lease:turn:' .. sid, prefix .. 'lease:stop:' .. sid)
  end
end

local committed = redis.call('GET', nonce)
if committed then
  release_lock()
  if committed == 'overtaken' then
    return {committed}
  end
  local earlier_sid, earlier_first, earlier_turn = string.match(committed, '^(%S+) (%d+) ?(%d*)')
  local length = redis.call('LLEN', prefix .. 'messages:' .. earlier_sid)
  return {'ok', tonumber(earlier_first), length, earlier_sid, 0,
    tonumber(earlier_turn) or tonumber(earlier_first)}
end
local length, closed, abandoned = unpack(redis.call('HMGET', session, 'length', 'closed', 'abandoned'))
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

local first, count = tonumber(length or 0), (#ARGV - 22) / 2
local turn = tonumber(ARGV[21]) or first
if ARGV[19] ~= '' and tonumber(ARGV[19]) ~= first then
  return {'moved', first}
end
local function log(...)
  return redis.call('XADD', prefix .. 'log', 'MAXLEN', '~', ARGV[11], '0-*', ...)
end

local replaces_from, ranges = tonumber(ARGV[20]) or first, parse_ranges(abandoned)
if replaces_from < first then
  local folded, summarized, extracted = unpack(redis.call(
    'HMGET', session, 'folded_upto', 'summarized_upto', 'extracted_upto'))
  local new_folded, new_summarized = fold_positions(
    ranges, replaces_from, tonumber(folded), tonumber(summarized))
  if new_summarized < tonumber(summarized) then
    redis.call('HSET', session, 'summarized_upto', new_summarized, 'summary', '')
  end
  if new_folded < tonumber(folded) then
    redis.call('HSET', session, 'folded_upto', new_folded, 'extract', '')
  end
  redis.call('HSET', session, 'extracted_upto', math.min(replaces_from, tonumber(extracted or 0)))
  if last_live(ranges, replaces_from) < 0 and redis.call('HGET', session, 'titled') ~= '1' then
    redis.call('HSET', session, 'title', ARGV[8])
  end
  ranges = with_abandoned(ranges, replaces_from, first)
  redis.call('HSET', session, 'abandoned', ranges_text(ranges))
  log('abandon', sid, 'first', replaces_from, 'count', first - replaces_from)
end
if #ranges > 0 and last_live(ranges, first) < first - 1 then
  local forks = redis.call('HGET', session, 'forks') or ''
  redis.call('HSET', session, 'forks', forks .. first .. ':' .. last_live(ranges, first) .. ' ')
end
local active, bytes = tonumber(redis.call('HGET', session, 'active') or 0), 0
for offset = 0, count - 1 do
  redis.call('RPUSH', list, ARGV[23 + 2 * offset])
  local vector = ARGV[24 + 2 * offset]
  bytes = bytes + #ARGV[23 + 2 * offset] + #vector
  if vector ~= '' then
    redis.call('HSET', prefix .. 'vectors', sid .. ':' .. (first + offset), vector)
  end
end
if not length then
  redis.call('HSET', session, 'created', ARGV[5], 'profile', ARGV[7], 'title', ARGV[8],
    'follows', ARGV[9], 'closed', '0', 'folded_upto', 0, 'summarized_upto', 0,
    'summary', '', 'extract', '')
end
local time, latest = redis.call('TIME'), ARGV[6]
if tonumber(latest) > tonumber(time[1]) + 1 then -- else it would stay the latest session until then
  latest = string.format('%.6f', time[1] + time[2] / 1000000)
end
if not length or tonumber(latest) >= active then
  redis.call('HSET', session, 'active', latest)
  redis.call('ZADD', prefix .. 'sessions', latest, sid)
end
redis.call('HSET', session, 'length', first + count)
if ARGV[7] ~= '' then
  redis.call('HSET', session, 'profile', ARGV[7])
end
redis.call('HSETNX', prefix .. 'user', 'epoch', ARGV[10])
add_bytes(prefix, bytes)
local logged = log('put', sid, 'first', first, 'count', count)
if ARGV[22] ~= '1' then
  redis.call('SET', nonce, table.concat({sid, first, turn, count}, ' '), 'EX', ARGV[4])
end
if ARGV[17] ~= '' then
  redis.call('SET', prefix .. 'shown:' .. sid .. '.' .. turn, ARGV[17], 'EX', ARGV[18])
end
if ARGV[12] ~= '' then
  redis.call('HSET', import, 'lines', ARGV[14])
  redis.call('EXPIRE', import, ARGV[15])
end
release_lock()
return {'ok', first, first + count, sid, tonumber(string.sub(logged, 3)), turn}
