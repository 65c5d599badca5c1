-- Renew a turn's hold on its session, or give it back; 1 when a newer turn wants it to stop.
-- KEYS[1] the user's prefix   ARGV 1 session id   2 the turn's token   3 milliseconds, 0 to give back
local lease, stop = KEYS[1] .. 'lease:turn:' .. ARGV[1], KEYS[1] .. 'lease:stop:' .. ARGV[1]
local holder, wanted = redis.call('GET', lease), redis.call('GET', stop) == ARGV[2]
if ARGV[3] == '0' then
  if holder == ARGV[2] then
    redis.call('DEL', lease)
  end
  if wanted then
    redis.call('DEL', stop)
  end
elseif holder == ARGV[2] then
  redis.call('PEXPIRE', lease, ARGV[3])
end
return wanted and 1 or 0
