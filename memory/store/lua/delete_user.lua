-- Erase a user: all keys that follow from stored data, and the keys that a scan found.
-- Without the epoch, every index reloads, and commits of turns that read the old one are refused.
--
-- KEYS[1] the user's prefix   ARGV full names of the keys that a scan found
-- Returns the numbers of deleted sessions, messages, memories, vectors and keys.
local prefix = KEYS[1]
local deleted = {redis.call('ZCARD', prefix .. 'sessions'), 0,
  redis.call('HLEN', prefix .. 'records'), redis.call('HLEN', prefix .. 'vectors'), 0}

for _, sid in ipairs(redis.call('ZRANGE', prefix .. 'sessions', 0, -1)) do
  deleted[2] = deleted[2] + redis.call('LLEN', prefix .. 'messages:' .. sid)
  deleted[5] = deleted[5]
    + redis.call('UNLINK', prefix .. 'session:' .. sid, prefix .. 'messages:' .. sid)
end
for _, id in ipairs(redis.call('HKEYS', prefix .. 'records')) do
  deleted[5] = deleted[5] + redis.call('UNLINK', prefix .. 'history:' .. id)
end
for _, id in ipairs(redis.call('SMEMBERS', prefix .. 'threads')) do
  local thread = prefix .. 'thread:' .. id .. ':'
  for _, name in ipairs(redis.call('ZRANGE', thread .. 'ids', 0, -1)) do
    deleted[5] = deleted[5] + redis.call('UNLINK', thread .. 'writes:' .. name)
  end
  deleted[5] = deleted[5] + redis.call('UNLINK', thread .. 'ids', thread .. 'checkpoints', thread .. 'blobs')
end
for _, name in ipairs({'user', 'sessions', 'vectors', 'log', 'records', 'topics', 'extraction',
  'released', 'key', 'items', 'threads', 'outside'}) do
  deleted[5] = deleted[5] + redis.call('UNLINK', prefix .. name)
end
local session, messages = prefix .. 'session:', prefix .. 'messages:'
for _, name in ipairs(ARGV) do -- the scan finds sessions that the set of sessions lacks, too
  if string.sub(name, 1, #session) == session then
    deleted[1] = deleted[1] + redis.call('EXISTS', name)
  elseif string.sub(name, 1, #messages) == messages then
    deleted[2] = deleted[2] + redis.call('LLEN', name)
  end
  deleted[5] = deleted[5] + redis.call('UNLINK', name)
end
return deleted
