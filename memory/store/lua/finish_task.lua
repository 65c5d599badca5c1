-- Say how a job went, if it is still this worker's: what was noted anew meanwhile stays due.
-- KEYS[1] the agenda's prefix
-- ARGV    1 what was due   2 the worker's token   3 'done', 'later', 'failed' or 'hold'
--         4 seconds until it is due again; of 'failed', the first pause   5 the longest pause
--         6 a factor on pauses   7 tries until it is given up   8 the error's code
-- Returns 'done', 'later', 'dead', or 'lost' where it is no longer this worker's.
local prefix, due, how = KEYS[1], ARGV[1], ARGV[3]
local waiting, workers, failures = prefix .. 'waiting', prefix .. 'workers', prefix .. 'failures'
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000

if how == 'done' then
  redis.call('HDEL', failures, due)
  redis.call('HDEL', prefix .. 'errors', due)
  redis.call('ZREM', prefix .. 'dead', due)
end
if redis.call('HGET', workers, due) ~= ARGV[2] or not redis.call('ZSCORE', waiting, due) then
  return 'lost'
end
local pause = tonumber(ARGV[4])
if how == 'failed' then
  local times = redis.call('HINCRBY', failures, due, 1)
  redis.call('HSET', prefix .. 'errors', due, ARGV[8])
  if times >= tonumber(ARGV[7]) then
    redis.call('ZADD', prefix .. 'dead', string.format('%.6f', now), due)
    how = 'dead'
  else
    pause = math.min(pause * 2 ^ (times - 1), tonumber(ARGV[5])) * tonumber(ARGV[6])
  end
end
if how == 'done' or how == 'dead' then
  redis.call('ZREM', waiting, due)
else
  redis.call('ZADD', waiting, string.format('%.6f', now + pause), due)
end
if how ~= 'hold' then
  redis.call('HDEL', workers, due)
end
return (how == 'done' or how == 'dead') and how or 'later'
