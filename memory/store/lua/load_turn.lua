-- One read for one turn: the session to go on with, its unfolded messages, what earlier sessions
-- left, and what the index view has missed.
--
-- KEYS[1] the user's prefix
-- ARGV    1 session id, or '' for the latest   2 now   3 idle timeout (seconds)
--         4 how many of the last messages (0: all unfolded ones)
--         5 earlier sessions to take up        6 last messages of each, where unfolded
--         7 epoch of the view ('-': no view)   8 its sequence   9 messages of changes at most
--         10 the turn's token, '' to hold nothing   11 milliseconds to hold   12 'reject', 'queue'
--         or 'interrupt': what to do when another turn holds the session (line.lua)
--         13 sessions last active then or before are past their time
local prefix = KEYS[1]
local sid, now, idle = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local horizon = tonumber(ARGV[13])
local most, carry, carry_tail = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local function session(id)
  local found = redis.call('HMGET', prefix .. 'session:' .. id, 'created', 'active', 'length', 'title',
    'profile', 'closed', 'folded_upto', 'summarized_upto', 'summary', 'extract', 'follows', 'metadata',
    'extracted_upto')
  return found[2] and tonumber(found[2]) > horizon and found or {}
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
    local found = session(latest[1])
    if found[1] and found[6] ~= '1' and now - tonumber(found[2]) <= idle then
      sid, fields = latest[1], found
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
  first = most > 0 and math.max(0, length - most) or tonumber(fields[7])
  unfolded = messages(sid, first)
  for id in string.gmatch(fields[11] or '', '%S+') do
    earlier[#earlier + 1] = id
  end
elseif carry > 0 then
  earlier = redis.call('ZREVRANGE', prefix .. 'sessions', 0, carry - 1)
end

local digests = {}
for _, id in ipairs(carry > 0 and earlier or {}) do
  local found = session(id)
  if found[1] then
    local from = math.max(tonumber(found[7]), tonumber(found[3]) - carry_tail)
    digests[#digests + 1] =
      {id, found[2], found[7], found[8], found[9], found[10], from, messages(id, from)}
  end
end

local changes = {}
if ARGV[7] ~= '-' then
  changes = read_changes(prefix, ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]))
end
local epoch = redis.call('HGET', prefix .. 'user', 'epoch') or ''
return {'ok', sid, fields or {}, first, unfolded, digests, changes, epoch}
