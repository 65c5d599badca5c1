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
-- Returns {'ok', session id, fields, first position, messages, digests, changes, epoch, time zone},
-- {'unknown'}, or {'busy', session id, place in the queue}.
local prefix = KEYS[1]
local sid, now, idle = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local horizon = tonumber(ARGV[13])
local tail, carry, carry_tail = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local function session(id)
  local fields = redis.call('HMGET', prefix .. 'session:' .. id, 'created', 'active', 'length', 'title',
    'profile', 'closed', 'folded_upto', 'summarized_upto', 'summary', 'extract', 'follows', 'metadata',
    'extracted_upto')
  return fields[2] and tonumber(fields[2]) > horizon and fields or {}
end

local function messages(id, first)
  return redis.call('LRANGE', prefix .. 'messages:' .. id, first, -1)
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

local unfolded, first, earlier = {}, 0, {}
if fields then
  local length = tonumber(fields[3])
  first = tail > 0 and math.max(0, length - tail) or tonumber(fields[7])
  unfolded = messages(sid, first)
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
    local from = math.max(tonumber(digest[7]), tonumber(digest[3]) - carry_tail)
    digests[#digests + 1] =
      {id, digest[2], digest[7], digest[8], digest[9], digest[10], from, messages(id, from)}
  end
end

local changes = {}
if ARGV[7] ~= '-' then
  changes = read_changes(prefix, ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]))
end
local user = redis.call('HMGET', prefix .. 'user', 'epoch', 'zone')
return {'ok', sid, fields or {}, first, unfolded, digests, changes, user[1] or '', user[2] or ''}
