-- Queue tasks.
-- KEYS[1] the queue's prefix
-- ARGV    1 seconds until they are due   2 token of the worker that runs them, '' for any worker
--         3 '1' to postpone no task that is queued already   4.. tasks
-- A task that failed keeps its pause. If a worker runs it again right now, that worker loses it, so
-- that the task runs once more: the running attempt may have read too early for what is new.
-- Returns 1 for each task that was scheduled, 0 for one that keeps its schedule.
local time = redis.call('TIME')
local due = time[1] + time[2] / 1000000 + ARGV[1]
local waiting, workers = KEYS[1] .. 'waiting', KEYS[1] .. 'workers'
local scheduled = {}
for at = 4, #ARGV do
  local task = ARGV[at]
  local queued = redis.call('ZSCORE', waiting, task)
  local is_kept = queued and redis.call('HEXISTS', KEYS[1] .. 'failures', task) == 1
  local is_running = redis.call('HEXISTS', workers, task) == 1
  if is_kept and is_running and ARGV[3] ~= '1' then
    redis.call('HDEL', workers, task)
    if due > tonumber(queued) then
      redis.call('ZADD', waiting, string.format('%.6f', due), task)
    end
  end
  if queued and ARGV[3] == '1' then
    is_kept = is_kept or is_running or tonumber(queued) <= due
  end
  if not is_kept then
    redis.call('ZADD', waiting, string.format('%.6f', due), task)
    if ARGV[2] == '' then
      redis.call('HDEL', workers, task)
    else
      redis.call('HSET', workers, task, ARGV[2])
    end
  end
  scheduled[#scheduled + 1] = is_kept and 0 or 1
end
return scheduled
