-- Keep what became of a request that names itself.
-- KEYS[1] the user's prefix   ARGV 1 name   2 outcome   3 milliseconds to keep it
redis.call('SET', KEYS[1] .. 'once:' .. ARGV[1], ARGV[2], 'PX', ARGV[3])
return 1
