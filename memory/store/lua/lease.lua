-- Hold a job for longer, or give it back, if it is still held under this token; 1 if it was.
-- KEYS[1] the user's prefix   ARGV 1 purpose   2 token   3 milliseconds, 0 to give it back
local lease = KEYS[1] .. 'lease:' .. ARGV[1]
if redis.call('GET', lease) ~= ARGV[2] then
  return 0
end
if ARGV[3] == '0' then
  redis.call('DEL', lease)
else
  redis.call('PEXPIRE', lease, ARGV[3])
end
return 1
