-- Note up to where a collection outside holds a user's messages, unless they were erased meanwhile.
-- KEYS[1] the user's prefix   ARGV 1 the collection   2 the epoch of what it holds   3 the sequence
if redis.call('HGET', KEYS[1] .. 'user', 'epoch') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1] .. 'outside', ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
return 1
