-- What was given up: let it be due again, or let it go; how many there were.
-- KEYS[1] the agenda's prefix   ARGV 1 '1' to do it again, '0' to let it go   2.. what was due
local count = 0
for at = 2, #ARGV do
  local due = ARGV[at]
  if redis.call('ZREM', KEYS[1] .. 'dead', due) == 1 then
    redis.call('HDEL', KEYS[1] .. 'failures', due)
    redis.call('HDEL', KEYS[1] .. 'errors', due)
    if ARGV[1] == '1' then
      redis.call('ZADD', KEYS[1] .. 'waiting', 0, due)
    end
    count = count + 1
  end
end
return count
