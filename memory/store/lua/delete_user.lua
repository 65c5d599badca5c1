-- Erase a user: all that can be named from what is stored, and the keys that a scan has found.
-- Without an epoch, every view begins anew; a turn that saw the old one is refused its commit.
--
-- KEYS[1] the user's prefix   ARGV the names that a scan found, whole
-- Answers sessions, messages, memories, vectors and keys that went.
local prefix = KEYS[1]
local gone = {redis.call('ZCARD', prefix .. 'sessions'), 0,
  redis.call('HLEN', prefix .. 'records'), redis.call('HLEN', prefix .. 'vectors'), 0}

for _, sid in ipairs(redis.call('ZRANGE', prefix .. 'sessions', 0, -1)) do
  gone[2] = gone[2] + redis.call('LLEN', prefix .. 'messages:' .. sid)
  gone[5] = gone[5]
    + redis.call('UNLINK', prefix .. 'session:' .. sid, prefix .. 'messages:' .. sid)
end
for _, id in ipairs(redis.call('HKEYS', prefix .. 'records')) do
  gone[5] = gone[5] + redis.call('UNLINK', prefix .. 'history:' .. id)
end
for _, id in ipairs(redis.call('SMEMBERS', prefix .. 'threads')) do
  local thread = prefix .. 'thread:' .. id .. ':'
  for _, name in ipairs(redis.call('ZRANGE', thread .. 'ids', 0, -1)) do
    gone[5] = gone[5] + redis.call('UNLINK', thread .. 'writes:' .. name)
  end
  gone[5] = gone[5] + redis.call('UNLINK', thread .. 'ids', thread .. 'checkpoints', thread .. 'blobs')
end
for _, name in ipairs({'user', 'sessions', 'vectors', 'log', 'records', 'topics', 'extraction',
  'released', 'key', 'items', 'threads', 'outside'}) do
  gone[5] = gone[5] + redis.call('UNLINK', prefix .. name)
end
for _, name in ipairs(ARGV) do
  gone[5] = gone[5] + redis.call('UNLINK', name)
end
return gone
