-- Note that a rewrite is done, unless another one came to be due meanwhile.
-- KEYS[1] the prefix of erasures   ARGV 1 token of the rewrite
if redis.call('GET', KEYS[1] .. 'rewrite-due') == ARGV[1] then
  redis.call('DEL', KEYS[1] .. 'rewrite-due')
end
return 1
