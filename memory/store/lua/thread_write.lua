-- Store what tasks wrote after a checkpoint. It may come before the checkpoint itself, and goes after
-- a while if that never comes.
-- KEYS[1] the user's prefix
-- ARGV    1 thread   2 the checkpoint's name   3 seconds to wait for it
--         4.. field, 'once' or 'over' (whether it replaces what is there), packed
local thread = KEYS[1] .. 'thread:' .. ARGV[1] .. ':'
local name = thread .. 'writes:' .. ARGV[2]
for at = 4, #ARGV, 3 do
  redis.call(ARGV[at + 1] == 'once' and 'HSETNX' or 'HSET', name, ARGV[at], ARGV[at + 2])
end
if not redis.call('ZSCORE', thread .. 'ids', ARGV[2]) then
  redis.call('EXPIRE', name, ARGV[3])
end
return 1
