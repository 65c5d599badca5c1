-- Take everything that bears a mark off the agenda.
-- KEYS[1] the agenda's prefix   ARGV 1 the mark
for _, set in ipairs({'waiting', 'dead'}) do
  for _, due in ipairs(redis.call('ZRANGE', KEYS[1] .. set, 0, -1)) do
    if string.find(due, ARGV[1], 1, true) then
      redis.call('ZREM', KEYS[1] .. set, due)
      for _, hash in ipairs({'workers', 'failures', 'errors'}) do
        redis.call('HDEL', KEYS[1] .. hash, due)
      end
    end
  end
end
