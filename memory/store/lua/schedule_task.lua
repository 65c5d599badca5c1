-- Note what is due.
-- KEYS[1] the agenda's prefix
-- ARGV    1 seconds until it may be taken   2 token of the worker that does it, '' for whoever comes
--         3 '1' to put nothing off that is noted already   4.. what is due
-- For each 1 if it was noted; 0 if it stands as it stood, for it waits to be tried again.
local time = redis.call('TIME')
local till = time[1] + time[2] / 1000000 + ARGV[1]
local waiting, workers = KEYS[1] .. 'waiting', KEYS[1] .. 'workers'
local noted = {}
for at = 4, #ARGV do
  local due = ARGV[at]
  local stands = redis.call('ZSCORE', waiting, due)
  local kept = stands and redis.call('HEXISTS', KEYS[1] .. 'failures', due) == 1
  if stands and ARGV[3] == '1' then
    kept = kept or redis.call('HEXISTS', workers, due) == 1 or tonumber(stands) <= till
  end
  if not kept then
    redis.call('ZADD', waiting, string.format('%.6f', till), due)
    if ARGV[2] == '' then
      redis.call('HDEL', workers, due)
    else
      redis.call('HSET', workers, due, ARGV[2])
    end
  end
  noted[#noted + 1] = kept and 0 or 1
end
return noted
