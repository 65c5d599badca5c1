-- Note that something was erased: what still holds it is to be rewritten, and dropped by all workers.
-- KEYS[1] the prefix of erasures
-- ARGV    1 token of the rewrite that is due   2 epoch of the user that was erased, ''   3 now
--         4 seconds to tell of it
redis.call('SET', KEYS[1] .. 'rewrite-due', ARGV[1])
if ARGV[2] ~= '' then
  redis.call('ZREMRANGEBYSCORE', KEYS[1] .. 'epochs', '-inf', tonumber(ARGV[3]) - tonumber(ARGV[4]))
  redis.call('ZADD', KEYS[1] .. 'epochs', ARGV[3], ARGV[2])
  redis.call('EXPIRE', KEYS[1] .. 'epochs', ARGV[4])
end
return 1
