-- Read all that a turn needs: the session, its unsummarized messages, digests of earlier sessions,
-- and the changes that the worker's index lacks.
--
-- KEYS[1] the user's prefix
-- ARGV    1 session id, '' for the latest   2 now   3 idle timeout (seconds)
--         4 number of last messages (0: all unsummarized ones)
--         5 number of earlier sessions   6 last messages of each, where unsummarized
--         7 epoch of the index ('-': no index)   8 its sequence   9 maximum number of messages
--         10 token of the session lock, '' for no lock   11 its milliseconds   12 'reject', 'queue'
--         or 'interrupt': the policy while another turn holds the lock (session_queue.lua)
--         13 sessions last active at this time or earlier have expired
--         14 position from which on the turn replaces the messages, '' for none: they are left out
-- Returns {'ok', session id, fields, {position, messages, ...}, digests, changes, epoch, time zone},
-- {'unknown'}, or {'busy', session id, place in the queue}.
local prefix = KEYS[1]
local sid, now, idle = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local horizon = tonumber(ARGV[13])
local tail, carry, carry_tail = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local function session(id)
  local fields = redis.call('HMGET', prefix .. 'session:' .. id, 'created', 'active', 'length', 'title',
    'profile', 'closed', 'folded_upto', 'summarized_upto', 'summary', 'extract', 'follows', 'metadata',
    'extracted_upto', 'abandoned')
  return fields[2] and tonumber(fields[2]) > horizon and fields or {}
end

local fields
if sid ~= '' then
  fields = session(sid)
  if not fields[1] then
    return {'unknown'}
  end
else
  local latest = redis.call('ZREVRANGE', prefix .. 'sessions', 0, 0)
  if latest[1] then
    local stored = session(latest[1])
    if stored[1] and stored[6] ~= '1' and now - tonumber(stored[2]) <= idle then
      sid, fields = latest[1], stored
    end
  end
end

if fields and ARGV[10] ~= '' then
  local place = lock_session(prefix, sid, ARGV[10], ARGV[11], ARGV[12])
  if place > 0 then
    return {'busy', sid, place}
  end
end

local unfolded, earlier = {}, {}
if fields then
  local length, ranges = tonumber(fields[3]), parse_ranges(fields[14])
  local replaces_from = tonumber(ARGV[14])
  if replaces_from and replaces_from < length then
    local folded, summarized = fold_positions(
      ranges, replaces_from, tonumber(fields[7]), tonumber(fields[8]))
    if summarized < tonumber(fields[8]) then
      fields[9] = ''
    end
    if folded < tonumber(fields[7]) then
      fields[10] = ''
    end
    fields[7], fields[8] = tostring(folded), tostring(summarized)
    ranges = with_abandoned(ranges, replaces_from, length)
    fields[14] = ranges_text(ranges)
  end
  local first = tail > 0 and live_tail(ranges, length, tail) or tonumber(fields[7])
  unfolded = read_live(prefix, sid, ranges, first, length)
  for id in string.gmatch(fields[11] or '', '%S+') do
    earlier[#earlier + 1] = id
  end
elseif carry > 0 then
  earlier = redis.call('ZREVRANGE', prefix .. 'sessions', 0, carry - 1)
end

local digests = {}
for _, id in ipairs(carry > 0 and earlier or {}) do
  local digest = session(id)
  if digest[1] then
    local length, ranges = tonumber(digest[3]), parse_ranges(digest[14])
    local from = math.max(tonumber(digest[7]), live_tail(ranges, length, carry_tail))
    digests[#digests + 1] = {id, digest[2], digest[7], digest[8], digest[9], digest[10],
      read_live(prefix, id, ranges, from, length)}
  end
end

local changes = {}
if ARGV[7] ~= '-' then
  changes = read_changes(prefix, ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]))
end
local user = redis.call('HMGET', prefix .. 'user', 'epoch', 'zone')
return {'ok', sid, fields or {}, unfolded, digests, changes, user[1] or '', user[2] or ''}
