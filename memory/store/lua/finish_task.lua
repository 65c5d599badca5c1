-- Record the outcome of a task, if this worker still holds it. A task that was scheduled again in
-- between stays in the queue.
-- KEYS[1] the queue's prefix
-- ARGV    1 task   2 the worker's token   3 'done', 'later', 'failed' or 'hold'
--         4 seconds until it is due again; for 'failed', the first pause   5 the longest pause
--         6 factor on pauses   7 failures after which it is dead   8 error code
-- Returns 'done', 'later', 'dead', or 'lost' if this worker does not hold it any more.
local prefix, task, outcome = KEYS[1], ARGV[1], ARGV[3]
local waiting, workers, failures = prefix .. 'waiting', prefix .. 'workers', prefix .. 'failures'
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000

if outcome == 'done' then
  redis.call('HDEL', failures, task)
  redis.call('HDEL', prefix .. 'errors', task)
  redis.call('ZREM', prefix .. 'dead', task)
end
if redis.call('HGET', workers, task) ~= ARGV[2] or not redis.call('ZSCORE', waiting, task) then
  return 'lost'
end
local pause = tonumber(ARGV[4])
if outcome == 'failed' then
  local times = redis.call('HINCRBY', failures, task, 1)
  redis.call('HSET', prefix .. 'errors', task, ARGV[8])
  if times >= tonumber(ARGV[7]) then
    redis.call('ZADD', prefix .. 'dead', string.format('%.6f', now), task)
    outcome = 'dead'
  else
    pause = math.min(pause * 2 ^ (times - 1), tonumber(ARGV[5])) * tonumber(ARGV[6])
  end
end
if outcome == 'done' or outcome == 'dead' then
  redis.call('ZREM', waiting, task)
else
  redis.call('ZADD', waiting, string.format('%.6f', now + pause), task)
end
if outcome ~= 'hold' then
  redis.call('HDEL', workers, task)
end
return (outcome == 'done' or outcome == 'dead') and outcome or 'later'
