-- Delete checkpoints of a thread, or the whole thread.
-- KEYS[1] the user's prefix
-- ARGV    1 thread   2 number of checkpoints, -1 for all   3.. their names, then channel versions
-- Returns the number of deleted checkpoints.
local prefix, thread = KEYS[1], KEYS[1] .. 'thread:' .. ARGV[1] .. ':'
local names, count = {}, tonumber(ARGV[2])
if count < 0 then
  names = redis.call('ZRANGE', thread .. 'ids', 0, -1)
end
for at = 3, 2 + count do
  names[#names + 1] = ARGV[at]
end
local deleted = 0
for _, name in ipairs(names) do
  deleted = deleted + redis.call('ZREM', thread .. 'ids', name)
  redis.call('HDEL', thread .. 'checkpoints', name)
  redis.call('UNLINK', thread .. 'writes:' .. name)
end
for at = 3 + math.max(count, 0), #ARGV do
  redis.call('HDEL', thread .. 'blobs', ARGV[at])
end
if redis.call('EXISTS', thread .. 'ids') == 0 then
  redis.call('UNLINK', thread .. 'blobs')
  redis.call('SREM', prefix .. 'threads', ARGV[1])
end
return deleted
