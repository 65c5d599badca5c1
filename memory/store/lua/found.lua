-- Where a commit went, of which its own worker may not know that it lasts.
-- KEYS[1] the user's prefix   ARGV 1 nonce
return redis.call('GET', KEYS[1] .. 'once:' .. ARGV[1])
