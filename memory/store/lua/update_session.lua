-- Create an empty session, or change fields of an existing one.
--
-- KEYS[1] the user's prefix
-- ARGV    1 session id   2 '1' to create it   3 time   4 epoch for a new user
--         5 number of earlier sessions that it continues; or, to change a session, '=' and the stored
--         metadata that it must have, '' for any   6.. field, value, ...
-- Returns 0 if there is no such session, -1 if it has other metadata.
local prefix, sid = KEYS[1], ARGV[1]
local session = prefix .. 'session:' .. sid
if ARGV[2] == '1' then
  local continued_from = redis.call('ZREVRANGE', prefix .. 'sessions', 0, tonumber(ARGV[5]) - 1)
  if tonumber(ARGV[5]) == 0 then
    continued_from = {}
  end
  redis.call('HSET', session, 'created', ARGV[3], 'active', ARGV[3], 'length', 0, 'profile', '',
    'title', '', 'follows', table.concat(continued_from, ' '), 'closed', '0', 'folded_upto', 0,
    'summarized_upto', 0, 'summary', '', 'extract', '', 'metadata', '')
  redis.call('ZADD', prefix .. 'sessions', ARGV[3], sid)
  redis.call('HSETNX', prefix .. 'user', 'epoch', ARGV[4])
elseif redis.call('EXISTS', session) == 0 then
  return 0
elseif ARGV[5] ~= '' and ARGV[5] ~= '=' .. (redis.call('HGET', session, 'metadata') or '') then
  return -1
end
for at = 6, #ARGV, 2 do
  redis.call('HSET', session, ARGV[at], ARGV[at + 1])
end
return 1
