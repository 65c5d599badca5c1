-- Close a session. KEYS[1] the user's prefix   ARGV 1 session id
local session = KEYS[1] .. 'session:' .. ARGV[1]
if redis.call('EXISTS', session) == 0 then
  return 0
end
redis.call('HSET', session, 'closed', '1')
return 1
