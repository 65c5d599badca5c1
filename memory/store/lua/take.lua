-- Take what is due by now, for a while; and how much waits and was given up in all.
-- KEYS[1] the agenda's prefix   ARGV 1 seconds to hold it   2 the worker's token   3 the most
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local waiting = KEYS[1] .. 'waiting'
local taken = {}
if ARGV[3] ~= '0' then
  taken = redis.call('ZRANGEBYSCORE', waiting, '-inf', string.format('%.6f', now), 'LIMIT', 0, ARGV[3])
end
for _, due in ipairs(taken) do
  redis.call('ZADD', waiting, string.format('%.6f', now + ARGV[1]), due)
  redis.call('HSET', KEYS[1] .. 'workers', due, ARGV[2])
end
return {redis.call('ZCARD', waiting), redis.call('ZCARD', KEYS[1] .. 'dead'), taken}
