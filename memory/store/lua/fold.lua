-- Move a session's fold forward, if it still stands where the folder read it.
-- KEYS[1] the user's prefix
-- ARGV    1 session id   2 folded_upto and 3 summarized_upto as read
--         4 folded_upto   5 summarized_upto   6 summary   7 extract, all as they shall be
local session = KEYS[1] .. 'session:' .. ARGV[1]
local length, folded, summarized =
  unpack(redis.call('HMGET', session, 'length', 'folded_upto', 'summarized_upto'))
if not length or tonumber(folded) ~= tonumber(ARGV[2])
    or tonumber(summarized) ~= tonumber(ARGV[3]) or tonumber(ARGV[4]) > tonumber(length) then
  return 0
end
redis.call('HSET', session, 'folded_upto', ARGV[4], 'summarized_upto', ARGV[5],
  'summary', ARGV[6], 'extract', ARGV[7])
return 1
