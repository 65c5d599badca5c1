-- Write or delete records with their vectors, topics and histories: all of them, or none.
--
-- KEYS[1] the user's prefix
-- ARGV    1 epoch for a new user   2 log entries to keep   3 seconds to keep history
--         4 maximum number of records, 0 for any
--         5 session that they were extracted from, or ''   6 its extracted_upto and abandoned as read
--         7 its new extracted_upto   8 outcome of the extraction   9 number of useless records
--         10 the epoch that the user must have, '' for any
--         11.. the records, see record_writes.lua
-- Returns {'ok', number of new records}, or the reason of a refusal.
local prefix, begin = KEYS[1], 11

if ARGV[10] ~= '' and ARGV[10] ~= redis.call('HGET', prefix .. 'user', 'epoch') then
  return {'erased'}
end
local session = prefix .. 'session:' .. ARGV[5]
if ARGV[5] ~= '' then
  local length, extracted_upto, abandoned = unpack(redis.call(
    'HMGET', session, 'length', 'extracted_upto', 'abandoned'))
  if not length then
    return {'gone'}
  end
  if (extracted_upto or '0') .. ' ' .. (abandoned or '') ~= ARGV[6] then
    return {'passed'}
  end
end
local refused, added = check_records(prefix, begin, tonumber(ARGV[4]))
if refused then
  return refused
end
write_records(prefix, begin, ARGV[2], ARGV[3])
if ARGV[5] ~= '' then
  redis.call('HSET', session, 'extracted_upto', ARGV[7])
  redis.call('HINCRBY', prefix .. 'extraction', ARGV[8], 1)
  redis.call('HINCRBY', prefix .. 'extraction', 'useless', ARGV[9])
end
redis.call('HSETNX', prefix .. 'user', 'epoch', ARGV[1])
return {'ok', added}
