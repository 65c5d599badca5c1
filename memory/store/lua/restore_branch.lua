-- Make an abandoned message live again, with the messages that it followed and the newest of those
-- that followed it; the messages that they compete with are abandoned.
--
-- KEYS[1] the user's prefix
-- ARGV    1 session id   2 position of the message   3 log entries to keep
-- Returns 1; 0 if there is no such message, -1 if there is no such session.
local prefix, sid, position = KEYS[1], ARGV[1], tonumber(ARGV[2])
local session = prefix .. 'session:' .. sid
local length, abandoned, forks, folded, summarized, extracted = unpack(redis.call('HMGET', session,
  'length', 'abandoned', 'forks', 'folded_upto', 'summarized_upto', 'extracted_upto'))
if not length then
  return -1
end
length, folded, summarized = tonumber(length), tonumber(folded), tonumber(summarized)
if position >= length then
  return 0
end

local predecessors = {}
for place, predecessor in string.gmatch(forks or '', '(%d+):(-?%d+)') do
  predecessors[tonumber(place)] = tonumber(predecessor)
end
local function predecessor_of(place)
  return predecessors[place] or place - 1
end
local follows, head = {[position] = true}, position
for place = position + 1, length - 1 do
  if follows[predecessor_of(place)] then
    follows[place], head = true, place
  end
end
local is_live = {}
while head >= 0 do
  is_live[head] = true
  head = predecessor_of(head)
end

local old, was_abandoned, changed = parse_ranges(abandoned), {}, nil
for _, range in ipairs(old) do
  for place = range[1], range[2] - 1 do
    was_abandoned[place] = true
  end
end
local ranges = {}
for place = 0, length - 1 do
  if not is_live[place] then
    local range = ranges[#ranges]
    if range and range[2] == place then
      range[2] = place + 1
    else
      ranges[#ranges + 1] = {place, place + 1}
    end
  end
  if (was_abandoned[place] or false) == (is_live[place] or false) then
    changed = changed or place
    redis.call('XADD', prefix .. 'log', 'MAXLEN', '~', ARGV[3], '0-*',
      is_live[place] and 'put' or 'abandon', sid, 'first', place, 'count', 1)
  end
end
if not changed then
  return 1
end
if changed < summarized then
  redis.call('HSET', session, 'folded_upto', 0, 'summarized_upto', 0, 'summary', '', 'extract', '')
elseif changed < folded then
  redis.call('HSET', session, 'folded_upto', summarized, 'extract', '')
end
redis.call('HSET', session, 'abandoned', ranges_text(ranges),
  'extracted_upto', math.min(changed, tonumber(extracted or 0)))
return 1
