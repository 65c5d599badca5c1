-- Store a checkpoint of a thread, with the channels that are new in it.
-- KEYS[1] the user's prefix
-- ARGV    1 thread   2 the checkpoint's name   3 that of its parent, ''   4 packed
--         5 epoch for a new user   6.. channel, packed, channel, packed ...
-- Answers 0 where the parent is gone: nothing comes back that was deleted while a graph ran.
local prefix, thread = KEYS[1], KEYS[1] .. 'thread:' .. ARGV[1] .. ':'
if ARGV[3] ~= '' and not redis.call('ZSCORE', thread .. 'ids', ARGV[3]) then
  return 0
end
for at = 6, #ARGV, 2 do
  redis.call('HSET', thread .. 'blobs', ARGV[at], ARGV[at + 1])
end
redis.call('HSET', thread .. 'checkpoints', ARGV[2], ARGV[4])
redis.call('ZADD', thread .. 'ids', 0, ARGV[2])
redis.call('PERSIST', thread .. 'writes:' .. ARGV[2])
redis.call('SADD', prefix .. 'threads', ARGV[1])
redis.call('HSETNX', prefix .. 'user', 'epoch', ARGV[5])
return 1
