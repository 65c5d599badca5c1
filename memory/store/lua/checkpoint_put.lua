-- Store a checkpoint of a thread, and the channel versions that are new in it.
-- KEYS[1] the user's prefix
-- ARGV    1 thread   2 checkpoint name   3 name of its parent or ''   4 packed checkpoint
--         5 epoch for a new user   6.. channel version, packed value, ...
-- Returns 0 if the parent was deleted: a running graph must not restore a deleted thread.
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
